import { type Kysely, sql } from 'kysely';
import { describeUndo, whetherUndoable } from '../../domain/archive-state.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import type { LedgerTables } from '../ledger/tables.ts';

/**
 * Moves the purge to `restoring` where it can be undone now; one that is `restoring` stays so. An expiry
 * locks its row too: whoever comes second sees what the first one did, as each statement here looks anew.
 * @param ledger the transaction of the claim
 * @throws PurgeError STATUS_CONFLICT, ARCHIVE_EXPIRED, NOT_RESTORABLE
 */
export async function beginUndo(
  ledger: Kysely<LedgerTables>,
  { purgeId, operator }: { readonly purgeId: PurgeId; readonly operator: string },
): Promise<void> {
  const purge = await ledger
    .selectFrom('tenant_purge.purge')
    .select(['status', 'ended_at', 'campaign_id'])
    .where('id', '=', purgeId)
    .forUpdate()
    .executeTakeFirst();
  if (purge === undefined) {
    throw new PurgeError('STATUS_CONFLICT', `Purge ${purgeId} is not in the ledger.`);
  }
  // A statement of its own: one that had waited for the row's lock would see the archive as it was before.
  const { rows } = await sql<{ archive: boolean; begun: boolean; expired_at: Date | null }>`
    select c.archive, a.purge_id is not null as begun, a.expired_at
    from tenant_purge.campaign c left join tenant_purge.archive a on a.purge_id = ${purgeId}
    where c.id = ${purge.campaign_id}`.execute(ledger);
  const [kept] = rows;
  const answer = whetherUndoable({
    status: purge.status,
    endedAt: purge.ended_at,
    archiving: kept?.archive === true,
    archive: kept?.begun === true ? { expiredAt: kept.expired_at } : null,
  });
  switch (answer.kind) {
    case 'restoring':
      return;
    case 'undoable':
      await ledger
        .updateTable('tenant_purge.purge')
        .set({ status: 'restoring' })
        .where('id', '=', purgeId)
        .execute();
      return;
    case 'expired':
      throw new PurgeError(
        'ARCHIVE_EXPIRED',
        `Purge ${purgeId}: ${describeUndo(answer, purgeId)} Nothing was changed.`,
        { details: { expiredAt: answer.at.toISOString() } },
      );
    case 'no-archive':
    case 'nothing-archived':
      throw new PurgeError('NOT_RESTORABLE', `Purge ${purgeId}: ${describeUndo(answer, purgeId)}`);
    case 'live':
    case 'restored':
      throw new PurgeError(
        'STATUS_CONFLICT',
        `Purge ${purgeId} is ${purge.status}: ${operator} cannot restore it now. ${describeUndo(answer, purgeId)}`,
      );
    default:
      answer satisfies never;
  }
}

/**
 * Moves the purge from `restoring` to where its restore ended.
 * @param ledger the transaction that ends the restore
 * @param error as JSON
 */
export async function endUndo(
  ledger: Kysely<LedgerTables>,
  purgeId: PurgeId,
  { status, error }: { readonly status: 'restored' | 'failed'; readonly error: string | null },
): Promise<void> {
  await ledger
    .updateTable('tenant_purge.purge')
    .set({ status, error, worker: null })
    .where('id', '=', purgeId)
    .where('status', '=', 'restoring')
    .execute();
}
