import * as fc from 'fast-check';
import type { Catalogue, CatalogueForeignKey, DeleteAction } from '../../src/planner/catalogue.ts';
import type { ForeignKeyRule, PlanRules } from '../../src/planner/rules.ts';
import { catalogue, key, rules, table } from './catalogue.ts';

/** A catalogue with rules that suit it. */
export interface World {
  readonly found: Catalogue;
  readonly settings: PlanRules;
}

const ACTIONS: DeleteAction[] = ['NO ACTION', 'RESTRICT', 'CASCADE', 'SET NULL', 'SET DEFAULT'];
const RULES: (ForeignKeyRule | 'follow' | null)[] = [
  null,
  null,
  'own',
  'set-null',
  'delete',
  'refuse',
  'follow',
];
const TABLES_MAX = 12;

interface EdgeSeed {
  readonly child: number;
  readonly parent: number;
  readonly action: DeleteAction;
  readonly mandatory: boolean;
  readonly deferrable: boolean;
  readonly enforced: boolean;
  readonly rule: ForeignKeyRule | 'follow' | null;
}

/** Table 0 is the tenant table; others may have a key to it, mandatory or not; t1 is core. */
export const worlds = (wanted: {
  readonly cycles: boolean;
  readonly ruled?: boolean;
}): fc.Arbitrary<World> =>
  fc.integer({ min: 2, max: TABLES_MAX }).chain((size) =>
    fc
      .record({
        owned: fc.array(fc.constantFrom<Owned>('no', 'some', 'all'), {
          minLength: size,
          maxLength: size,
        }),
        edges: fc.array(
          fc.record({
            child: fc.nat(size - 1),
            parent: fc.nat(size - 1),
            action: fc.constantFrom(...ACTIONS),
            mandatory: fc.boolean(),
            deferrable: fc.boolean(),
            enforced: fc.integer({ max: 9, min: 0 }).map((number) => number > 0),
            rule: wanted.ruled === false ? fc.constant(null) : fc.constantFrom(...RULES),
          }),
          { maxLength: 2 * size },
        ),
      })
      .map(({ owned, edges }) =>
        toWorld(owned, wanted.cycles ? edges : edges.filter((edge) => edge.child > edge.parent)),
      ),
  );

type Owned = 'no' | 'some' | 'all';

function toWorld(owned: readonly Owned[], edges: readonly EdgeSeed[]): World {
  const columnsOf = (index: number): string =>
    [
      'id!',
      ...(index > 0 && owned[index] !== 'no'
        ? [`tenant_id${owned[index] === 'all' ? '!' : ''}`]
        : []),
      ...edges.flatMap((edge, at) =>
        edge.child === index ? [`r${at}${edge.mandatory ? '!' : ''}`] : [],
      ),
    ].join(' ');
  const edgeKeys = edges.map((edge, at) =>
    key(`t${edge.child}(r${at}) → t${edge.parent}`, edge.action, {
      deferrable: edge.deferrable,
      enforced: edge.enforced,
    }),
  );
  const tenantKeys: CatalogueForeignKey[] = owned.flatMap((how, index) =>
    index > 0 && how !== 'no' ? [key(`t${index}(tenant_id) → t0`)] : [],
  );
  const foreignKeys: Record<string, ForeignKeyRule> = {};
  const follow: string[] = [];
  for (const [at, { child, parent, rule, enforced }] of edges.entries()) {
    if (rule === null || (child === 0 && (rule === 'own' || rule === 'delete'))) continue;
    // Rules about rows that refer are refused for a key that nobody checks.
    if (!enforced && (rule === 'set-null' || rule === 'delete')) continue;
    if (rule !== 'follow') foreignKeys[`public.t${child}.r${at}_fkey`] = rule;
    else if (child !== parent) follow.push(`public.t${child}.r${at}`);
  }
  return {
    found: catalogue(
      owned.map((_, index) => table(`t${index}`, columnsOf(index))),
      [...tenantKeys, ...edgeKeys],
    ),
    settings: rules({ tenant: { table: 'public.t0' }, core: ['public.t1'], foreignKeys, follow }),
  };
}

export const shuffled = <Item>(items: readonly Item[]): fc.Arbitrary<Item[]> =>
  fc.shuffledSubarray([...items], { minLength: items.length, maxLength: items.length });
