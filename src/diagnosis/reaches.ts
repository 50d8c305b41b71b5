import type { TenantRows } from '../domain/diagnosis.ts';
import type { TableName } from '../domain/ids.ts';
import { deleteSteps, type Plan, type TenantPath } from '../domain/plan.ts';
import { columnOf, type SchemaMap } from '../planner/schema-map.ts';

/** Longer chains of keys are not followed: each costs a join over all rows. */
const REFERENCES_MAX = 4;

/**
 * How the rows of each table reach their tenant, as far as diagnosis can follow the plan: by a column of
 * their own, or over keys. Where a nullable way leaves some rows to the next, both are here: a message in
 * a conversation and a message without one. Tables that belong by a condition, or by the value of
 * another column, are left out. The tenant table has its own rows. Pure.
 */
export function reachesOf(map: SchemaMap, plan: Plan): Map<TableName, readonly TenantRows[]> {
  const reaches = new Map<TableName, readonly TenantRows[]>();
  for (const { table, path } of deleteSteps(plan)) {
    const found = follow(map, path, REFERENCES_MAX);
    if (found.length > 0) reaches.set(table, found);
  }
  const { table, key, keyType } = plan.tenant;
  return reaches.set(table, [{ table, over: [], tenantColumn: key, tenantColumnType: keyType }]);
}

function follow(map: SchemaMap, path: TenantPath, referencesMax: number): TenantRows[] {
  return path.ways.flatMap((way): TenantRows[] => {
    if (way.kind === 'column' && way.when.length === 0) {
      const table = map.byName.get(path.table);
      const type = table === undefined ? undefined : columnOf(table, way.column)?.type;
      const tenantColumnType = type ?? '';
      return [{ table: path.table, over: [], tenantColumn: way.column, tenantColumnType }];
    }
    if (way.kind !== 'parent' || way.when.length > 0 || referencesMax === 0) return [];
    const { columns, relation, referencedColumns } = way;
    return follow(map, way.parent, referencesMax - 1).map((above) => ({
      ...above,
      table: path.table,
      over: [{ columns, parent: relation, referencedColumns }, ...above.over],
    }));
  });
}
