import { type RawBuilder, sql } from 'kysely';
import type { PurgeId } from '../../domain/ids.ts';
import type { Database } from '../database.ts';

/**
 * Transaction-level advisory locks, the same numbers as in the function `enter_batch`, which takes
 * the first two shared. Taken exclusively they wait for batches in flight, and no later batch
 * starts before the holder has committed. Being queued fairly, they cannot be starved.
 */
export const lockFleet = (): RawBuilder<unknown> =>
  sql`select pg_advisory_xact_lock(1953525093, 0)`;

export const lockPurge = (purgeId: PurgeId): RawBuilder<unknown> =>
  sql`select pg_advisory_xact_lock(1953525094, hashtext(${purgeId}))`;

export const lockSweep = (): RawBuilder<unknown> =>
  sql`select pg_advisory_xact_lock(1953525095, 0)`;

/**
 * Runs `work` while holding the reconciler's lock; null when another holds it, and then nothing was
 * done. The lock belongs to a transaction, so that it ends with its connection, also behind a pooler.
 */
export async function withReconcilerLock<Result>(
  database: Database,
  work: () => Promise<Result>,
): Promise<Result | null> {
  return database.ledger.transaction().execute(async (trx) => {
    await sql`set local idle_in_transaction_session_timeout = '10min'`.execute(trx);
    const { rows } = await sql<{ locked: boolean }>`
      select pg_try_advisory_xact_lock(1953525096, 0) as locked`.execute(trx);
    return rows[0]?.locked === true ? work() : null;
  });
}
