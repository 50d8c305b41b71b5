import { createHash } from 'node:crypto';
import { escapeIdentifier, type Pool } from 'pg';
import type { SchemaFacts } from './facts.ts';
import type { FilledSchema } from './fill.ts';
import {
  carriesOwnership,
  type Edge,
  isSoft,
  readGraph,
  type SchemaGraph,
  tableOf,
} from './graph.ts';
import type { Owner } from './rows.ts';
import { quoteTable, runScript } from './script.ts';

/** A row of the database. */
export type SurveyedRow = {
  /** Its primary key, or all of it where there is none. */
  readonly key: string;
  readonly values: ReadonlyMap<string, string | null>;
  /** The tenant from whose row the owning keys lead to this one. */
  owner: Owner;
};

/** Who owns what, as the foreign keys' values in the database tell. */
export type Survey = {
  readonly graph: SchemaGraph;
  readonly filled: Pick<FilledSchema, 'tenants' | 'edges' | 'virtual'>;
  readonly rows: ReadonlyMap<string, readonly SurveyedRow[]>;
  /** By table and owner. */
  readonly totals: ReadonlyMap<string, ReadonlyMap<Owner, { count: number; checksum: string }>>;
  /** Rows that several tenants own, and keys that point at nothing: none, in sound data. */
  readonly faults: readonly string[];
};

/**
 * Reads every row of the schema's tables, in one snapshot, and follows the owning keys from the
 * tenants' rows. Knows nothing of what the filler meant. Holds all rows in memory.
 */
export async function surveyOwners(
  pool: Pool,
  facts: SchemaFacts,
  filled: Survey['filled'],
): Promise<Survey> {
  const graph = readGraph(facts, filled.virtual);
  return judgeRows(graph, filled, await readRows(pool, graph));
}

/** The survey of rows that were read; changes their owners. */
export function judgeRows(
  graph: SchemaGraph,
  filled: Survey['filled'],
  rows: Survey['rows'],
): Survey {
  for (const row of [...rows.values()].flat()) row.owner = 'nobody';
  const faults = [...followKeys(graph, rows, filled), ...findDangling(graph, rows)];
  const totals = new Map([...rows].map(([table, list]) => [table, sumUp(list)]));
  return { graph, filled, rows, totals, faults };
}

/** The rows by the values of some columns; rows with a NULL among them are left out. */
export function indexRows(
  rows: readonly SurveyedRow[],
  columns: readonly string[],
): Map<string, SurveyedRow[]> {
  const index = new Map<string, SurveyedRow[]>();
  for (const row of rows) {
    const key = valuesKey(row, columns);
    if (key === undefined) continue;
    const found = index.get(key);
    if (found === undefined) index.set(key, [row]);
    else found.push(row);
  }
  return index;
}

/** Undefined where one of the columns is NULL. */
export function valuesKey(row: SurveyedRow, columns: readonly string[]): string | undefined {
  const values = columns.map((column) => row.values.get(column) ?? null);
  return values.includes(null) ? undefined : JSON.stringify(values);
}

async function readRows(
  pool: Pool,
  graph: SchemaGraph,
): Promise<Map<string, readonly SurveyedRow[]>> {
  const tables = [...graph.tables];
  const [, ...results] = await runScript(pool, [
    'set transaction isolation level repeatable read, read only',
    ...tables.map(([, { schema, name, columns, partitionKey }]) => {
      const texts = columns.map((column) => `${escapeIdentifier(column.name)}::text`);
      // What inherits from a table is a table of its own; partitions are not.
      const only = partitionKey === undefined ? 'only ' : '';
      return `select ${texts.join(', ')} from ${only}${quoteTable(schema, name)}`;
    }),
  ]);
  return new Map(
    tables.map(([table, { columns, primaryKey }], at) => {
      const key = primaryKey.length > 0 ? primaryKey : columns.map(({ name }) => name);
      const rows = results[at]?.rows.map((row) => {
        const values = new Map(columns.map(({ name }, place) => [name, row[place] ?? null]));
        const named = key.map((column) => `${column}=${values.get(column) ?? 'NULL'}`).join(', ');
        return { key: named, values, owner: 'nobody' as const };
      });
      return [table, rows ?? []];
    }),
  );
}

/** Gives every row that owning keys reach its owner; answers with the rows of several. */
function followKeys(
  graph: SchemaGraph,
  rows: ReadonlyMap<string, readonly SurveyedRow[]>,
  { tenants, edges }: Survey['filled'],
): string[] {
  const owning = graph.edges
    .filter((edge) => carriesOwnership(edge, edges))
    .map((edge) => ({ edge, index: indexRows(rows.get(edge.from) ?? [], edge.columns) }));
  const conflicts: string[] = [];
  const roots = indexRows(rows.get(graph.root) ?? [], [graph.rootColumn]);
  for (const [tenant, key] of tenants.entries()) {
    let reached = take(graph.root, roots.get(JSON.stringify([key])) ?? []);
    while (reached.length > 0) {
      reached = reached.flatMap(({ table, row }) =>
        owning
          .filter(({ edge }) => edge.to === table)
          .flatMap(({ edge, index }) =>
            take(edge.from, index.get(valuesKey(row, edge.references) ?? '') ?? []),
          ),
      );
    }
    function take(table: string, candidates: readonly SurveyedRow[]) {
      return candidates
        .filter((row) => row.owner !== tenant)
        .map((row) => {
          if (row.owner !== 'nobody') {
            conflicts.push(`${table} (${row.key}) belongs to tenants ${row.owner} and ${tenant}.`);
          }
          row.owner = tenant;
          return { table, row };
        });
    }
  }
  return conflicts;
}

function findDangling(
  graph: SchemaGraph,
  rows: ReadonlyMap<string, readonly SurveyedRow[]>,
): string[] {
  const foreignKeys = graph.edges.filter(({ kind }) => kind === 'foreign-key');
  return foreignKeys.flatMap((edge) => {
    const targets = indexRows(rows.get(edge.to) ?? [], edge.references);
    return (rows.get(edge.from) ?? []).flatMap((row) => {
      const key = valuesKey(row, edge.columns);
      if (key === undefined || targets.has(key)) return [];
      return [`${edge.from} (${row.key}): ${edge.name} points at nothing.`];
    });
  });
}

function sumUp(rows: readonly SurveyedRow[]): Map<Owner, { count: number; checksum: string }> {
  const texts = new Map<Owner, string[]>();
  for (const { owner, values } of rows) {
    texts.set(owner, [...(texts.get(owner) ?? []), JSON.stringify([...values.values()])]);
  }
  return new Map(
    [...texts].map(([owner, list]) => {
      const checksum = createHash('md5').update(list.sort().join('\n')).digest('hex');
      return [owner, { count: list.length, checksum }];
    }),
  );
}

/** Columns of each table that a survivor may lose: those of soft references, under `strict`. */
export function softEdges({ graph, filled }: Survey, table: string): Edge[] {
  if (filled.edges === 'all') return [];
  const { primaryKey } = tableOf(graph, table);
  return graph.edges.filter(
    (edge) =>
      edge.from === table &&
      isSoft(edge) &&
      !edge.columns.some((column) => primaryKey.includes(column)),
  );
}
