import type { OnDelete } from './facts.ts';
import type { FillPlan } from './fill-plan.ts';
import { type Edge, isSoft, mandatoryColumns, tableOf } from './graph.ts';
import type { Owner, Rows } from './rows.ts';
import { hash } from './values.ts';

/** A row's reference to another tenant's row. */
export type CrossReference = {
  readonly table: string;
  readonly columns: readonly string[];
  readonly to: string;
  readonly onDelete: OnDelete;
  readonly from: Owner;
  readonly toTenant: number;
};

/**
 * Turns `percent` of the soft references, also empty ones and nobody's, to another tenant's row.
 * Only where ownership is strict, and only columns that serve nothing else.
 */
export function crossTenants(
  rows: Rows,
  {
    plan,
    tenants,
    percent,
  }: { readonly plan: FillPlan; readonly tenants: readonly number[]; readonly percent: number },
): CrossReference[] {
  if (plan.ownership !== 'strict' || percent === 0) return [];
  const owners: Owner[] = ['nobody', ...tenants];
  return plan.graph.edges
    .filter((edge) => mayCross(edge, plan))
    .flatMap((edge) =>
      owners.flatMap((owner) => crossEdge(rows, { edge, owner, tenants, percent })),
    );
}

function crossEdge(
  rows: Rows,
  options: {
    readonly edge: Edge;
    readonly owner: Owner;
    readonly tenants: readonly number[];
    readonly percent: number;
  },
): CrossReference[] {
  const { edge, owner, tenants } = options;
  const others = tenants.filter((tenant) => tenant !== owner);
  return rows.of(edge.from, owner).flatMap(({ index, values }) => {
    const chosen = hash(`cross ${edge.name} ${owner} ${index}`) % 100 < options.percent;
    // Tenants in turn, starting after the row's own.
    const start = owner === 'nobody' ? 0 : owner;
    const toTenant = others[(start + index) % others.length];
    if (!chosen || toTenant === undefined) return [];
    const targets = rows.candidates(edge, toTenant, new Map());
    const target = targets[index % targets.length];
    if (target === undefined) return [];
    for (const [at, column] of edge.columns.entries()) {
      values.set(column, target.values.get(edge.references[at] ?? '') ?? null);
    }
    const { from: table, columns, to, onDelete } = edge;
    return [{ table, columns, to, onDelete, from: owner, toTenant }];
  });
}

function mayCross(edge: Edge, { graph, distances, referenced, uniqueSets }: FillPlan): boolean {
  const others = graph.edges.filter((other) => other.from === edge.from && other !== edge);
  const unique = uniqueSets.get(edge.from) ?? [];
  const taken = new Set([
    ...mandatoryColumns(tableOf(graph, edge.from)),
    ...(referenced.get(edge.from) ?? []),
    ...[...others, ...unique].flatMap(({ columns }) => columns),
    ...unique.flatMap(({ conditions }) => conditions),
  ]);
  return (
    isSoft(edge) && distances.has(edge.to) && edge.columns.every((column) => !taken.has(column))
  );
}
