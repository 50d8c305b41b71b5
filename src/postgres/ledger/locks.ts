import { type RawBuilder, sql } from 'kysely';
import type { PurgeId } from '../../domain/ids.ts';

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

/** One reconciler at a time in the fleet; the loser does nothing. */
export const tryLockReconciler = (): RawBuilder<{ locked: boolean }> =>
  sql<{ locked: boolean }>`select pg_try_advisory_xact_lock(1953525096, 0) as locked`;
