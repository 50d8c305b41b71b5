import type { TableName } from '../../domain/ids.ts';
import type { TenantPath, Way } from '../../domain/plan.ts';
import type { CatalogueForeignKey } from '../catalogue.ts';
import { columnOf, type SchemaMap } from '../schema-map.ts';

/** Columns that no ClearStep may touch, by table. */
export type FixedColumns = ReadonlyMap<TableName, ReadonlySet<string>>;

/**
 * Columns that tenant paths run over (cleared, they would hide rows from their own purge), columns
 * that foreign keys refer to (cleared, they would fire those keys) and partition keys. Pure.
 */
export function findFixedColumns(
  map: SchemaMap,
  paths: ReadonlyMap<TableName, TenantPath>,
): FixedColumns {
  const fixed = new Map<TableName, Set<string>>();
  const fix = (table: TableName, columns: readonly string[]): void => {
    const known = fixed.get(table) ?? new Set();
    for (const column of columns) known.add(column);
    fixed.set(table, known);
  };
  const fixWay = (table: TableName, way: Way): void => {
    switch (way.kind) {
      case 'column':
        fix(table, [way.column, ...way.when.map((guard) => guard.column)]);
        break;
      case 'parent':
        fix(table, [...way.columns, ...way.when.map((guard) => guard.column)]);
        fix(way.parent.table, way.referencedColumns);
        break;
      case 'child':
        fix(table, way.columns);
        fix(way.child.table, way.referencingColumns);
        break;
      case 'condition':
        // Nobody knows which columns it reads: none of the table's may change.
        fix(table, map.byName.get(table)?.columns.map((column) => column.name) ?? []);
        break;
      default:
        way satisfies never;
    }
  };
  for (const path of paths.values()) {
    for (const way of path.ways) fixWay(path.table, way);
  }
  for (const key of map.foreignKeys) fix(key.parent, key.referencedColumns);
  // A row whose partition key changes would have to move to another leaf.
  for (const { name, partitions } of map.tables) fix(name, partitions?.columns ?? []);
  return fixed;
}

/**
 * The columns to set to NULL so that the key refers to nothing, or null where that cannot be done.
 * One NULL is enough for MATCH SIMPLE; MATCH FULL wants all of its columns NULL. Pure.
 */
export function clearableColumns(
  map: SchemaMap,
  fixed: FixedColumns,
  key: CatalogueForeignKey,
): readonly string[] | null {
  const table = map.byName.get(key.child);
  if (table === undefined) return null;
  const columns = key.columns.filter((name) => {
    const column = columnOf(table, name);
    const isFixed = fixed.get(key.child)?.has(name) ?? false;
    return column !== undefined && !column.notNull && column.generated !== true && !isFixed;
  });
  const enough = key.matchFull === true ? key.columns.length : 1;
  return columns.length >= enough ? columns : null;
}
