import { type Kysely, sql } from 'kysely';
import type { SkipReason } from '../../domain/orphans.ts';
import { LIVE_STATUSES } from '../../domain/purge.ts';
import type { LedgerTables } from './tables.ts';

export type BusyReason = Extract<SkipReason, 'live-purge' | 'restorable'>;

/**
 * Of these ids those whose keys are a purge's business.
 * @param archives whether this ledger knows archives
 */
export async function readBusyTenants(
  ledger: Kysely<LedgerTables>,
  tenantTable: string,
  ids: readonly string[],
  { archives }: { readonly archives: boolean },
): Promise<Map<string, BusyReason>> {
  const restorable = archives
    ? sql`p.status <> 'restored' and exists (select from tenant_purge.archive a
          where a.purge_id = p.id and a.expired_at is null)`
    : sql`false`;
  const { rows } = await sql<{ tenant_id: string; is_live: boolean }>`
    select p.tenant_id, bool_or(p.status = any(${[...LIVE_STATUSES]}::text[])) as is_live
    from tenant_purge.purge p
    where p.tenant_table = ${tenantTable} and p.tenant_id = any(${[...ids]}::text[])
      and (p.status = any(${[...LIVE_STATUSES]}::text[]) or ${restorable})
    group by 1`.execute(ledger);
  return new Map(rows.map((row) => [row.tenant_id, row.is_live ? 'live-purge' : 'restorable']));
}
