import type { TableName } from '../../domain/ids.ts';
import type { CatalogueForeignKey } from '../catalogue.ts';
import { compareText, sortedBy } from '../schema-map.ts';
import { EdgeGraph } from './edge-graph.ts';

/** `child` must be deleted before `parent`. */
export interface OrderEdge {
  readonly child: TableName;
  readonly parent: TableName;
  /** The foreign keys that ask for it; none where only the tenant row's place at the end does. */
  readonly keys: readonly CatalogueForeignKey[];
  /** True where rows of `child` are found by way of `parent`: they must go while it is there. */
  readonly isPath: boolean;
  /** True where each of the keys can be set to NULL in the tenant's own rows beforehand. */
  readonly clearable: boolean;
}

export interface BrokenCycles {
  /** Edges without a cycle; those inside a component are left out. */
  readonly kept: readonly OrderEdge[];
  /** Edges whose keys are to be cleared beforehand. */
  readonly cleared: readonly OrderEdge[];
  /** Circles of edges that cannot be cleared: their tables go together. */
  readonly components: readonly Component[];
}

/** Tables, each of which must go before another of them. */
export interface Component {
  /** Sorted; in an order that suits all other keys where `deferredKeys` are checked at the end. */
  readonly tables: readonly TableName[];
  /** One circle through them, for people. */
  readonly cycle: readonly OrderEdge[];
  /** Keys that can be deferred, so that what is left has an order; null where that does not suffice. */
  readonly deferredKeys: readonly CatalogueForeignKey[] | null;
}

/**
 * Takes edges away until no cycle is left: those that can be cleared where that suffices, as few as
 * a greedy choice finds. Tables in a circle of edges that cannot be cleared become one component.
 * Pure; the order of `edges` does not matter.
 */
export function breakCycles(edges: readonly OrderEdge[]): BrokenCycles {
  const sorted = sortedBy(edges, edgeText);
  const components = findTogether(sorted);
  const leader = new Map(
    components.flatMap(({ tables }) => tables.map((table) => [table, tables[0] ?? table] as const)),
  );
  const leaderOf = (table: TableName): TableName => leader.get(table) ?? table;
  // A component counts as one table.
  const original = new Map<OrderEdge, OrderEdge>();
  for (const edge of sorted) {
    const [child, parent] = [leaderOf(edge.child), leaderOf(edge.parent)];
    if (child !== parent) original.set({ ...edge, child, parent }, edge);
  }
  const { kept, cleared } = cutClearable([...original.keys()]);
  const restore = (cut: readonly OrderEdge[]): OrderEdge[] =>
    cut.map((edge) => original.get(edge) ?? edge);
  return { kept: restore(kept), cleared: restore(cleared), components };
}

/** Circle by circle: a cut in one changes nothing about another. */
function cutClearable(edges: readonly OrderEdge[]): {
  readonly kept: readonly OrderEdge[];
  readonly cleared: readonly OrderEdge[];
} {
  const cleared: OrderEdge[] = [];
  const open = circlesOf(edges);
  for (let circle = open.shift(); circle !== undefined; circle = open.shift()) {
    const best = bestCut(circle);
    if (best === undefined) continue;
    cleared.push(best);
    open.push(...circlesOf(circle.filter((edge) => edge !== best)));
  }
  const cut = new Set(cleared);
  let kept = edges.filter((edge) => !cut.has(edge));
  // A later cut may have made an earlier one needless.
  const needed: OrderEdge[] = [];
  for (const edge of cleared) {
    if (edgesInCycles([...kept, edge]).length > 0) needed.push(edge);
    else kept = [...kept, edge];
  }
  return { kept, cleared: needed };
}

function findTogether(edges: readonly OrderEdge[]): Component[] {
  const groups = circlesOf(edges.filter((edge) => !edge.clearable)).map((circle) => [
    ...new Set(circle.map((edge) => edge.child)),
  ]);
  const found = groups.map((tables) => {
    const members = new Set(tables);
    const inside = edges.filter(({ child, parent }) => members.has(child) && members.has(parent));
    return makeComponent(tables.sort(), inside);
  });
  return sortedBy(found, ({ tables }) => tables[0] ?? '');
}

function makeComponent(tables: readonly TableName[], inside: readonly OrderEdge[]): Component {
  const cycle = shortestCycle(inside.filter((edge) => !edge.clearable));
  const firm = inside.filter((edge) => !isDeferrable(edge));
  if (edgesInCycles(firm).length > 0) return { tables, cycle, deferredKeys: null };
  const deferredKeys = inside.filter(isDeferrable).flatMap((edge) => edge.keys);
  return { tables: childrenFirst(tables, firm), cycle, deferredKeys };
}

/** Only the check of NO ACTION can wait for the end of a transaction; an action never does. */
const isDeferrable = (edge: OrderEdge): boolean =>
  !edge.isPath &&
  edge.keys.length > 0 &&
  edge.keys.every((key) => key.deferrable && key.onDelete === 'NO ACTION');

/** For edges without a cycle. */
function childrenFirst(tables: readonly TableName[], edges: readonly OrderEdge[]): TableName[] {
  const children = new Map<TableName, number>();
  for (const { parent } of edges) children.set(parent, (children.get(parent) ?? 0) + 1);
  const parents = parentsOf(edges);
  const sorted: TableName[] = [];
  const open = [...tables];
  while (open.length > 0) {
    const free = open.findIndex((table) => (children.get(table) ?? 0) === 0);
    for (const next of open.splice(Math.max(free, 0), 1)) {
      sorted.push(next);
      for (const { parent } of parents.get(next) ?? []) {
        children.set(parent, (children.get(parent) ?? 0) - 1);
      }
    }
  }
  return sorted;
}

/**
 * The cut that leaves the fewest edges in cycles; then the one that clears the fewest keys; then
 * keys that the schema itself calls mere references; then by name. Never by statistics: a plan must
 * not change with the number of rows.
 */
function bestCut(circle: readonly OrderEdge[]): OrderEdge | undefined {
  const graph = new EdgeGraph(circle);
  const references = (edge: OrderEdge): number =>
    edge.keys.filter((key) => key.onDelete === 'SET NULL').length;
  const cuts = circle.flatMap((edge, index) =>
    edge.clearable ? [{ edge, left: graph.inCyclesWithout(index) }] : [],
  );
  const [best] = cuts.sort(
    (one, two) =>
      one.left - two.left ||
      one.edge.keys.length - two.edge.keys.length ||
      references(two.edge) - references(one.edge) ||
      compareText(edgeText(one.edge), edgeText(two.edge)),
  );
  return best?.edge;
}

/** The edges of each strongly connected component, in the order in which they are given. */
function circlesOf(edges: readonly OrderEdge[]): OrderEdge[][] {
  const circles = new Map<number, OrderEdge[]>();
  for (const [index, circle] of new EdgeGraph(edges).circles().entries()) {
    const edge = edges[index];
    if (circle === null || edge === undefined) continue;
    const known = circles.get(circle);
    if (known === undefined) circles.set(circle, [edge]);
    else known.push(edge);
  }
  return [...circles.values()];
}

const edgesInCycles = (edges: readonly OrderEdge[]): OrderEdge[] => circlesOf(edges).flat();

/** The shortest cycle among the edges, the first by name of several; empty where there is none. */
function shortestCycle(edges: readonly OrderEdge[]): readonly OrderEdge[] {
  const parents = parentsOf(edges);
  let shortest: readonly OrderEdge[] = [];
  for (const start of [...parents.keys()].sort()) {
    const lengthMax = shortest.length === 0 ? Number.POSITIVE_INFINITY : shortest.length - 1;
    const cycle = cycleThrough(start, parents, lengthMax);
    if (cycle.length > 0) shortest = cycle;
  }
  return shortest;
}

/** A walk, told from its end. */
interface Walk {
  readonly edge: OrderEdge;
  readonly before: Walk | null;
}

function cycleThrough(
  start: TableName,
  parents: ReadonlyMap<TableName, readonly OrderEdge[]>,
  lengthMax: number,
): readonly OrderEdge[] {
  const reached = new Set<TableName>();
  let walks: readonly Walk[] = (parents.get(start) ?? []).map((edge) => ({ edge, before: null }));
  for (let length = 1; walks.length > 0 && length <= lengthMax; length += 1) {
    const closed = walks.find(({ edge }) => edge.parent === start);
    if (closed !== undefined) return edgesOf(closed);
    const longer: Walk[] = [];
    for (const walk of walks) {
      const end = walk.edge.parent;
      if (reached.has(end)) continue;
      reached.add(end);
      for (const edge of parents.get(end) ?? []) longer.push({ edge, before: walk });
    }
    walks = longer;
  }
  return [];
}

function edgesOf(walk: Walk): OrderEdge[] {
  const edges: OrderEdge[] = [];
  for (let at: Walk | null = walk; at !== null; at = at.before) edges.push(at.edge);
  return edges.reverse();
}

function parentsOf(edges: readonly OrderEdge[]): ReadonlyMap<TableName, readonly OrderEdge[]> {
  const parents = new Map<TableName, OrderEdge[]>();
  for (const edge of edges) {
    const known = parents.get(edge.child);
    if (known === undefined) parents.set(edge.child, [edge]);
    else known.push(edge);
  }
  return parents;
}

const edgeText = (edge: OrderEdge): string => `${edge.child} ${edge.parent}`;
