import type { ColumnFacts, SchemaFacts } from './facts.ts';
import {
  type Edge,
  mandatoryColumns,
  type Ownership,
  ownedTables,
  readGraph,
  type SchemaGraph,
  tableOf,
} from './graph.ts';
import { type UniqueSet, uniqueSets } from './uniqueness.ts';

/** In which order a schema is filled. */
export type FillPlan = {
  readonly graph: SchemaGraph;
  readonly ownership: Ownership;
  /** Steps from the tenant table to each table that has owners. */
  readonly distances: ReadonlyMap<string, number>;
  /** Tables, those that others point at first. */
  readonly order: readonly string[];
  /** Edges that close a cycle: settled when all rows of an owner are there. All may be NULL. */
  readonly deferred: ReadonlySet<Edge>;
  /** Columns of each table that some edge points at. */
  readonly referenced: ReadonlyMap<string, ReadonlySet<string>>;
  /** What may not be the same in two rows of a table. */
  readonly uniqueSets: ReadonlyMap<string, readonly UniqueSet[]>;
  /** The values of a column's enumeration; undefined for other types. */
  labelsOf(column: ColumnFacts): readonly string[] | undefined;
};

export function planFill(
  facts: SchemaFacts,
  options: { readonly edges: Ownership; readonly virtual: boolean },
): FillPlan {
  const graph = readGraph(facts, options.virtual);
  const distances = ownedTables(graph, options.edges);
  const referenced = new Map<string, Set<string>>();
  for (const edge of graph.edges) {
    const columns = referenced.get(edge.to) ?? new Set();
    referenced.set(edge.to, columns);
    for (const column of edge.references) columns.add(column);
  }
  const deferred = new Set<Edge>();
  let cycles = findCycles(graph, deferred);
  while (cycles.length > 0) {
    for (const cycle of cycles) deferred.add(weakestEdge(cycle, { graph, distances, referenced }));
    cycles = findCycles(graph, deferred);
  }
  const order = components(graph, deferred).flat();
  const labels = new Map(facts.enums.map((type) => [`${type.schema}.${type.name}`, type.values]));
  const labelsOf = (column: ColumnFacts) => labels.get(column.type.replaceAll('"', ''));
  return {
    graph,
    ownership: options.edges,
    distances,
    order,
    deferred,
    referenced,
    uniqueSets: findUniqueSets(graph, labelsOf),
    labelsOf,
  };
}

function findUniqueSets(graph: SchemaGraph, labelsOf: FillPlan['labelsOf']) {
  return new Map(
    [...graph.tables].map(([key, table]) => {
      const edges = graph.edges.filter((edge) => edge.from === key);
      const keyColumns = new Set(edges.flatMap(({ columns }) => columns));
      return [key, uniqueSets(table, { keyColumns, labelsOf })];
    }),
  );
}

/** Edges between different tables that lie on a cycle, by cycle. */
function findCycles(graph: SchemaGraph, deferred: ReadonlySet<Edge>): Edge[][] {
  return components(graph, deferred)
    .filter((component) => component.length > 1)
    .map((component) =>
      early(graph, deferred).filter(
        (edge) => component.includes(edge.from) && component.includes(edge.to),
      ),
    );
}

function early(graph: SchemaGraph, deferred: ReadonlySet<Edge>): Edge[] {
  return graph.edges.filter((edge) => edge.from !== edge.to && !deferred.has(edge));
}

/** The edge whose columns matter least to anything else. */
function weakestEdge(
  cycle: readonly Edge[],
  { graph, distances, referenced }: Pick<FillPlan, 'graph' | 'distances' | 'referenced'>,
): Edge {
  const weight = (edge: Edge) => {
    const isReferenced = edge.columns.some((column) => referenced.get(edge.from)?.has(column));
    const isKey = edge.columns.some((column) =>
      tableOf(graph, edge.from).primaryKey.includes(column),
    );
    const leadsToTenant = distanceOf(distances, edge.to) < distanceOf(distances, edge.from);
    return (isReferenced ? 50 : 0) + (isKey ? 40 : 0) + (leadsToTenant ? 10 : 0);
  };
  const candidates = cycle.filter((edge) =>
    edge.columns.every((column) => !mandatoryColumns(tableOf(graph, edge.from)).has(column)),
  );
  const [weakest] = candidates.toSorted((a, b) => weight(a) - weight(b));
  if (weakest === undefined) {
    const names = cycle.map(({ name }) => name).join(', ');
    throw new Error(`Only mandatory keys on the cycle of ${names}.`);
  }
  return weakest;
}

function distanceOf(distances: ReadonlyMap<string, number>, table: string): number {
  return distances.get(table) ?? Number.POSITIVE_INFINITY;
}

/** Strongly connected tables (Tarjan), those that others point at first. */
function components(graph: SchemaGraph, deferred: ReadonlySet<Edge>): string[][] {
  const edges = early(graph, deferred);
  const numbers = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (table: string): number => {
    const number = numbers.size;
    numbers.set(table, number);
    stack.push(table);
    let lowest = number;
    for (const { from, to } of edges) {
      if (from !== table) continue;
      if (!numbers.has(to)) lowest = Math.min(lowest, visit(to));
      else if (stack.includes(to)) lowest = Math.min(lowest, numbers.get(to) ?? lowest);
    }
    if (lowest === number) found.push(stack.splice(stack.indexOf(table)));
    return lowest;
  };
  for (const table of graph.tables.keys()) if (!numbers.has(table)) visit(table);
  return found;
}
