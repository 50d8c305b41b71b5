import type { TableName } from '../../domain/ids.ts';
import type { TenantPartition, TenantPath } from '../../domain/plan.ts';
import type { SchemaMap } from '../schema-map.ts';

/**
 * LIST partitions that hold rows of one tenant and of nobody else: detached and dropped they are gone
 * at once, where a purge deletes row by row. Pure.
 */
export function findTenantPartitions(
  map: SchemaMap,
  paths: ReadonlyMap<TableName, TenantPath>,
): TenantPartition[] {
  return [...paths].flatMap(([table, path]) => {
    const partitions = map.byName.get(table)?.partitions;
    const [way] = path.ways;
    const isByTenant =
      partitions?.strategy === 'list' &&
      way?.kind === 'column' &&
      partitions.columns.length === 1 &&
      partitions.columns[0] === way.column;
    if (!isByTenant) return [];
    // What can be detached lies directly below the root, whatever lies in it.
    const found = new Map<TableName, TenantPartition>();
    for (const { name, within, values, onlyValues } of partitions.leaves) {
      const [tenantId] = values;
      const partition = within ?? name;
      if (!onlyValues || values.length !== 1 || tenantId === undefined) continue;
      found.set(partition, { table, partition, tenantId });
    }
    return [...found.values()];
  });
}
