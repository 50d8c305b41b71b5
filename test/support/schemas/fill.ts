import { escapeLiteral, type Pool } from 'pg';
import { type CrossReference, crossTenants } from './cross-references.ts';
import type { SchemaFacts } from './facts.ts';
import { type FillPlan, planFill } from './fill-plan.ts';
import { type Ownership, tableOf } from './graph.ts';
import { makeRows, type RowCount } from './make-rows.ts';
import { addMissingPartitions } from './partitions.ts';
import type { Owner, Row, Rows } from './rows.ts';
import { quoteList, quoteTable, runScript } from './script.ts';

export type FillOptions = {
  readonly tenants: number;
  /** Of each tenant in each table, where nothing unique forbids it. */
  readonly rows: number;
  /** Which keys carry ownership; default `all`. */
  readonly edges?: Ownership;
  /** Percent of the soft references that point at another tenant's row; with `strict` only. */
  readonly cross?: number;
  /** The columns that the facts name as tenant columns carry ownership too. */
  readonly virtual?: boolean;
};

export type FilledSchema = {
  /** The tenants' keys, as text; the index is the tenant's number. */
  readonly tenants: readonly string[];
  readonly edges: Ownership;
  readonly virtual: boolean;
  /** What was meant: rows by table and owner. */
  readonly counts: ReadonlyMap<string, ReadonlyMap<Owner, number>>;
  /** The references that leave a tenant. */
  readonly crossing: readonly CrossReference[];
};

/** Rows of a table that no tenant owns, and of an owned table that stay without a tenant. */
const sharedRows = 3;
const orphanRows = 1;

/**
 * Fills a loaded schema, the same way each time: every foreign key satisfied, every row with one
 * owner or none, trees for self references, the tenants' rows interleaved in the heap.
 * Needs a superuser (keys are checked afterwards, by the survey, not while cycles are written).
 */
export async function fillSchema(
  pool: Pool,
  facts: SchemaFacts,
  options: FillOptions,
): Promise<FilledSchema> {
  const { edges = 'all', virtual = false } = options;
  const plan = planFill(facts, { edges, virtual });
  const tenants = Array.from({ length: options.tenants }, (_, tenant) => tenant);
  const owners: Owner[] = ['nobody', ...tenants];
  const count = countRows(plan, { tenants, rows: options.rows });
  const rows = makeRows(plan, { owners, count });
  const crossing = crossTenants(rows, { plan, tenants, percent: options.cross ?? 0 });
  await runScript(pool, [
    ...addMissingPartitions(facts),
    'set local session_replication_role = replica',
    ...plan.order.flatMap((table) => insertRows(plan, table, interleave(rows, table, owners))),
    'analyze',
  ]);
  return {
    tenants: tenants.map((tenant) => tenantKey(plan, rows, tenant)),
    edges,
    virtual,
    counts: new Map(plan.order.map((table) => [table, countsOf(rows, table)])),
    crossing,
  };
}

function countRows(
  plan: FillPlan,
  { tenants, rows }: { readonly tenants: readonly number[]; readonly rows: number },
): RowCount {
  const { root, edges } = plan.graph;
  const shared = new Map<string, number>();
  const count: RowCount = (table, owner) => {
    const owned = plan.distances.has(table);
    if (owner !== 'nobody') return !owned ? 0 : table === root ? 1 : rows;
    if (!owned) return shared.get(table) ?? sharedRows;
    return table === root ? 0 : orphanRows;
  };
  const total = (table: string) =>
    tenants.reduce((sum, owner) => sum + count(table, owner), count(table, 'nobody'));
  // One-to-one references need as many shared rows as there are rows that refer to them.
  for (const table of plan.order.toReversed()) {
    const outgoing = edges.filter((edge) => edge.from === table && edge.to !== table);
    const sets = plan.uniqueSets.get(table) ?? [];
    for (const { to, columns } of outgoing) {
      const oneToOne = sets.some((set) => set.columns.every((column) => columns.includes(column)));
      if (oneToOne && !plan.distances.has(to)) {
        shared.set(to, Math.max(total(table), count(to, 'nobody')));
      }
    }
  }
  return count;
}

/** A row of each owner in turn. */
function interleave(rows: Rows, table: string, owners: readonly Owner[]): Row[] {
  const lists = owners.map((owner) => rows.of(table, owner));
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  return Array.from({ length: longest }, (_, at) => lists.flatMap((list) => list[at] ?? [])).flat();
}

function insertRows(plan: FillPlan, key: string, rows: readonly Row[]): string[] {
  if (rows.length === 0) return [];
  const { schema, name, columns } = tableOf(plan.graph, key);
  const written = columns.filter(({ generated }) => generated === undefined).map((it) => it.name);
  const tuples = rows.map(({ values }) => {
    const literals = written.map((column) => {
      const value = values.get(column) ?? null;
      return value === null ? 'null' : escapeLiteral(value);
    });
    return `(${literals.join(', ')})`;
  });
  return [
    `insert into ${quoteTable(schema, name)} (${quoteList(written)}) overriding system value values ${tuples.join(', ')}`,
  ];
}

function tenantKey(plan: FillPlan, rows: Rows, tenant: number): string {
  const key = rows.of(plan.graph.root, tenant)[0]?.values.get(plan.graph.rootColumn);
  if (key === undefined || key === null) throw new Error(`Tenant ${tenant} has no row.`);
  return key;
}

function countsOf(rows: Rows, table: string): ReadonlyMap<Owner, number> {
  return new Map([...rows.owners(table)].map(([owner, list]) => [owner, list.length]));
}
