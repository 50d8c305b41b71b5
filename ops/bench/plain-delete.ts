import type pg from 'pg';
import type { Plan, PlanStep, TenantPath } from '../../src/domain/plan.ts';

/** What a careful person would write by hand, table by table; `$1` is the tenant. */
export interface PlainStatement {
  readonly kind: PlanStep['kind'];
  readonly sql: string;
}

/**
 * The plain way's statements in the plan's order: an UPDATE for the reference of a cycle, then one
 * `DELETE … WHERE tenant_id = $1` a table. The order is the plan's, because any other is refused.
 */
export function plainStatements(plan: Plan): PlainStatement[] {
  return plan.levels.flatMap((level) =>
    (['clear', 'delete'] as const).flatMap((kind) =>
      level.steps
        .filter((step) => step.kind === kind && isNeeded(step))
        .map((step) => ({ kind, sql: statementOf(step) })),
    ),
  );
}

/** One tenant on one connection. @returns rows deleted */
export async function deletePlainly(
  client: pg.Client,
  statements: readonly PlainStatement[],
  tenantId: string,
): Promise<number> {
  let rows = 0;
  for (const { kind, sql } of statements) {
    const { rowCount } = await client.query(sql, [tenantId]);
    if (kind === 'delete') rows += rowCount ?? 0;
  }
  return rows;
}

/** One statement holds a whole chain of self references, so they need no clearing. */
const isNeeded = (step: PlanStep): boolean => step.kind === 'delete' || step.reason === 'cycle';

function statementOf(step: PlanStep): string {
  const doomed = ownedBy(step.path);
  if (step.kind === 'delete') return `delete from ${step.table} where ${doomed}`;
  const nulls = step.columns.map((name) => `"${name}" = null`).join(', ');
  const some = step.columns.map((name) => `"${name}" is not null`).join(' or ');
  return `update ${step.table} set ${nulls} where ${doomed} and (${some})`;
}

function ownedBy(path: TenantPath): string {
  const [hop, ...rest] = path.hops;
  if (hop === undefined) return `"${path.column}" = $1`;
  return `(${quoted(hop.columns)}) in (select ${quoted(hop.referencedColumns)} from ${hop.to}
    where ${ownedBy({ ...path, hops: rest })})`;
}

const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');
