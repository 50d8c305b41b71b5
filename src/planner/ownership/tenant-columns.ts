import type { TableName } from '../../domain/ids.ts';
import type { CatalogueColumn, CatalogueForeignKey, CatalogueTable } from '../catalogue.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import { areComparable, type SchemaMap } from '../schema-map.ts';
import { type Claim, claimByColumn, distinctClaims } from './claim.ts';
import { ownsByTenantKey } from './key-role.ts';

/** A column called as tenant columns are, that cannot be one. */
export interface OddColumn {
  readonly column: CatalogueColumn;
  readonly reason: 'type' | 'key';
}

/** What a tenant is named by. */
export interface TenantClaim {
  readonly table: TableName;
  readonly key: string;
  readonly keyType: string;
  readonly claim: Claim;
}

/**
 * Names that tenant columns have here: those the operator named, then those that lead to the tenant
 * table by a foreign key wherever that is the table's only such key.
 */
export function tenantColumnNames(
  rules: SettledRules,
  direct: ReadonlyMap<TableName, readonly Claim[]>,
): readonly string[] {
  const names = new Set(rules.columns);
  const found: string[] = [];
  for (const claims of direct.values()) {
    const [only] = claims;
    if (claims.length === 1 && only?.kind === 'column') found.push(only.column);
  }
  for (const name of found.sort()) names.add(name);
  return [...names];
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
  const relation = plainName(map.byName.get(tenant.table)?.relation ?? '');
  const words = [relation, relation.replace(/ies$/, 'y'), relation.replace(/e?s$/, ''), 'tenant'];
  const singular = relation.replace(/s$/, '');
  const names = new Set(
    [...words, singular].flatMap((word) => [`${word}${plainName(tenant.key)}`, `${word}id`]),
  );
  return table.columns.find(
    (column) =>
      names.has(plainName(column.name)) &&
      areComparable(column.type, tenant.keyType) &&
      !(map.keysFrom.get(table.name) ?? []).some((key) => key.columns.includes(column.name)),
  );
}

/** Tenant columns of a table that has no foreign key to the tenant table. */
export function claimsByName(
  map: SchemaMap,
  rules: SettledRules,
  tenant: TenantClaim,
  names: readonly string[],
  table: CatalogueTable,
): { readonly claims: readonly Claim[]; readonly odd: readonly OddColumn[] } {
  const odd: OddColumn[] = [];
  const fit: string[] = [];
  const known = new Set(names.map(plainName));
  for (const column of table.columns) {
    if (!known.has(plainName(column.name))) continue;
    if (!areComparable(column.type, tenant.keyType)) odd.push({ column, reason: 'type' });
    else if (leadsElsewhere(map, rules, { tenant, known }, table.name, column.name)) {
      odd.push({ column, reason: 'key' });
    } else fit.push(column.name);
  }
  const named = fit.filter((name) => rules.columns.includes(name));
  const candidates = named.length > 0 ? named : fit;
  return {
    claims: distinctClaims(
      candidates.map((name) => claimByColumn(map, table.name, name, 'column')),
    ),
    odd,
  };
}

/**
 * A foreign key on the column says what it holds: a mere reference to the tenant, or the key of
 * something else. Only where it leads to another table's tenant column, as composite keys do
 * (`(tenant_id, agent_id)`), is it still a tenant column.
 */
function leadsElsewhere(
  map: SchemaMap,
  rules: SettledRules,
  { tenant, known }: { readonly tenant: TenantClaim; readonly known: ReadonlySet<string> },
  table: TableName,
  column: string,
): boolean {
  return (map.keysFrom.get(table) ?? []).some((key) => {
    const referenced = referencedBy(key, column);
    if (referenced === undefined) return false;
    return key.parent === tenant.table
      ? !ownsByTenantKey(map, rules, key)
      : !known.has(plainName(referenced));
  });
}

const referencedBy = (key: CatalogueForeignKey, column: string): string | undefined =>
  key.referencedColumns[key.columns.indexOf(column)];
