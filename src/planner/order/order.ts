import type { TableName } from '../../domain/ids.ts';
import { type PlanLevel, pathsBelow, type TenantPath, tablesOnPath } from '../../domain/plan.ts';
import type { CatalogueForeignKey } from '../catalogue.ts';
import { type SchemaMap, sortedBy } from '../schema-map.ts';
import { type FixedColumns, massClearableColumns } from './clear-columns.ts';
import { type BrokenCycles, breakCycles, type Component, type OrderEdge } from './cycles.ts';
import { EdgeGraph } from './edge-graph.ts';

type Paths = ReadonlyMap<TableName, TenantPath>;

/** Tables that may be deleted together. */
interface LevelDraft {
  readonly stage: PlanLevel['stage'];
  /** Of a component only the first table by name. */
  readonly tables: readonly TableName[];
}

export interface Order {
  readonly drafts: readonly LevelDraft[];
  /** By the first of its tables by name. */
  readonly components: ReadonlyMap<TableName, Component>;
  /** Keys to be cleared beforehand, so that an order exists. */
  readonly clearedKeys: readonly CatalogueForeignKey[];
  /** Keys of tables to themselves that can be cleared, for tables deleted by more than one statement. */
  readonly selfKeys: readonly CatalogueForeignKey[];
  /** Core tables that the plan deletes, sorted. */
  readonly core: readonly TableName[];
}

/** What decides the order besides the keys. */
interface OrderInput {
  readonly paths: Paths;
  /** Rows of others that go as well; they are never cleared beforehand, only deleted. */
  readonly also: ReadonlyMap<TableName, readonly TenantPath[]>;
  readonly fixed: FixedColumns;
  /** One-to-one parents: they go after the rows by which they are found. */
  readonly followed: ReadonlySet<TableName>;
  readonly core: ReadonlySet<TableName>;
  readonly tenant: TableName;
}

/**
 * Orders the owned tables: each before every table it refers to, whatever the action of the key, so
 * that nothing is left for the database to cascade, and before every table by which its rows are
 * found; the tenant table last of all. Pure.
 */
export function orderTables(map: SchemaMap, input: OrderInput): Order {
  const { paths, fixed, tenant } = input;
  const broken = breakCycles(findEdges(map, input));
  const selfKeys = findSelfKeys(map, input);
  const components = withSelfReferences(broken.components, map, input, selfKeys);
  const leaders = new Map<TableName, TableName>();
  for (const [leader, { tables }] of components) {
    for (const table of tables) leaders.set(table, leader);
  }
  const leaderOf = (table: TableName): TableName => leaders.get(table) ?? table;
  const edges = broken.kept.map((edge) => ({
    child: leaderOf(edge.child),
    parent: leaderOf(edge.parent),
  }));
  const core = new Set([...input.core].filter((table) => paths.has(table) && table !== tenant));
  const units = new Set([...paths.keys(), ...input.also.keys()].map(leaderOf));
  return {
    drafts: draftLevels(units, edges, new Set([...core].map(leaderOf)), leaderOf(tenant)),
    components,
    clearedKeys: broken.cleared.flatMap((edge) => edge.keys),
    selfKeys: selfKeys.filter(
      (key) => !leaders.has(key.child) && massClearableColumns(map, fixed, key) !== null,
    ),
    core: [...core].sort(),
  };
}

/** A character that no name in PostgreSQL can have. */
const SEPARATOR = '\u0000';

const pairOf = (child: TableName, parent: TableName): string => `${child}${SEPARATOR}${parent}`;

const tablesOf = (pair: string): [TableName, TableName] =>
  pair.split(SEPARATOR) as [TableName, TableName];

/** One edge for each pair of tables: with foreign keys between them, or one on the path of the other. */
function findEdges(
  map: SchemaMap,
  { paths, also, fixed, followed, tenant }: OrderInput,
): OrderEdge[] {
  const isDoomed = (table: TableName): boolean => paths.has(table) || also.has(table);
  const pairs = new Map<string, CatalogueForeignKey[]>();
  const edges: OrderEdge[] = [];
  for (const key of map.foreignKeys) {
    if (key.child === key.parent || !isDoomed(key.child) || !isDoomed(key.parent)) continue;
    if (key.enforced === false) continue;
    const pair = pairOf(key.child, key.parent);
    const known = pairs.get(pair);
    if (known === undefined) pairs.set(pair, [key]);
    else known.push(key);
  }
  const onPath = new Set<string>();
  const implied = new Map<TableName, ReadonlySet<TableName>>();
  for (const [table, path] of [
    ...paths,
    ...[...also].flatMap(([table, more]) => more.map((path) => [table, path] as const)),
  ]) {
    if (followed.has(table)) {
      for (const way of path.ways) {
        if (way.kind === 'child') onPath.add(pairOf(way.child.table, table));
      }
      continue;
    }
    const all = tablesOnPath(path);
    const next = pathsBelow(path);
    // What the next table's own path says need not be said again.
    const isImplied = next.every(
      (inner) => paths.get(inner.table) === inner && !followed.has(inner.table),
    );
    for (const other of isImplied ? next.map((inner) => inner.table) : all) {
      if (other !== table && paths.has(other)) onPath.add(pairOf(table, other));
    }
    if (isImplied) implied.set(table, new Set([...all, ...(implied.get(table) ?? [])]));
  }
  // One-to-one parents of the tenant row itself can only go after it.
  const isAfterTenant = (table: TableName): boolean => {
    const path = paths.get(table);
    return followed.has(table) && path !== undefined && tablesOnPath(path).has(tenant);
  };
  const toTenant = [...paths.keys(), ...also.keys()]
    .filter((table) => table !== tenant && !isAfterTenant(table))
    .map((table) => pairOf(table, tenant));
  for (const pair of impliedPairs(implied, [...pairs.keys(), ...onPath, ...toTenant], paths)) {
    onPath.add(pair);
  }
  for (const pair of new Set([...pairs.keys(), ...onPath, ...toTenant])) {
    const keys = pairs.get(pair) ?? [];
    const [child, parent] = tablesOf(pair);
    const isPath = onPath.has(pair);
    const clearable =
      !isPath &&
      parent !== tenant &&
      !also.has(child) &&
      keys.every((key) => massClearableColumns(map, fixed, key) !== null);
    edges.push({ child, parent, keys, isPath, clearable });
  }
  return edges;
}

/**
 * The pairs further up the paths. Tables in a circle, and those with a key between them, need each of
 * theirs: it may not be cleared. Elsewhere the pairs on the way ask for the same order, and a chain of
 * thousands of tables would have millions.
 */
function impliedPairs(
  implied: ReadonlyMap<TableName, ReadonlySet<TableName>>,
  known: readonly string[],
  paths: Paths,
): string[] {
  const edges = known.map((pair) => {
    const [child, parent] = tablesOf(pair);
    return { child, parent };
  });
  const circleOf = new Map<TableName, number>();
  for (const [index, circle] of new EdgeGraph(edges).circles().entries()) {
    const edge = edges[index];
    if (circle === null || edge === undefined) continue;
    circleOf.set(edge.child, circle);
  }
  const keyed = new Set(known);
  return [...implied].flatMap(([table, others]) => {
    const circle = circleOf.get(table);
    return [...others]
      .filter((other) => other !== table && paths.has(other))
      .filter(
        (other) =>
          (circle !== undefined && circleOf.get(other) === circle) ||
          keyed.has(pairOf(table, other)),
      )
      .map((other) => pairOf(table, other));
  });
}

/** A one-to-one parent goes only once nothing refers to it, which keeps the order by itself. */
const findSelfKeys = (
  map: SchemaMap,
  { paths, also, followed, tenant }: OrderInput,
): CatalogueForeignKey[] =>
  map.foreignKeys.filter(
    (key) =>
      key.child === key.parent &&
      key.child !== tenant &&
      !followed.has(key.child) &&
      key.enforced !== false &&
      (paths.has(key.child) || also.has(key.child)),
  );

/**
 * A table whose references to itself cannot be cleared, or not those of the others whose rows go as
 * well, goes in one statement: a component of one.
 */
function withSelfReferences(
  components: BrokenCycles['components'],
  map: SchemaMap,
  { fixed, also }: OrderInput,
  selfKeys: readonly CatalogueForeignKey[],
): ReadonlyMap<TableName, Component> {
  const all = new Map(components.map((found) => [[...found.tables].sort()[0] as TableName, found]));
  const members = new Set(components.flatMap(({ tables }) => tables));
  for (const key of selfKeys) {
    const isClearable = !also.has(key.child) && massClearableColumns(map, fixed, key) !== null;
    if (members.has(key.child) || isClearable) continue;
    const edge = {
      child: key.child,
      parent: key.child,
      keys: [key],
      isPath: false,
      clearable: false,
    };
    all.set(key.child, { tables: [key.child], cycle: [edge], deferredKeys: null });
  }
  return all;
}

type Edge = Pick<OrderEdge, 'child' | 'parent'>;

/**
 * Dependents, core, tenant; then what the tenant row itself refers to, its one-to-one parents. A
 * table that core tables refer to cannot go before them and stands with the core; whatever else
 * there is depends on nothing there and goes first.
 */
function draftLevels(
  tables: ReadonlySet<TableName>,
  edges: readonly Edge[],
  core: ReadonlySet<TableName>,
  tenant: TableName,
): LevelDraft[] {
  const afterTenant = referredTo(new Set([tenant]), edges);
  const withCore = referredTo(core, edges);
  const dependents = [...tables].filter((table) => !afterTenant.has(table) && !withCore.has(table));
  const isCore = (table: TableName): boolean => withCore.has(table) && !afterTenant.has(table);
  const parents = [...afterTenant].filter((table) => table !== tenant);
  return [
    ...layer(dependents, edges).map((layer) => ({ stage: 'dependents' as const, tables: layer })),
    ...layer([...withCore].filter(isCore), edges).map((layer) => ({
      stage: 'core' as const,
      tables: layer,
    })),
    { stage: 'tenant', tables: [tenant] },
    ...layer(parents, edges).map((layer) => ({ stage: 'tenant' as const, tables: layer })),
  ];
}

/** The tables themselves, and whatever they refer to, directly or not. */
function referredTo(start: ReadonlySet<TableName>, edges: readonly Edge[]): Set<TableName> {
  const parents = new Map<TableName, TableName[]>();
  for (const { child, parent } of edges) {
    const known = parents.get(child);
    if (known === undefined) parents.set(child, [parent]);
    else known.push(parent);
  }
  const found = new Set(start);
  // A Set's iteration also visits what is added meanwhile.
  for (const table of found) for (const parent of parents.get(table) ?? []) found.add(parent);
  return found;
}

/** Each table one layer above the highest of its children: as early as it can go. */
function layer(tables: readonly TableName[], edges: readonly Edge[]): TableName[][] {
  const children = new Map<TableName, TableName[]>(tables.map((table) => [table, []]));
  for (const edge of edges) {
    if (children.has(edge.child)) children.get(edge.parent)?.push(edge.child);
  }
  const heights = new Map<TableName, number>();
  const heightOf = (table: TableName): number => {
    const known = heights.get(table);
    if (known !== undefined) return known;
    const height = Math.max(-1, ...(children.get(table) ?? []).map(heightOf)) + 1;
    heights.set(table, height);
    return height;
  };
  const layers: TableName[][] = [];
  for (const table of sortedBy(tables, (name) => name)) {
    const height = heightOf(table);
    while (layers.length <= height) layers.push([]);
    layers[height]?.push(table);
  }
  return layers;
}
