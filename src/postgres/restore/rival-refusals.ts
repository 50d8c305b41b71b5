import { type Kysely, sql } from 'kysely';
import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import { LIVE_STATUSES, type PurgeStatus } from '../../domain/purge.ts';
import type { LedgerTables } from '../ledger/tables.ts';
import type { RestoreRecord } from './restore-record.ts';

/** @throws PurgeError RESTORE_HELD where another process restores this purge just now */
export function refuseHeld(found: RestoreRecord | null, silentMsMax: number): void {
  if (found === null || !found.held || found.endedAt !== null) return;
  if (found.silentMs > silentMsMax) return;
  throw new PurgeError(
    'RESTORE_HELD',
    `Purge ${found.purgeId} is being restored by ${found.holder} (asked for by ${found.operator}); ` +
      `its last sign of life was ${Math.round(found.silentMs / 1_000)} s ago.`,
    { details: { holder: found.holder, operator: found.operator, silentMs: found.silentMs } },
  );
}

/**
 * Looks whether another purge of the same tenant would take again what comes back. The claim finds
 * one that comes later.
 * @throws PurgeError TENANT_BUSY
 */
export async function refuseBusy(ledger: Kysely<LedgerTables>, purgeId: PurgeId): Promise<void> {
  const { rows } = await sql<{ id: string; status: PurgeStatus }>`
    select o.id, o.status from tenant_purge.purge p
    join tenant_purge.purge o on o.tenant_table = p.tenant_table and o.tenant_id = p.tenant_id
    where p.id = ${purgeId} and o.id <> p.id and o.status = any(${[...LIVE_STATUSES]}::text[])
    limit 1`.execute(ledger);
  const [other] = rows;
  if (other === undefined) return;
  throw new PurgeError(
    'TENANT_BUSY',
    `Purge ${purgeId}: another purge of the same tenant, ${other.id}, is ${other.status}; what comes back would go again.`,
    {
      details: { purgeId: other.id, status: other.status },
      remedy: `Wait until it has ended, or cancel it: tenant-purge cancel ${other.id}`,
    },
  );
}
