import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { PurgeId } from '../../domain/ids.ts';
import type { Database } from '../database.ts';
import type { LedgerTables } from './tables.ts';

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
 * Held shared while another database is restored from a purge's archive: no status of the purge tells
 * of that. Tried exclusively by an expiry, which leaves such an archive alone.
 */
export const lockArchiveShared = (purgeId: PurgeId): RawBuilder<unknown> =>
  sql`select pg_advisory_xact_lock_shared(1953525099, hashtext(${purgeId}))`;

export const tryLockArchive = (purgeId: PurgeId): RawBuilder<{ locked: boolean }> =>
  sql`select pg_try_advisory_xact_lock(1953525099, hashtext(${purgeId})) as locked`;

/** The claim of a run of `redis orphans --delete`, its end by a restore, and the expiry of its archive. */
export const lockOrphanRuns = (): RawBuilder<unknown> =>
  sql`select pg_advisory_xact_lock(1953525098, 0)`;

/**
 * Runs `work` while holding the reconciler's lock; null when another holds it, and then nothing was
 * done. The lock belongs to a transaction, so that it ends with its connection, also behind a pooler.
 */
export async function withReconcilerLock<Result>(
  database: Database,
  work: () => Promise<Result>,
): Promise<Result | null> {
  return database.ledger.transaction().execute(async (trx) => {
    await sql`set local idle_in_transaction_session_timeout = ${sql.lit(SILENT_MS)}`.execute(trx);
    const { rows } = await sql<{ locked: boolean }>`
      select pg_try_advisory_xact_lock(1953525096, 0) as locked`.execute(trx);
    return rows[0]?.locked === true ? heardOf(trx, work) : null;
  });
}

/** A holder that died in silence loses the lock after this long, however long a pass may take. */
const SILENT_MS = 15_000;
const HEARD_EVERY_MS = 3_000;

/** Runs `work` beside a transaction that would else be idle, and lets the server hear of it. */
async function heardOf<Result>(
  trx: Kysely<LedgerTables>,
  work: () => Promise<Result>,
): Promise<Result> {
  let heard: Promise<unknown> = Promise.resolve();
  // One at a time. Where the session is lost the COMMIT says so.
  const say = (): void => {
    heard = heard.then(() => sql`select 1`.execute(trx)).catch(() => undefined);
  };
  const timer = setInterval(say, HEARD_EVERY_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    await heard;
  }
}
