import type { ArchiveChunk, ArchiveLayout } from '../../domain/archive.ts';
import { encodeField } from '../../domain/copy-text.ts';
import type { TableName } from '../../domain/ids.ts';
import { EdgeGraph } from '../../planner/order/edge-graph.ts';
import type { Target, TargetKey, TargetTable } from '../../postgres/restore/target.ts';

/** One archived table and how its lines go back. */
export interface TableRestore {
  /** Place among the tables of the archive; names temporary tables. */
  readonly number: number;
  readonly table: TableName;
  readonly target: TargetTable;
  /** Columns written, in this order. */
  readonly columns: readonly string[];
  /** Type of each of them as archived, where it is another one now. */
  readonly retyped: ReadonlyMap<string, string>;
  readonly layouts: ReadonlyMap<string, TableLayout>;
  /** Chunks of deleted rows, in order of their commits. */
  readonly deleted: readonly ArchiveChunk[];
  readonly changed: readonly ArchiveChunk[];
  readonly rows: number;
}

export interface TableLayout {
  readonly layout: ArchiveLayout;
  /** Fields of a line in the order of `columns`; null where the line is just these. */
  readonly fields: readonly number[] | null;
  /** Field of a column. */
  readonly fieldOf: ReadonlyMap<string, number>;
  /** What its rows have in columns that were added while the purge ran, as a field of COPY text. */
  readonly fills: ReadonlyMap<string, Buffer>;
}

/** Where the values of some columns stand in a line. */
export interface Places {
  /** -1: not in the line. */
  readonly fields: readonly number[];
  /** By place among `fields`, for those that are not. */
  readonly fills: ReadonlyMap<number, Buffer>;
}

export const placesOf = (
  { fieldOf, fills }: Pick<TableLayout, 'fieldOf' | 'fills'>,
  columns: readonly string[],
): Places => ({
  fields: columns.map((name) => fieldOf.get(name) ?? -1),
  fills: new Map(
    columns.flatMap((name, place) => {
      const fill = fieldOf.has(name) ? undefined : fills.get(name);
      return fill === undefined ? [] : [[place, fill] as const];
    }),
  ),
});

/** What is restored by itself, in this order: parents first. */
export type RestoreUnit =
  /** Chunk by chunk. */
  | { readonly kind: 'copy'; readonly table: TableRestore }
  /** Chunk by chunk with these columns NULL, which are set once every row is there. */
  | {
      readonly kind: 'link';
      readonly tables: readonly TableRestore[];
      readonly links: ReadonlyMap<TableName, readonly string[]>;
    }
  /** All rows in one statement, so that each finds those it refers to. */
  | { readonly kind: 'together'; readonly tables: readonly TableRestore[] };

/** Up to so many rows a circle goes back in one statement, however it could be cut. */
const TOGETHER_ROWS_MAX = 20_000;

/** The tables of an archive that are there; the others are in nobody's way but the operator's. */
export function tablesOf(
  archive: { readonly layouts: readonly ArchiveLayout[]; readonly chunks: readonly ArchiveChunk[] },
  target: Target,
): TableRestore[] {
  const names = [...new Set(archive.chunks.map(({ table }) => table))].sort();
  return names.flatMap((table, number): TableRestore[] => {
    const found = target.tables.get(table);
    if (found === undefined) return [];
    const layouts = archive.layouts.filter((layout) => layout.table === table);
    const first = layouts.find(({ relation }) => relation === table) ?? layouts[0];
    if (first === undefined) return [];
    const live = new Map(found.columns.map((column) => [column.name, column]));
    // A column may have come, or have got another type, while the purge ran.
    const typesOf = new Map<string, Set<string>>();
    for (const { name, type } of [first, ...layouts].flatMap(({ columns }) => columns)) {
      typesOf.set(name, new Set([...(typesOf.get(name) ?? []), type]));
    }
    const columns = [...typesOf.keys()].filter((name) => live.get(name)?.generated === false);
    const retyped = columns.flatMap((name) => {
      const now = live.get(name)?.type ?? '';
      const types = [...(typesOf.get(name) ?? [])];
      if (types.every((type) => type === now)) return [];
      return [[name, types.length === 1 ? (types[0] ?? now) : now] as const];
    });
    const chunks = archive.chunks.filter((chunk) => chunk.table === table);
    const deleted = chunks.filter(({ kind }) => kind === 'deleted');
    return [
      {
        number,
        table,
        target: found,
        columns,
        retyped: new Map(retyped),
        layouts: new Map(
          layouts.map((layout) => [layout.id, toTableLayout(layout, columns, found)]),
        ),
        deleted,
        changed: chunks.filter(({ kind }) => kind === 'changed'),
        rows: deleted.reduce((sum, { rows }) => sum + rows, 0),
      },
    ];
  });
}

function toTableLayout(
  layout: ArchiveLayout,
  columns: readonly string[],
  target: TargetTable,
): TableLayout {
  const fieldOf = new Map(layout.columns.map(({ name }, field) => [name, field]));
  const fills = new Map(
    target.columns.flatMap(({ name, fill }) =>
      columns.includes(name) && !fieldOf.has(name) ? [[name, encodeField(fill)] as const] : [],
    ),
  );
  const { fields } = placesOf({ fieldOf, fills }, columns);
  const isPlain =
    fields.length === layout.columns.length && fields.every((field, place) => field === place);
  return { layout, fields: isPlain ? null : fields, fieldOf, fills };
}

/** The order in which rows find what they refer to. */
export function planUnits(
  tables: readonly TableRestore[],
  keys: readonly TargetKey[],
): RestoreUnit[] {
  const withRows = tables.filter(({ deleted }) => deleted.length > 0);
  const names = new Set(withRows.map(({ table }) => table));
  const inside = keys.filter(({ child, parent }) => names.has(child) && names.has(parent));
  const groups = groupsOf(withRows, inside);
  return groups.map((group): RestoreUnit => {
    const members = new Set(group.map(({ table }) => table));
    const circle = inside.filter(({ child, parent }) => members.has(child) && members.has(parent));
    const [only] = group;
    if (group.length === 1 && only !== undefined && circle.length === 0) {
      return { kind: 'copy', table: only };
    }
    const rows = group.reduce((sum, table) => sum + table.rows, 0);
    const links = rows > TOGETHER_ROWS_MAX ? linksOf(group, circle) : null;
    return links === null
      ? { kind: 'together', tables: group }
      : { kind: 'link', tables: parentsFirst(group, circle, links), links };
  });
}

/** Strongly connected tables together, parents before children. */
function groupsOf(tables: readonly TableRestore[], keys: readonly TargetKey[]): TableRestore[][] {
  const edges = keys.map(({ child, parent }) => ({ child, parent }));
  const circles = new EdgeGraph(edges).circles();
  const circleOf = new Map<string, string>();
  for (const [at, circle] of circles.entries()) {
    const edge = edges[at];
    if (circle === null || edge === undefined) continue;
    circleOf.set(edge.child, `circle ${circle}`);
    circleOf.set(edge.parent, `circle ${circle}`);
  }
  const groupOf = (table: string): string => circleOf.get(table) ?? table;
  const groups = new Map<string, TableRestore[]>();
  for (const table of tables) {
    const known = groups.get(groupOf(table.table));
    if (known === undefined) groups.set(groupOf(table.table), [table]);
    else known.push(table);
  }
  const waits = edges
    .map(({ child, parent }) => ({ child: groupOf(child), parent: groupOf(parent) }))
    .filter(({ child, parent }) => child !== parent);
  return inOrder([...groups.keys()], waits).flatMap((name) => {
    const group = groups.get(name);
    return group === undefined ? [] : [group];
  });
}

/** For edges without a cycle, as between groups; Kahn's algorithm, first by name. */
function inOrder(
  names: readonly string[],
  edges: readonly { readonly child: string; readonly parent: string }[],
): string[] {
  const parents = new Map<string, Set<string>>(names.map((name) => [name, new Set()]));
  for (const { child, parent } of edges) parents.get(child)?.add(parent);
  const sorted: string[] = [];
  const left = new Set(names.toSorted());
  while (left.size > 0) {
    const ready = [...left].filter((name) =>
      [...(parents.get(name) ?? [])].every((parent) => !left.has(parent)),
    );
    if (ready.length === 0) throw new Error(`no order among ${[...left].join(', ')}`);
    for (const name of ready) {
      sorted.push(name);
      left.delete(name);
    }
  }
  return sorted;
}

/**
 * Columns that may be NULL for a while, so that no key of the circle binds; null where that does not
 * do: a column is NOT NULL, is read by a check, an index's condition or expression, or the table
 * has no primary key by which its rows could be found again.
 */
function linksOf(
  group: readonly TableRestore[],
  circle: readonly TargetKey[],
): ReadonlyMap<TableName, readonly string[]> | null {
  const links = new Map<TableName, string[]>();
  let left = circle.map((key) => key);
  // Self references always; of the others one after the other until no circle is left.
  const cut = (key: TargetKey): boolean => {
    const columns = clearable(group, key);
    if (columns.length === 0) return false;
    const known = links.get(key.child) ?? [];
    links.set(key.child, [...new Set([...known, ...columns])]);
    left = left.filter((each) => !isCleared(each, links));
    return true;
  };
  for (const key of circle.filter(({ child, parent }) => child === parent)) {
    if (left.includes(key) && !cut(key)) return null;
  }
  for (;;) {
    const inCircle = keysInCircles(left);
    if (inCircle.length === 0) return links;
    const next = inCircle.find((key) => clearable(group, key).length > 0);
    if (next === undefined || !cut(next)) return null;
  }
}

/** With one column NULL a key binds no more; under MATCH FULL all of them have to be. */
function isCleared(key: TargetKey, links: ReadonlyMap<TableName, readonly string[]>): boolean {
  const cleared = key.columns.filter((name) => links.get(key.child)?.includes(name) === true);
  return key.matchFull ? cleared.length === key.columns.length : cleared.length > 0;
}

function clearable(group: readonly TableRestore[], key: TargetKey): readonly string[] {
  const target = group.find(({ table }) => table === key.child)?.target;
  if (target === undefined || target.primaryKey.length === 0) return [];
  const isBound = (name: string): boolean =>
    target.columns.find((column) => column.name === name)?.notNull !== false ||
    target.primaryKey.includes(name) ||
    target.checks.some(({ columns }) => columns.includes(name)) ||
    target.uniques.some(
      ({ columns, nullsEqual }) => columns === null || (nullsEqual && columns.includes(name)),
    );
  const free = key.columns.filter((name) => !isBound(name));
  return key.matchFull && free.length < key.columns.length ? [] : free;
}

function keysInCircles(keys: readonly TargetKey[]): TargetKey[] {
  const circles = new EdgeGraph(keys.map(({ child, parent }) => ({ child, parent }))).circles();
  return keys.filter((_, at) => circles[at] !== null && circles[at] !== undefined);
}

function parentsFirst(
  group: readonly TableRestore[],
  circle: readonly TargetKey[],
  links: ReadonlyMap<TableName, readonly string[]>,
): TableRestore[] {
  const binding = circle.filter((key) => !isCleared(key, links));
  const order = inOrder(
    group.map(({ table }) => table),
    binding,
  );
  return order.flatMap((name) => group.filter(({ table }) => table === name));
}
