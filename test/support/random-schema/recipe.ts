import * as fc from 'fast-check';
import { DELETE_ACTIONS, type DeleteAction, type ForeignKey, type KeyType } from './model.ts';

/**
 * What fast-check draws and shrinks; `makeCase` makes a case of it without further chance. Smaller
 * numbers mean plainer cases, so that shrinking ends at the plainest that still fails.
 */
export interface Recipe {
  readonly tenantKeyType: KeyType;
  readonly tenantCount: number;
  readonly tables: readonly TableSeed[];
  readonly edges: readonly EdgeSeed[];
  /** Plain rows that every tenant has in every table, beside those below. */
  readonly plainRows: number;
  readonly rows: readonly RowSeed[];
  /** How often a reference leads to another tenant's row: its share in thousand. */
  readonly straysPerMille: number;
  /** Whether problems of ownership are settled in the configuration. */
  readonly isSettled: boolean;
  readonly victim: number;
  readonly smallPurgeRows: number;
  readonly maxRows: number;
}

/** One of t1 … t11. */
export interface TableSeed {
  readonly primaryKey: 'id' | 'tenant-and-id' | 'pair' | 'none' | 'parent' | 'link';
  readonly tenant:
    | { readonly kind: 'none' }
    | { readonly kind: 'column'; readonly nullable: boolean }
    | ({ readonly kind: 'key' | 'slug-key' } & TenantKeySeed);
  /** A second key to the tenant table, which makes it ambiguous. */
  readonly secondTenantKey: boolean;
  /** Which of several ways or keys the configuration names. */
  readonly choice: number;
}

export interface TenantKeySeed {
  readonly nullable: boolean;
  readonly action: DeleteAction;
  readonly checked: ForeignKey['checked'];
}

/** A foreign key between two tables that may be the same. Numbers count modulo the tables. */
export interface EdgeSeed {
  /** The tenant table refers to others too, e.g. to a first workspace; then `child` counts not. */
  readonly fromTenants: boolean;
  readonly child: number;
  readonly parent: number;
  readonly action: DeleteAction;
  /** `half`: of two columns, one may be NULL. */
  readonly nulls: 'never' | 'allowed' | 'half';
  readonly checked: ForeignKey['checked'];
  readonly matchFull: boolean;
  /** To a unique constraint that is not the primary key. */
  readonly viaUnique: boolean;
  /** As `(tenant_id, x_id)` where both sides have a tenant_id. */
  readonly withTenant: boolean;
  /** Its columns in another order than those of the key referred to. */
  readonly reversed: boolean;
  /** SET NULL with a column list. */
  readonly listed: boolean;
  /** The same constraint twice. */
  readonly twice: boolean;
  /** Which rule the configuration has for it, where it is a mere reference. */
  readonly rule: number;
}

/** A row of a table, made for a tenant or for nobody; seed 0 takes the first of every choice. */
export type RowSeed = readonly [table: number, tenant: number, seed: number];

export interface RecipeOptions {
  /** False before PostgreSQL 15, which has no SET NULL with a column list. */
  readonly setNullColumns: boolean;
}

const TABLES_MAX = 11; // beside the tenant table
const EDGES_MAX = 18;
const ROWS_MAX = 260;

/** Recipes of up to 12 tables and 3 to 5 tenants. */
export const recipes = (options: RecipeOptions): fc.Arbitrary<Recipe> =>
  fc.record({
    tenantKeyType: fc.constantFrom('integer', 'uuid', 'text'),
    tenantCount: fc.integer({ min: 3, max: 5 }),
    tables: fc.array(tableSeeds, { minLength: 1, maxLength: TABLES_MAX, size: 'max' }),
    edges: fc.array(edgeSeeds(options), { maxLength: EDGES_MAX, size: 'max' }),
    plainRows: fc.nat(2),
    rows: fc.array(fc.tuple(fc.nat(TABLES_MAX - 1), fc.nat(5), rowSeeds), {
      maxLength: ROWS_MAX,
      size: 'max',
    }),
    straysPerMille: often(0, 3, fc.constantFrom(5, 50)),
    isSettled: often(true, 4, fc.constant(false)),
    victim: fc.nat(4),
    smallPurgeRows: fc.constantFrom(10_000, 0),
    maxRows: fc.constantFrom(1_000, 7, 3, 1),
  });

const often = <Usual>(
  usual: Usual,
  weight: number,
  seldom: fc.Arbitrary<Usual>,
): fc.Arbitrary<Usual> =>
  fc.oneof({ arbitrary: fc.constant(usual), weight }, { arbitrary: seldom, weight: 1 });

const yesIn = (times: number): fc.Arbitrary<boolean> => often(false, times - 1, fc.constant(true));

const checkeds = often<ForeignKey['checked']>(
  'at-once',
  4,
  fc.constantFrom('deferrable', 'deferred'),
);

const rowSeeds = often(0, 1, fc.nat());

const tenantKeys = fc.record({
  nullable: fc.boolean(),
  action: fc.oneof(
    { arbitrary: fc.constantFrom<DeleteAction>('NO ACTION', 'CASCADE', 'RESTRICT'), weight: 8 },
    { arbitrary: fc.constantFrom<DeleteAction>('SET NULL', 'SET DEFAULT'), weight: 1 },
  ),
  checked: checkeds,
});

const tableSeeds: fc.Arbitrary<TableSeed> = fc
  .record({
    primaryKey: often<TableSeed['primaryKey']>(
      'id',
      1,
      fc.constantFrom('tenant-and-id', 'pair', 'none', 'parent', 'link'),
    ),
    tenant: fc.oneof(
      { arbitrary: fc.constant({ kind: 'none' as const }), weight: 6 },
      { arbitrary: fc.record({ kind: fc.constant('key' as const) }), weight: 6 },
      { arbitrary: fc.record({ kind: fc.constant('slug-key' as const) }), weight: 1 },
      { arbitrary: fc.constant({ kind: 'column' as const }), weight: 2 },
    ),
    keySeed: tenantKeys,
    secondTenantKey: yesIn(25),
    choice: fc.nat(5),
  })
  .map(({ keySeed, tenant, ...seed }) => ({
    ...seed,
    tenant:
      tenant.kind === 'none'
        ? { kind: 'none' }
        : tenant.kind === 'column'
          ? { kind: 'column', nullable: keySeed.nullable }
          : { kind: tenant.kind, ...keySeed },
  }));

const edgeSeeds = (options: RecipeOptions): fc.Arbitrary<EdgeSeed> =>
  fc.record({
    fromTenants: yesIn(25),
    child: fc.nat(TABLES_MAX - 1),
    parent: fc.nat(TABLES_MAX - 1),
    action: fc.constantFrom(...DELETE_ACTIONS),
    nulls: fc.constantFrom('never', 'allowed', 'half'),
    checked: checkeds,
    matchFull: yesIn(4),
    viaUnique: yesIn(6),
    withTenant: fc.boolean(),
    reversed: yesIn(3),
    listed: options.setNullColumns ? fc.boolean() : fc.constant(false),
    twice: yesIn(20),
    rule: fc.nat(9),
  });
