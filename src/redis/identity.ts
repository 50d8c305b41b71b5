import type { Redis } from 'ioredis';
import { PurgeError } from '../domain/errors.ts';
import { awaitReply } from './redis-error.ts';

/** Key that tells one Redis database from another; no sweep touches it. */
export const IDENTITY_KEY = 'tenant-purge:identity';

/** The identity planted in this Redis database, or null where there is none. */
export const readRedisIdentity = (redis: Redis): Promise<string | null> =>
  awaitReply(redis.get(IDENTITY_KEY));

/**
 * Gives the Redis database an identity unless it has one, and returns the one it has: of several
 * callers at once all get the same. Idempotent. The key does not expire.
 */
export async function plantRedisIdentity(redis: Redis, id: string): Promise<string> {
  await awaitReply(redis.set(IDENTITY_KEY, id, 'NX'));
  const planted = await readRedisIdentity(redis);
  if (planted === null) {
    throw new PurgeError('INTERRUPTED', `The Redis key ${IDENTITY_KEY} vanished once written.`, {
      remedy: 'See what removes keys from this Redis (eviction, FLUSHDB), then try again.',
    });
  }
  return planted;
}
