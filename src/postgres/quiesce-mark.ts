import type pg from 'pg';
import { PurgeError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import { deleteSteps, type Plan } from '../domain/plan.ts';
import type { QuiesceRule } from '../domain/quiesce.ts';
import type { Fence } from '../domain/records.ts';
import { column, fromTable, literal } from './rows/row-predicate.ts';
import { readFault } from './sqlstate.ts';

export interface Marking {
  readonly plan: Plan;
  readonly tenantId: TenantId;
  readonly rule: QuiesceRule;
}

/** What was there before and the statement that brings it back; null where there is no tenant row. */
export interface Mark {
  readonly old: string | null;
  readonly undo: string | null;
}

/**
 * Marks the tenant's row, and no other, inside the caller's transaction.
 * @returns null where there is no such row
 * @throws PurgeError QUIESCE_FAILED; driver errors that pass. The caller rolls back
 */
export async function setMark(
  client: pg.ClientBase,
  fence: Fence,
  marking: Marking,
): Promise<Mark | null> {
  try {
    return marking.rule.kind === 'column'
      ? await setColumn(client, marking, marking.rule)
      : await runOperatorSql(client, marking, marking.rule);
  } catch (error) {
    const fault = readFault(error);
    if (fault.faultClass === 'back-off') throw error;
    throw new PurgeError(
      'QUIESCE_FAILED',
      `Purge ${fence.purgeId}: tenant ${marking.tenantId} could not be marked, nothing was changed: ${fault.message}.`,
      { details: { tenantId: marking.tenantId, sqlState: fault.sqlState }, cause: error },
    );
  }
}

async function setColumn(
  client: pg.ClientBase,
  { plan, tenantId }: Marking,
  rule: Extract<QuiesceRule, { kind: 'column' }>,
): Promise<Mark | null> {
  const name = column(rule.column);
  const bears = `(t.${name} = ${literal(rule.value)}) is true`;
  const row = tenantRow(plan, tenantId);
  const before = await client.query(
    `select t.${name}::text as old, ${bears} as bears from ${row} for update`,
  );
  if (before.rows.length === 0) return null;
  const { old, bears: boreIt } = before.rows[0];
  if (boreIt === true) return { old, undo: null };
  const update = (to: string | null): string =>
    `update ${fromTable(tenantTable(plan))} t set ${name} = ${to === null ? 'null' : literal(to)}
     where t.${column(plan.tenant.key)} = ${literal(tenantId)}`;
  const after = await client.query(`${update(rule.value)} returning ${bears} as bears`);
  if (after.rows.length !== 1 || after.rows[0].bears !== true) {
    throw new Error(
      `${rule.column} does not hold ${rule.value} afterwards: a trigger or rule undoes it`,
    );
  }
  return { old, undo: `${update(old)} and ${bears}` };
}

async function runOperatorSql(
  client: pg.ClientBase,
  { plan, tenantId }: Marking,
  rule: Extract<QuiesceRule, { kind: 'sql' }>,
): Promise<Mark | null> {
  const before = await client.query(`select from ${tenantRow(plan, tenantId)} for update`);
  if (before.rows.length === 0) return null;
  const render = (sql: string): string => sql.replaceAll('{tenantId}', () => literal(tenantId));
  const { rows } = await client.query(
    `${render(rule.sql)}\nreturning ${column(plan.tenant.key)}::text as id`,
  );
  const others = rows.filter(({ id }) => id !== tenantId);
  if (others.length > 0) throw new Error(`quiesce.sql would change ${others.length} other tenants`);
  if (rows.length === 0) throw new Error('quiesce.sql changes no row');
  return { old: null, undo: render(rule.undo) };
}

/** The tenant table as it stands in FROM. */
export function tenantTable(plan: Plan): Parameters<typeof fromTable>[0] {
  const { table } = plan.tenant;
  const step = deleteSteps(plan).find((each) => each.table === table);
  return { table, partitioned: step?.partitioned ?? true };
}

/** FROM and WHERE of the tenant's own row, as `t`. */
export const tenantRow = (plan: Plan, tenantId: TenantId): string =>
  `${fromTable(tenantTable(plan))} t where t.${column(plan.tenant.key)} = ${literal(tenantId)}`;
