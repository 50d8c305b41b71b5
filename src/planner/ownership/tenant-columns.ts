import type { TableName } from '../../domain/ids.ts';
import type { CatalogueColumn, CatalogueForeignKey, CatalogueTable } from '../catalogue.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import {
  areComparable,
  columnOf,
  compareText,
  type SchemaMap,
  sameColumns,
} from '../schema-map.ts';
import { type Claim, claimByColumn, claimByReference, distinctClaims } from './claim.ts';
import { ownsByTenantKey } from './key-role.ts';

/** A column called as tenant columns are, that cannot be one. */
export interface OddColumn {
  readonly column: CatalogueColumn;
  readonly reason: 'type' | 'key';
  /** Type of the column of the tenant table that such columns hold. */
  readonly expected: string;
}

/** What a tenant is named by. */
export interface TenantClaim {
  readonly table: TableName;
  readonly key: string;
  readonly keyType: string;
  readonly claim: Claim;
}

/** By plain name: the column of the tenant table that columns of this name hold. */
type TenantColumnNames = ReadonlyMap<string, string>;

/**
 * Names that tenant columns have here: those the operator named, then those that lead to the tenant
 * table by a foreign key wherever that is the table's only such key. A name by which other tables call
 * their own rows says nothing: where `profiles.id` refers to a tenant, `plans.id` is still a plan's.
 */
export function tenantColumnNames(
  map: SchemaMap,
  rules: SettledRules,
  tenant: TenantClaim,
  direct: ReadonlyMap<TableName, readonly Claim[]>,
): TenantColumnNames {
  const names = new Map(rules.columns.map((name) => [plainName(name), tenant.key]));
  const primaryKey = map.byName.get(tenant.table)?.primaryKey ?? [];
  const found: (readonly [string, string])[] = [];
  for (const claims of direct.values()) {
    const [only] = claims;
    if (only === undefined || claims.length > 1) continue;
    if (only.kind === 'column') found.push([only.column, tenant.key]);
    const [column] = only.columns;
    const [referenced] = only.kind === 'parent' ? only.referencedColumns : [];
    if (only.columns.length > 1 || column === undefined || referenced === undefined) continue;
    if (sameColumns(primaryKey, [referenced])) found.push([column, referenced]);
  }
  const ownNames = namesOfOwnRows(map, tenant, direct);
  for (const [name, referenced] of found.sort(([left], [right]) => compareText(left, right))) {
    const plain = plainName(name);
    if (!names.has(plain) && !ownNames.has(plain)) names.set(plain, referenced);
  }
  return names;
}

/** What anything may be called by. */
const NAMES_OF_ANYTHING = new Set(
  'id uuid guid ulid uid oid pk key code slug name number no nr ref handle'.split(' '),
);

/**
 * Plain names by which tables call their own rows, not their tenant: those of anything, and those that
 * no table has for its tenant alone where others are referred to by them.
 */
function namesOfOwnRows(
  map: SchemaMap,
  tenant: TenantClaim,
  direct: ReadonlyMap<TableName, readonly Claim[]>,
): ReadonlySet<string> {
  const own = new Set(NAMES_OF_ANYTHING);
  for (const { name, primaryKey } of map.tables) {
    const [column, ...more] = primaryKey ?? [];
    if (column === undefined || more.length > 0 || name === tenant.table) continue;
    const isReferred = (map.keysTo.get(name) ?? []).some((key) => key.child !== name);
    const isTenants = (direct.get(name) ?? []).some(({ columns }) =>
      sameColumns(columns, [column]),
    );
    if (isReferred && !isTenants) own.add(plainName(column));
  }
  for (const word of tenantWords(map, tenant)) own.delete(word);
  for (const [table, claims] of direct) {
    const primaryKey = map.byName.get(table)?.primaryKey ?? [];
    for (const column of claims.flatMap(({ columns }) => columns)) {
      if (!primaryKey.includes(column) && !NAMES_OF_ANYTHING.has(plainName(column))) {
        own.delete(plainName(column));
      }
    }
  }
  return own;
}

/** Plain names that say it in words: `tenantid`, and `organisationid` for `public."Organisation"`. */
function tenantWords(map: SchemaMap, tenant: TenantClaim): ReadonlySet<string> {
  const relation = plainName(map.byName.get(tenant.table)?.relation ?? '');
  const words = [relation, relation.replace(/ies$/, 'y'), relation.replace(/e?s$/, ''), 'tenant'];
  const singular = relation.replace(/s$/, '');
  return new Set(
    [...words, singular].flatMap((word) => [`${word}${plainName(tenant.key)}`, `${word}id`]),
  );
}

/** `tenantId` and `tenant_id` are the same name in two hands. */
const plainName = (name: string): string => name.toLowerCase().replaceAll('_', '');

/**
 * A column of an unowned table that by its name and type might hold the tenant's key, where no
 * foreign key anywhere says what such columns are called: `tenant_id`, `organisationId` beside
 * `public."Organisation"`.
 */
export function likelyTenantColumn(
  map: SchemaMap,
  tenant: TenantClaim,
  table: CatalogueTable,
): CatalogueColumn | undefined {
  const found = map.byName.get(tenant.table);
  // Where another column names the tenants, tables may still hold the primary key.
  const [primary, ...more] = found?.primaryKey ?? [];
  const types = [
    tenant.keyType,
    ...(found === undefined || primary === undefined || more.length > 0
      ? []
      : [columnOf(found, primary)?.type ?? tenant.keyType]),
  ];
  const names = tenantWords(map, tenant);
  return table.columns.find(
    (column) =>
      names.has(plainName(column.name)) &&
      types.some((type) => areComparable(column.type, type)) &&
      !(map.keysFrom.get(table.name) ?? []).some((key) => key.columns.includes(column.name)),
  );
}

/** Tenant columns of a table that has no foreign key to the tenant table. */
export function claimsByName(
  map: SchemaMap,
  rules: SettledRules,
  tenant: TenantClaim,
  names: TenantColumnNames,
  table: CatalogueTable,
): { readonly claims: readonly Claim[]; readonly odd: readonly OddColumn[] } {
  const odd: OddColumn[] = [];
  const fit: (readonly [string, Claim])[] = [];
  const tenants = map.byName.get(tenant.table);
  for (const column of table.columns) {
    const referenced = names.get(plainName(column.name));
    if (referenced === undefined) continue;
    const expected = (tenants && columnOf(tenants, referenced)?.type) ?? tenant.keyType;
    if (!areComparable(column.type, expected)) odd.push({ column, reason: 'type', expected });
    else if (leadsElsewhere(map, rules, { tenant, names }, table.name, column.name)) {
      odd.push({ column, reason: 'key', expected });
    } else fit.push([column.name, claimOf(map, tenant, table.name, column.name, referenced)]);
  }
  const named = fit.filter(([name]) => rules.columns.includes(name));
  const candidates = named.length > 0 ? named : fit;
  return { claims: distinctClaims(candidates.map(([, claim]) => claim)), odd };
}

/** The key itself, or a column by which the tenant table tells whose it is. */
const claimOf = (
  map: SchemaMap,
  tenant: TenantClaim,
  table: TableName,
  column: string,
  referenced: string,
): Claim =>
  referenced === tenant.key
    ? claimByColumn(map, table, column, 'column')
    : claimByReference(
        map,
        {
          table,
          columns: [column],
          when: [],
          parent: tenant.table,
          relation: tenant.table,
          referencedColumns: [referenced],
        },
        tenant.claim,
        'column',
      );

/**
 * A foreign key on the column says what it holds: a mere reference to the tenant, or the key of
 * something else. Only where it leads to another table's tenant column, as composite keys do
 * (`(tenant_id, agent_id)`), is it still a tenant column.
 */
function leadsElsewhere(
  map: SchemaMap,
  rules: SettledRules,
  { tenant, names }: { readonly tenant: TenantClaim; readonly names: TenantColumnNames },
  table: TableName,
  column: string,
): boolean {
  return (map.keysFrom.get(table) ?? []).some((key) => {
    const referenced = referencedBy(key, column);
    if (referenced === undefined) return false;
    return key.parent === tenant.table
      ? !ownsByTenantKey(map, rules, key)
      : !names.has(plainName(referenced));
  });
}

const referencedBy = (key: CatalogueForeignKey, column: string): string | undefined =>
  key.referencedColumns[key.columns.indexOf(column)];
