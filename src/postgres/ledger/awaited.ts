import { type Kysely, sql } from 'kysely';
import { asPurgeId, asTenantId, type PurgeId, type TenantId } from '../../domain/ids.ts';
import { isLive, LIVE_STATUSES, type PurgeStatus } from '../../domain/purge.ts';
import type { PurgeRecord } from '../../domain/records.ts';
import type { LedgerTables } from './tables.ts';

/** Purges of descendants, of all depths, that are not completed. */
export interface AwaitedPurges {
  /** How many of them still owe work. */
  readonly live: number;
  /** How many ended otherwise. */
  readonly endedTotal: number;
  /** The first of these, the causes before those that ended because of others. */
  readonly ended: readonly AwaitedPurge[];
}

interface AwaitedPurge {
  readonly purgeId: PurgeId;
  readonly tenantId: TenantId;
  readonly tenantLabel: string;
  readonly status: PurgeStatus;
}

const ENDED_SHOWN_MAX = 10;

/** What a purge waits for, directly or because one that it waits for does. Only reads. */
export async function readAwaited(
  ledger: Kysely<LedgerTables>,
  purge: PurgeRecord,
): Promise<AwaitedPurges> {
  if (purge.waitsFor.length === 0) return { live: 0, endedTotal: 0, ended: [] };
  const { rows } = await sql<{
    id: string;
    tenant_id: string;
    tenant_label: string;
    status: PurgeStatus;
    live: number;
    total: number;
  }>`
    with recursive below (id) as (
      select w.id from tenant_purge.purge p, unnest(p.waits_for) as w (id) where p.id = ${purge.id}
      union
      -- Below a completed one everything was completed when it was claimed.
      select w.id from below b join tenant_purge.purge p on p.id = b.id and p.status <> 'completed',
        unnest(p.waits_for) as w (id)),
    open as (
      select p.*, p.status = any(${[...LIVE_STATUSES]}::text[]) as is_live
      from below b join tenant_purge.purge p on p.id = b.id where p.status <> 'completed')
    select id, tenant_id, tenant_label, status,
           count(*) filter (where is_live) over () as live, count(*) over () as total
    from open
    order by is_live, error ->> 'code' is not distinct from 'DESCENDANT_REMAINS', ended_at, id
    limit ${ENDED_SHOWN_MAX}`.execute(ledger);
  const [first] = rows;
  if (first === undefined) return { live: 0, endedTotal: 0, ended: [] };
  return {
    live: Number(first.live),
    endedTotal: Number(first.total) - Number(first.live),
    ended: rows
      .filter(({ status }) => !isLive(status))
      .map((row) => ({
        purgeId: asPurgeId(row.id),
        tenantId: asTenantId(row.tenant_id),
        tenantLabel: row.tenant_label,
        status: row.status,
      })),
  };
}
