import {
  type ColumnFacts,
  keyOf,
  type OnDelete,
  type SchemaFacts,
  type TableFacts,
} from './facts.ts';

/**
 * Which keys carry ownership. `all`: every foreign key. `strict`: only those that are mandatory or
 * cascade, and tenant columns; the rest are soft references, which may point anywhere.
 */
export type Ownership = 'all' | 'strict';

/** Rows of `from` point with `columns` at rows of `to`. */
export type Edge = {
  readonly kind: 'foreign-key' | 'tenant-column';
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly columns: readonly string[];
  readonly references: readonly string[];
  /** At least one of the columns may be NULL. */
  readonly nullable: boolean;
  readonly onDelete: OnDelete;
};

export type SchemaGraph = {
  /** By key; a partitioned table stands for its partitions. */
  readonly tables: ReadonlyMap<string, TableFacts>;
  readonly edges: readonly Edge[];
  /** The tenant table and its key. */
  readonly root: string;
  readonly rootColumn: string;
};

/** The tables and how they point at each other; with `virtual`, over tenant columns too. */
export function readGraph(facts: SchemaFacts, virtual: boolean): SchemaGraph {
  const [rootColumn] = facts.tenantRoot.pk;
  if (rootColumn === undefined || facts.tenantRoot.pk.length > 1) {
    throw new Error(`${facts.name}: the tenant's key must be one column.`);
  }
  const tables = new Map(
    facts.tables
      .filter(({ kind }) => kind !== 'partition-of')
      .map((table) => [keyOf(table), table]),
  );
  const graph = {
    tables,
    root: keyOf(facts.tenantRoot),
    rootColumn,
    edges: withoutDoubles(foreignKeyEdges(facts, tables)),
  };
  if (!virtual) return graph;
  return { ...graph, edges: [...graph.edges, ...tenantColumnEdges(facts, graph)] };
}

export function carriesOwnership(edge: Edge, ownership: Ownership): boolean {
  return ownership === 'all' || !isSoft(edge);
}

/** A reference that does not own under `strict`. */
export function isSoft(edge: Edge): boolean {
  return edge.kind === 'foreign-key' && edge.nullable && edge.onDelete !== 'CASCADE';
}

/** Steps from the tenant table to each table that owning edges reach. */
export function ownedTables(graph: SchemaGraph, ownership: Ownership): ReadonlyMap<string, number> {
  const distances = new Map([[graph.root, 0]]);
  for (const [table, distance] of distances) {
    for (const edge of graph.edges) {
      if (edge.to === table && !distances.has(edge.from) && carriesOwnership(edge, ownership)) {
        distances.set(edge.from, distance + 1); // appended, so this loop comes to it: breadth first
      }
    }
  }
  return distances;
}

export function tableOf(graph: SchemaGraph, key: string): TableFacts {
  const table = graph.tables.get(key);
  if (table === undefined) throw new Error(`There is no table ${key}.`);
  return table;
}

/** Columns that cannot be NULL. */
export function mandatoryColumns(table: TableFacts): ReadonlySet<string> {
  const known = mandatoryOf.get(table);
  if (known !== undefined) return known;
  const notNull = table.columns.filter((column) => column.notNull).map(({ name }) => name);
  const mandatory = new Set([...notNull, ...table.primaryKey]);
  mandatoryOf.set(table, mandatory);
  return mandatory;
}

const mandatoryOf = new WeakMap<TableFacts, ReadonlySet<string>>(); // asked for every row

function foreignKeyEdges(facts: SchemaFacts, tables: ReadonlyMap<string, TableFacts>): Edge[] {
  return facts.foreignKeys.map((foreignKey) => {
    const table = tables.get(keyOf(foreignKey.from));
    if (table === undefined || !tables.has(keyOf(foreignKey.to))) {
      throw new Error(`${facts.name}: ${foreignKey.name} lies on a partition.`);
    }
    const mandatory = mandatoryColumns(table);
    return {
      kind: 'foreign-key',
      name: foreignKey.name,
      from: keyOf(foreignKey.from),
      to: keyOf(foreignKey.to),
      columns: foreignKey.from.columns,
      references: foreignKey.to.columns,
      nullable: foreignKey.from.columns.some((column) => !mandatory.has(column)),
      onDelete: foreignKey.onDelete,
    };
  });
}

/** Of two keys over the same columns, the one that owns. */
function withoutDoubles(edges: readonly Edge[]): Edge[] {
  const byColumns = new Map<string, Edge>();
  for (const edge of edges) {
    const id = JSON.stringify([edge.from, edge.columns, edge.to, edge.references]);
    const known = byColumns.get(id);
    if (known === undefined || (isSoft(known) && !isSoft(edge))) byColumns.set(id, edge);
  }
  return [...byColumns.values()];
}

function tenantColumnEdges(facts: SchemaFacts, graph: SchemaGraph): Edge[] {
  const names = new Set(facts.tenantColumns);
  const key = tableOf(graph, graph.root).columns.find(({ name }) => name === graph.rootColumn);
  const holdsTenant = (table: string, column: ColumnFacts) =>
    names.has(column.name) &&
    column.generated === undefined &&
    comparableType(column) === comparableType(key) &&
    !graph.edges.some(
      (edge) =>
        edge.from === table &&
        edge.columns.includes(column.name) &&
        (edge.to === graph.root || edge.columns.length === 1),
    );
  return [...graph.tables].flatMap(([table, { columns }]) =>
    table === graph.root
      ? []
      : columns
          .filter((column) => holdsTenant(table, column))
          .map((column) => ({
            kind: 'tenant-column' as const,
            name: `${table}.${column.name}`,
            from: table,
            to: graph.root,
            columns: [column.name],
            references: [graph.rootColumn],
            nullable: !column.notNull,
            onDelete: 'NO ACTION' as const,
          })),
  );
}

/** Types whose values compare, under one name. */
function comparableType(column: ColumnFacts | undefined): string | undefined {
  return column?.type
    .replace(/\(.*\)/, '')
    .replace(/^character varying$|^character$/, 'text')
    .replace(/^(smallint|integer|numeric)$/, 'bigint');
}
