import type pg from 'pg';
import { asTenantId, type TenantId } from '../../domain/ids.ts';
import {
  type DeleteStep,
  hasCondition,
  type TenantPath,
  type TenantTable,
} from '../../domain/plan.ts';
import { belongsToOneOf, comparableKey, ownerOf, textType } from './row-owner.ts';
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

/**
 * Rows of one table for each tenant that has any; a tenant may come more than once.
 * @param tenantIds as the tenant table prints them
 */
export async function countPerTenant(
  client: Queryable,
  step: DeleteStep,
  { keyType }: Pick<TenantTable, 'keyType'>,
  tenantIds: readonly TenantId[],
): Promise<TenantRows[]> {
  if (tenantIds.length === 0) return [];
  const paths = [step.path, ...step.also];
  return asksOneByOne(paths, tenantIds)
    ? await countOneByOne(client, step, tenantIds)
    : await countTogether(client, step, { paths, tenantIds, keyType });
}

interface TogetherQuestion {
  readonly paths: readonly TenantPath[];
  readonly tenantIds: readonly TenantId[];
  readonly keyType: string;
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
  { paths, tenantIds, keyType }: TogetherQuestion,
): Promise<TenantRows[]> {
  const owners = paths.map((path, at) => ownerOf(path, 't', `t${at}`));
  const ids = arrayLiteral(tenantIds);
  const asText = textType(keyType);
  const found: TenantRows[] = [];
  for (const [at, owner] of owners.entries()) {
    const mine = owners.slice(0, at + 1);
    const notCounted = owners
      .slice(0, at)
      .map(({ key }) => ` and (${key})::${asText} is distinct from (${owner.key})::${asText}`);
    // Rows may spell an id in another way than the tenant's row does: what is equal is one tenant's.
    const { rows } = await client.query(
      `select asked.name as tenant, counted.rows
       from (select ${comparableKey(owner, keyType)} as owner, count(*) as rows
             from ${fromTable(step)} t${mine.map(({ joins }) => joins).join('')}
             where ${belongsToOneOf(owner, tenantIds, keyType)}${notCounted.join('')}
             group by 1) counted
       join unnest(${ids}::text[], ${ids}::${owner.column === null ? asText : keyType}[]) asked (name, id)
         on asked.id = counted.owner`,
    );
    found.push(...rows.map(toTenantRows));
  }
  return found;
}

const toTenantRows = (row: { tenant: string; rows: number }): TenantRows => ({
  tenantId: asTenantId(row.tenant),
  rows: Number(row.rows),
});
