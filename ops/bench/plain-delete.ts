import type pg from 'pg';
import type { Plan, PlanStep, TenantPath, Way } from '../../src/domain/plan.ts';

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
    (['clear', 'component', 'delete'] as const).flatMap((kind) =>
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
const isNeeded = (step: PlanStep): boolean => step.kind !== 'clear' || step.reason !== 'self';

function statementOf(step: PlanStep): string {
  switch (step.kind) {
    case 'delete':
      return `delete from ${step.table} where ${ownedBy(step.path)}`;
    case 'clear': {
      const nulls = step.columns.map((name) => `"${name}" = null`).join(', ');
      const some = step.columns.map((name) => `"${name}" is not null`).join(' or ');
      return `update ${step.table} set ${nulls} where ${ownedBy(step.path)} and (${some})`;
    }
    case 'component':
      throw new Error(`${step.table} goes in no order of plain deletes`);
    default:
      return step satisfies never;
  }
}

/** The bench's tables reach the tenant by one way each. */
function ownedBy({ table, ways }: TenantPath): string {
  const [way, ...others] = ways;
  if (way === undefined || others.length > 0) throw new Error(`${table} has no single way`);
  return ownedByWay(way);
}

function ownedByWay(way: Way): string {
  switch (way.kind) {
    case 'column':
      return `"${way.column}" = $1`;
    case 'parent':
      return `(${quoted(way.columns)}) in (select ${quoted(way.referencedColumns)}
        from ${way.relation} where ${ownedBy(way.parent)})`;
    case 'child':
    case 'condition':
      throw new Error(`a plain delete has no way by ${way.kind}`);
    default:
      return way satisfies never;
  }
}

const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');
