import type { TableName } from '../domain/ids.ts';
import type {
  Catalogue,
  CatalogueColumn,
  CatalogueForeignKey,
  CatalogueTable,
} from './catalogue.ts';

/** The catalogue, sorted and looked up by name, so that no plan depends on the order of its rows. */
export interface SchemaMap {
  readonly tables: readonly CatalogueTable[];
  readonly byName: ReadonlyMap<TableName, CatalogueTable>;
  /** Names of views and materialized views. */
  readonly views: readonly TableName[];
  readonly foreignKeys: readonly CatalogueForeignKey[];
  readonly keysFrom: ReadonlyMap<TableName, readonly CatalogueForeignKey[]>;
  readonly keysTo: ReadonlyMap<TableName, readonly CatalogueForeignKey[]>;
  /** Connected role; a placeholder where the catalogue does not say. */
  readonly role: string;
}

export function mapSchema(catalogue: Catalogue): SchemaMap {
  const tables = sortedBy(catalogue.tables, (table) => table.name);
  const foreignKeys = sortedBy(catalogue.foreignKeys, (key) => key.name);
  return {
    tables,
    byName: new Map(tables.map((table) => [table.name, table])),
    views: catalogue.views ?? [],
    foreignKeys,
    keysFrom: groupBy(foreignKeys, (key) => key.child),
    keysTo: groupBy(foreignKeys, (key) => key.parent),
    role: catalogue.role ?? '<role>',
  };
}

function groupBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

/** A sorted copy, by code unit: the same on every machine, whatever its locale. */
export function sortedBy<Item>(items: Iterable<Item>, keyOf: (item: Item) => string): Item[] {
  return [...items].sort((left, right) => compareText(keyOf(left), keyOf(right)));
}

export const compareText = (left: string, right: string): number =>
  left < right ? -1 : left > right ? 1 : 0;

export function columnOf(table: CatalogueTable, name: string): CatalogueColumn | undefined {
  const known = columnsByName.get(table);
  if (known !== undefined) return known.get(name);
  const columns = new Map(table.columns.map((column) => [column.name, column]));
  columnsByName.set(table, columns);
  return columns.get(name);
}

/** Asked for dozens of times a table; a table is never changed. */
const columnsByName = new WeakMap<CatalogueTable, ReadonlyMap<string, CatalogueColumn>>();

/** True where every one of the columns is NOT NULL, so that each row has a value for the key. */
export const isMandatory = (
  map: SchemaMap,
  table: TableName,
  columns: readonly string[],
): boolean =>
  columns.every((name) => {
    const found = map.byName.get(table);
    return found !== undefined && columnOf(found, name)?.notNull === true;
  });

/** SET NULL and SET DEFAULT say that the row outlives what it refers to: such a key never owns. */
export const isReferenceOnly = (key: CatalogueForeignKey): boolean =>
  key.onDelete === 'SET NULL' || key.onDelete === 'SET DEFAULT';

export const sameColumns = (left: readonly string[], right: readonly string[]): boolean =>
  left.length === right.length && left.every((column) => right.includes(column));

const INTEGERS = ['smallint', 'integer', 'bigint'];

const TYPE_FAMILIES = [INTEGERS, ['text', 'character varying']];

/** True where `=` between the two types uses an index of either: equal, or of one family. */
export function areComparable(left: string, right: string): boolean {
  const [bareLeft, bareRight] = [withoutModifier(left), withoutModifier(right)];
  return (
    bareLeft === bareRight ||
    TYPE_FAMILIES.some((family) => family.includes(bareLeft) && family.includes(bareRight))
  );
}

/** True where both are integers, and `left` has no room for every value of `right`. */
export const isNarrower = (left: string, right: string): boolean =>
  INTEGERS.includes(left) && INTEGERS.indexOf(left) < INTEGERS.indexOf(right);

const WIDE_FAMILIES = [
  ['smallint', 'integer', 'bigint', 'numeric'],
  ['text', 'character varying', 'character', 'citext', 'name'],
];

/** True where PostgreSQL has an `=` between the two types, whether an index serves it or not. */
export function areEquatable(left: string, right: string): boolean {
  const [bareLeft, bareRight] = [left, right].map((type) => bareName(withoutModifier(type)));
  return (
    areComparable(left, right) ||
    WIDE_FAMILIES.some(
      (family) => family.includes(bareLeft ?? '') && family.includes(bareRight ?? ''),
    )
  );
}

/** An extension's type stands with its schema where that is not searched. */
const bareName = (type: string): string => type.replace(/^.*\./, '');

const withoutModifier = (type: string): string => type.replace(/\(.*?\)/, '');
