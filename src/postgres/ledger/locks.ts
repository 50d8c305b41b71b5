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

/** `locked`: false while a batch of the purge is in flight. */
export const tryLockPurge = (purgeId: PurgeId): RawBuilder<{ locked: boolean }> =>
  sql`select pg_try_advisory_xact_lock(1953525094, hashtext(${purgeId})) as locked`;

/** The rows of `pg_locks` that stand for a batch of the purge `p` in flight, as a condition on `l`. */
export const LOCK_OF_BATCH: RawBuilder<boolean> = sql`
  l.locktype = 'advisory' and l.granted and l.mode = 'ShareLock' and l.objsubid = 2
  and l.database = (select d.oid from pg_database d where d.datname = current_database())
  and l.classid = 1953525094::oid
  -- The lock's key is signed, an oid is not.
  and l.objid = (hashtext(p.id::text)::bigint & 4294967295)::oid`;

export const lockSweep = (): RawBuilder<unknown> =>
  sql`select pg_advisory_xact_lock(1953525095, 0)`;

/**
 * Held shared around each pipeline of the sweep, after which nothing of it is on its way to Redis. A
 * lock of its own: a pipeline is of many purges, and waits for no batch.
 */
export const lockPipelines = (): RawBuilder<unknown> =>
  sql`select pg_advisory_xact_lock(1953525097, 0)`;

export const lockPipelinesShared = (): RawBuilder<unknown> =>
  sql`select pg_advisory_xact_lock_shared(1953525097, 0)`;

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
