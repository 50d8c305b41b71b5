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
    return partitions.leaves.flatMap(({ name, values, onlyValues }) => {
      const [tenantId] = values;
      return onlyValues && values.length === 1 && tenantId !== undefined
        ? [{ table, partition: name, tenantId }]
        : [];
    });
  });
}
