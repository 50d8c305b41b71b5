import type { TableName } from '../../domain/ids.ts';
import type { OwnerEntry, SettledRules } from '../rules/settled-rules.ts';
import { type SchemaMap, sameColumns } from '../schema-map.ts';
import { type Claim, claimByColumn, claimByKey, claimByReference } from './claim.ts';

/**
 * What the configuration says of a table's owner, as far as the tables that it leads to are settled.
 * `waits`: some of it leads to a table that is not. Pure.
 */
export function configuredClaims(
  map: SchemaMap,
  rules: SettledRules,
  settled: ReadonlyMap<TableName, readonly Claim[]>,
  table: TableName,
): { readonly claims: readonly Claim[]; readonly waits: boolean } {
  const entries = rules.owners.get(table);
  const found =
    entries?.map((entry) => claimOfEntry(map, rules, settled, { table, entry })) ??
    ownKeys(map, rules, table).map((key) => {
      const [parent] = settled.get(key.parent) ?? [];
      return parent === undefined ? null : claimByKey(map, key, parent, 'configuration');
    });
  return {
    claims: found.filter((claim) => claim !== null),
    waits: found.includes(null),
  };
}

const ownKeys = (map: SchemaMap, rules: SettledRules, table: TableName) =>
  (map.keysFrom.get(table) ?? []).filter((key) => rules.keyRules.get(key.name) === 'own');

/** Null where it leads to a table that is not settled. */
function claimOfEntry(
  map: SchemaMap,
  rules: SettledRules,
  settled: ReadonlyMap<TableName, readonly Claim[]>,
  { table, entry }: { readonly table: TableName; readonly entry: OwnerEntry },
): Claim | null {
  const { columns, when, to } = entry;
  const [column] = columns;
  if (to !== null && to !== rules.tenant.table) {
    const [parent] = settled.get(to) ?? [];
    if (parent === undefined) return null;
    const referencedColumns = map.byName.get(to)?.primaryKey ?? [];
    const reference = { table, columns, when, parent: to, relation: to, referencedColumns };
    return claimByReference(map, reference, parent, 'configuration');
  }
  const keys = (map.keysFrom.get(table) ?? []).filter(
    (key) => key.parent !== table && sameColumns(key.columns, columns),
  );
  if (to === null && keys.length > 0) {
    const key =
      keys.find(({ parent }) => parent === rules.tenant.table) ??
      keys.find(({ parent }) => settled.has(parent));
    const [parent] = (key && settled.get(key.parent)) ?? [];
    if (key === undefined || parent === undefined) return null;
    return claimByKey(map, key, parent, 'configuration', when);
  }
  return column === undefined ? null : claimByColumn(map, table, column, 'configuration', when);
}
