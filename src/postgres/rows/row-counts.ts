import type pg from 'pg';
import { asTenantId, type TenantId } from '../../domain/ids.ts';
import { type DeleteStep, hasCondition, type TenantPath } from '../../domain/plan.ts';
import { ownerOf } from './row-owner.ts';
import { arrayLiteral, countedParts, fromTable, literal } from './row-predicate.ts';

type Queryable = pg.Pool | pg.ClientBase;

export interface TenantRows {
  readonly tenantId: TenantId;
  readonly rows: number;
}

/**
 * Up to so many tenants are counted one by one where the owner is not a single chain of keys: each can
 * use the indexes, where the question for all reads the whole table.
 */
export const ONE_BY_ONE_MAX = 20;
/** Counts in one statement. */
const CHUNK = 50;

/** Expression: the tenant's rows of the step's table, those of others that go with them included. */
export const countOwned = (step: DeleteStep, tenantId: TenantId): string =>
  countedParts(step, 't', tenantId)
    .map((condition) => `(select count(*) from ${fromTable(step)} t where ${condition})`)
    .join(' + ');

/** Rows of one table for each tenant that has any; a tenant may come more than once. */
export async function countPerTenant(
  client: Queryable,
  step: DeleteStep,
  tenantIds: readonly TenantId[],
): Promise<TenantRows[]> {
  if (tenantIds.length === 0) return [];
  const paths = [step.path, ...step.also];
  return asksOneByOne(paths, tenantIds)
    ? await countOneByOne(client, step, tenantIds)
    : await countTogether(client, step, paths, tenantIds);
}

/** Whether to ask about these tenants one at a time. */
export function asksOneByOne(
  paths: readonly TenantPath[],
  tenantIds: readonly TenantId[],
): boolean {
  if (tenantIds.length === 1 || paths.some(hasCondition)) return true;
  return (
    tenantIds.length <= ONE_BY_ONE_MAX && paths.some((path) => ownerOf(path, 't').column === null)
  );
}

async function countOneByOne(
  client: Queryable,
  step: DeleteStep,
  tenantIds: readonly TenantId[],
): Promise<TenantRows[]> {
  const found: TenantRows[] = [];
  for (let at = 0; at < tenantIds.length; at += CHUNK) {
    const counts = tenantIds
      .slice(at, at + CHUNK)
      .map((id) => `select ${literal(id)} as tenant, ${countOwned(step, id)} as rows`);
    const { rows } = await client.query(counts.join(' union all '));
    found.push(...rows.map(toTenantRows));
  }
  return found.filter(({ rows }) => rows > 0);
}

async function countTogether(
  client: Queryable,
  step: DeleteStep,
  paths: readonly TenantPath[],
  tenantIds: readonly TenantId[],
): Promise<TenantRows[]> {
  const owners = paths.map((path, at) => ownerOf(path, 't', `t${at}`));
  const found: TenantRows[] = [];
  for (const [at, { key }] of owners.entries()) {
    const mine = owners.slice(0, at + 1);
    const notCounted = owners
      .slice(0, at)
      .map((earlier) => ` and (${earlier.key})::text is distinct from (${key})::text`);
    const { rows } = await client.query(
      `select (${key})::text as tenant, count(*) as rows
       from ${fromTable(step)} t${mine.map(({ joins }) => joins).join('')}
       where ${key} = any(${arrayLiteral(tenantIds)})${notCounted.join('')} group by 1`,
    );
    found.push(...rows.map(toTenantRows));
  }
  return found;
}

const toTenantRows = (row: { tenant: string; rows: number }): TenantRows => ({
  tenantId: asTenantId(row.tenant),
  rows: Number(row.rows),
});
