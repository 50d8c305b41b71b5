import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TableName } from '../../../src/domain/ids.ts';
import type {
  Catalogue,
  CatalogueForeignKey,
  DeleteAction,
} from '../../../src/planner/catalogue.ts';
import { makePlan } from '../../../src/planner/make-plan.ts';
import { catalogue, key, rules, table, tenants } from '../../support/catalogue.ts';

const ACTIONS: DeleteAction[] = ['NO ACTION', 'RESTRICT', 'CASCADE', 'SET NULL', 'SET DEFAULT'];
const TABLES_MAX = 12;

interface EdgeSeed {
  readonly child: number;
  readonly parent: number;
  readonly action: DeleteAction;
  readonly mandatory: boolean;
}

/** Tables t0 … tn, some with a key to the tenant; edges between any two where cycles are wanted. */
const catalogues = (withCycles: boolean): fc.Arbitrary<Catalogue> =>
  fc.integer({ min: 1, max: TABLES_MAX }).chain((size) =>
    fc
      .record({
        owned: fc.array(fc.boolean(), { minLength: size, maxLength: size }),
        edges: fc.array(
          fc.record({
            child: fc.nat(size - 1),
            parent: fc.nat(size - 1),
            action: fc.constantFrom(...ACTIONS),
            mandatory: fc.boolean(),
          }),
          { maxLength: 2 * size },
        ),
      })
      .map(({ owned, edges }) =>
        toCatalogue(owned, withCycles ? edges : edges.filter((edge) => edge.child > edge.parent)),
      ),
  );

function toCatalogue(owned: readonly boolean[], edges: readonly EdgeSeed[]): Catalogue {
  const columnsOf = (index: number): string =>
    [
      'id!',
      ...(owned[index] ? ['tenant_id!'] : []),
      ...edges.flatMap((edge, at) =>
        edge.child === index ? [`r${at}${edge.mandatory ? '!' : ''}`] : [],
      ),
    ].join(' ');
  const keys: CatalogueForeignKey[] = [
    ...owned.flatMap((isOwned, index) => (isOwned ? [key(`t${index}(tenant_id) → tenants`)] : [])),
    ...edges.map((edge, at) => key(`t${edge.child}(r${at}) → t${edge.parent}`, edge.action)),
  ];
  return catalogue(
    [tenants, ...owned.map((_, index) => table(`t${index}`, columnsOf(index)))],
    keys,
  );
}

const core = ['public.t0'];

describe('any plan', () => {
  it('deletes every child before its parents, or clears the key before the parent goes', () => {
    fc.assert(
      fc.property(catalogues(true), (found) => {
        const plan = makePlan(found, rules({ core }));
        fc.pre(!plan.hazards.some((hazard) => hazard.type === 'UNBREAKABLE_CYCLE'));
        const levelOf = new Map<TableName, number>();
        const clearedAt = new Map<string, number>();
        plan.levels.forEach((level, index) => {
          for (const step of level.steps) {
            if (step.kind === 'delete') levelOf.set(step.table, index);
            else clearedAt.set(step.foreignKey, index);
          }
        });
        for (const { name, child, parent } of found.foreignKeys) {
          const [childLevel, parentLevel] = [levelOf.get(child), levelOf.get(parent)];
          if (childLevel === undefined || parentLevel === undefined || child === parent) continue;
          const cleared = clearedAt.get(name);
          if (cleared === undefined) expect(childLevel).toBeLessThan(parentLevel);
          else expect(cleared).toBeLessThan(Math.min(childLevel, parentLevel));
        }
        expect(plan.levels.at(-1)?.steps.map((step) => step.table)).toEqual(['public.tenants']);
      }),
    );
  });

  it('needs no clearing where the keys form no cycle', () => {
    fc.assert(
      fc.property(catalogues(false), (found) => {
        const plan = makePlan(found, rules({ core }));
        const steps = plan.levels.flatMap((level) => level.steps);
        expect(steps.filter((step) => step.kind === 'clear')).toEqual([]);
        expect(plan.hazards.map((hazard) => hazard.type)).not.toContain('UNBREAKABLE_CYCLE');
      }),
    );
  });

  it('never goes through a table that is deleted earlier than the one it scopes', () => {
    fc.assert(
      fc.property(catalogues(true), (found) => {
        const plan = makePlan(found, rules({ core }));
        fc.pre(!plan.hazards.some((hazard) => hazard.type === 'UNBREAKABLE_CYCLE'));
        const gone = new Set<TableName>();
        for (const level of plan.levels) {
          for (const step of level.steps) {
            for (const hop of step.path.hops) expect(gone.has(hop.to)).toBe(false);
          }
          for (const step of level.steps) if (step.kind === 'delete') gone.add(step.table);
        }
      }),
    );
  });

  it('is the same in whatever order the catalogue lists its rows', () => {
    fc.assert(
      fc.property(
        catalogues(true).chain((found) =>
          fc.record({
            found: fc.constant(found),
            tables: shuffled(found.tables),
            foreignKeys: shuffled(found.foreignKeys),
          }),
        ),
        ({ found, tables, foreignKeys }) => {
          expect(makePlan({ ...found, tables, foreignKeys }, rules({ core }))).toEqual(
            makePlan(found, rules({ core })),
          );
        },
      ),
    );
  });

  it('accounts for every table: planned, blocked by name, or without any key into the plan', () => {
    fc.assert(
      fc.property(catalogues(true), (found) => {
        const plan = makePlan(found, rules());
        const planned = new Set(plan.levels.flatMap((level) => level.steps.map((s) => s.table)));
        const blocked = new Set(
          plan.hazards.filter((h) => h.severity === 'blocks').map((hazard) => hazard.table),
        );
        for (const { child, parent } of found.foreignKeys) {
          if (planned.has(parent)) expect(planned.has(child) || blocked.has(child)).toBe(true);
        }
      }),
    );
  });
});

const shuffled = <Item>(items: readonly Item[]): fc.Arbitrary<Item[]> =>
  fc.shuffledSubarray([...items], { minLength: items.length, maxLength: items.length });
