import type { TableName } from '../domain/ids.ts';
import type { TenantPath } from '../domain/plan.ts';
import type { CatalogueForeignKey } from './catalogue.ts';
import { columnOf, type SchemaMap } from './schema-map.ts';

/** Columns that no ClearStep may touch, by table. */
export type FixedColumns = ReadonlyMap<TableName, ReadonlySet<string>>;

/**
 * Columns that tenant paths run over (cleared, they would hide rows from their own purge) and
 * columns that foreign keys refer to (cleared, they would fire those keys). Pure.
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
  for (const path of paths.values()) {
    fix(path.table, [path.column]);
    for (const hop of path.hops) {
      fix(hop.from, hop.columns);
      fix(hop.to, hop.referencedColumns);
    }
  }
  for (const key of map.foreignKeys) fix(key.parent, key.referencedColumns);
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
