import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TableName } from '../../../src/domain/ids.ts';
import {
  type DeleteStep,
  deletesOf,
  type Plan,
  type TenantPath,
  tablesOnPath,
} from '../../../src/domain/plan.ts';
import { makePlan } from '../../../src/planner/make-plan.ts';
import { shuffled, type World, worlds } from '../../support/random-catalogues.ts';

const planOf = ({ found, settings }: World): Plan => makePlan(found, settings);

describe('any plan', () => {
  it('deletes every child before its parents, or clears the key, or takes both together', () => {
    fc.assert(
      fc.property(worlds({ cycles: true }), (world) => {
        const plan = planOf(world);
        const at = placesOf(plan);
        for (const key of world.found.foreignKeys) {
          const [child, parent] = [at.get(key.child), at.get(key.parent)];
          if (child === undefined || parent === undefined || key.enforced === false) continue;
          const cleared = clearedLevelOf(plan, key.name);
          if (key.child === key.parent) {
            const isMeant =
              key.child === plan.tenant.table ||
              child.step.unlessReferenced !== null ||
              child.step.also.length > 0;
            if (!isMeant && child.together === null) expect(cleared).toBeLessThan(child.level);
          } else if (child.together !== null && child.together === parent.together) {
            const { way, deferredKeys } = child.together;
            const isOrdered = way === 'deferred' && !deferredKeys.includes(key.name);
            if (isOrdered) expect(child.position).toBeLessThan(parent.position);
          } else if (cleared !== null) {
            expect(cleared).toBeLessThan(Math.min(child.level, parent.level));
          } else {
            expect(child.level).toBeLessThan(parent.level);
          }
        }
      }),
    );
  });

  it('finds its rows by tables that are still there', () => {
    fc.assert(
      fc.property(worlds({ cycles: true }), (world) => {
        const plan = planOf(world);
        const at = placesOf(plan);
        const isThere = (path: TenantPath, isGoneBefore: (other: Place) => boolean): void => {
          for (const other of tablesOnPath(path)) {
            const place = at.get(other);
            if (other !== path.table && place !== undefined)
              expect(isGoneBefore(place)).toBe(false);
          }
        };
        plan.levels.forEach((level, number) => {
          for (const step of level.steps) {
            if (step.kind === 'clear') isThere(step.path, (other) => other.level < number);
          }
        });
        for (const { level, position, together, step } of at.values()) {
          if (step.unlessReferenced !== null) continue;
          for (const path of [step.path, ...step.also]) {
            isThere(path, (other) => {
              if (together === null || other.together !== together) return other.level <= level;
              return together.way === 'deferred' && other.position < position;
            });
          }
        }
      }),
    );
  });

  it('never clears a column by which rows are found', () => {
    fc.assert(
      fc.property(worlds({ cycles: true }), (world) => {
        const plan = planOf(world);
        const used = new Map<TableName, Set<string>>();
        for (const { step } of placesOf(plan).values()) {
          const columns = step.path.ways.flatMap((way) => {
            if (way.kind === 'column') return [way.column];
            return way.kind === 'condition' ? [] : way.columns;
          });
          used.set(step.table, new Set(columns));
        }
        for (const step of plan.levels.flatMap((level) => level.steps)) {
          if (step.kind !== 'clear') continue;
          expect(step.columns.filter((column) => used.get(step.table)?.has(column))).toEqual([]);
        }
      }),
    );
  });

  it('deletes the tenant last but for its one-to-one parents, and one-to-one parents after the rows that remember them', () => {
    fc.assert(
      fc.property(worlds({ cycles: true }), (world) => {
        const plan = planOf(world);
        const at = placesOf(plan);
        const last = at.get(plan.tenant.table);
        for (const { step, level } of at.values()) {
          const isItsParent = tablesOnPath(step.path).has(plan.tenant.table);
          if (step.unlessReferenced !== null && isItsParent) continue;
          expect(level).toBeLessThanOrEqual(last?.level ?? -1);
        }
        for (const { step, level, together } of at.values()) {
          for (const { parent } of step.remembers) {
            const place = at.get(parent);
            expect(place?.step.unlessReferenced).toBeInstanceOf(Array);
            const isTogether = together !== null && together === place?.together;
            if (!isTogether) expect(place?.level).toBeGreaterThan(level);
          }
        }
      }),
    );
  });

  it('needs no clearing and no circle where the keys form none', () => {
    fc.assert(
      fc.property(worlds({ cycles: false, ruled: false }), (world) => {
        const steps = planOf(world).levels.flatMap((level) => level.steps);
        expect(steps.filter((step) => step.kind !== 'delete')).toEqual([]);
      }),
    );
  });

  it('is the same in whatever order the catalogue lists its rows', () => {
    fc.assert(
      fc.property(
        worlds({ cycles: true }).chain((world) =>
          fc.record({
            world: fc.constant(world),
            tables: shuffled(world.found.tables),
            foreignKeys: shuffled(world.found.foreignKeys),
          }),
        ),
        ({ world, tables, foreignKeys }) => {
          const other = { ...world, found: { ...world.found, tables, foreignKeys } };
          expect(planOf(other)).toEqual(planOf(world));
        },
      ),
    );
  });

  it('has the data checked for every key into a table that it deletes from', () => {
    fc.assert(
      fc.property(worlds({ cycles: true }), (world) => {
        const plan = planOf(world);
        const at = placesOf(plan);
        const tree = new Set(plan.tree.map((key) => key.foreignKey));
        const expected = world.found.foreignKeys
          .filter((key) => at.get(key.parent)?.step.unlessReferenced === null)
          .filter((key) => key.enforced !== false && !tree.has(key.name))
          .map((key) => key.name);
        expect(plan.references.map((check) => check.foreignKey)).toEqual(expected.sort());
      }),
    );
  });

  it('deletes from each table once, and from none that no way leads to', () => {
    fc.assert(
      fc.property(worlds({ cycles: true }), (world) => {
        const steps = planOf(world).levels.flatMap((level) => level.steps.flatMap(deletesOf));
        const tables = steps.map((step) => step.table);
        expect(new Set(tables).size).toBe(tables.length);
        for (const { path, also } of steps) {
          expect(path.ways.length + also.length).toBeGreaterThan(0);
        }
      }),
    );
  });
});

/** Where a table's rows go: its level, its place inside a circle. */
interface Place {
  readonly step: DeleteStep;
  readonly level: number;
  readonly position: number;
  readonly together: Extract<Plan['levels'][number]['steps'][number], { kind: 'component' }> | null;
}

function placesOf(plan: Plan): ReadonlyMap<TableName, Place> {
  const places = new Map<TableName, Place>();
  plan.levels.forEach((level, number) => {
    for (const step of level.steps) {
      const together = step.kind === 'component' ? step : null;
      deletesOf(step).forEach((deletion, position) => {
        places.set(deletion.table, { step: deletion, level: number, position, together });
      });
    }
  });
  return places;
}

/** Only what frees the tenant's own rows of the key counts. */
function clearedLevelOf(plan: Plan, foreignKey: string): number | null {
  const level = plan.levels.findIndex(({ steps }) =>
    steps.some(
      (step) =>
        step.kind === 'clear' &&
        step.foreignKey === foreignKey &&
        (step.reason === 'cycle' || step.reason === 'self'),
    ),
  );
  return level < 0 ? null : level;
}
