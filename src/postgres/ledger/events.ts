import type { Kysely } from 'kysely';
import type { LedgerTables } from './tables.ts';

/** A line of the ledger: who did what, to a purge, a campaign or the fleet. */
interface LedgerEvent {
  readonly kind: string;
  readonly actor: string;
  readonly purgeId?: string | null;
  readonly campaignId?: string | null;
  readonly fence?: number | null;
  readonly details: object;
}

/**
 * Appends one event. Not idempotent.
 * @param ledger the transaction of what the event tells of, or the ledger where it stands alone
 */
export async function appendEvent(
  ledger: Kysely<LedgerTables>,
  { kind, actor, purgeId, campaignId, fence, details }: LedgerEvent,
): Promise<void> {
  await ledger
    .insertInto('tenant_purge.event')
    .values({
      kind,
      actor,
      purge_id: purgeId ?? null,
      campaign_id: campaignId ?? null,
      fence: fence ?? null,
      details: JSON.stringify(details),
    })
    .execute();
}
