import type { TableName } from '../../domain/ids.ts';
import type { TenantPath, Way } from '../../domain/plan.ts';
import type { CatalogueForeignKey, CatalogueIndex } from '../catalogue.ts';
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
    return (
      column !== undefined &&
      !column.notNull &&
      column.generated !== true &&
      !isFixed &&
      !isHeldByMatchFull(map, key, name)
    );
  });
  const enough = key.matchFull === true ? key.columns.length : 1;
  return columns.length >= enough ? columns : null;
}

/**
 * The same for many rows of one tenant at once, as an order needs it: without columns in which rows
 * that have lost their value would collide in a unique index (23505). Pure.
 */
export function massClearableColumns(
  map: SchemaMap,
  fixed: FixedColumns,
  key: CatalogueForeignKey,
): readonly string[] | null {
  const columns = clearableColumns(map, fixed, key);
  if (columns === null) return null;
  const left = columns.filter((name) => collidingIndex(map, key.child, [name]) === undefined);
  const enough = key.matchFull === true ? key.columns.length : 1;
  return left.length >= enough ? left : null;
}

/** A unique index in which rows may collide that have lost their values in these columns. Pure. */
export const collidingIndex = (
  map: SchemaMap,
  table: TableName,
  columns: readonly string[],
): CatalogueIndex | undefined =>
  map.byName
    .get(table)
    ?.indexes.find(({ nullsCollide }) => columns.some((name) => nullsCollide?.includes(name)));

/** Cleared alone, it would leave another key half NULL, which MATCH FULL refuses (23503). */
const isHeldByMatchFull = (map: SchemaMap, key: CatalogueForeignKey, column: string): boolean =>
  (map.keysFrom.get(key.child) ?? []).some(
    (other) =>
      other.matchFull === true &&
      other.enforced !== false &&
      other.columns.includes(column) &&
      !other.columns.every((name) => key.columns.includes(name)),
  );
