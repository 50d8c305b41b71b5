import type { Redis } from 'ioredis';
import { awaitReply } from './redis-error.ts';
import { readServerInfo } from './server-info.ts';

/** What of a Redis server decides whether it will do; null where its user may not ask. */
interface RedisFitness {
  /** e.g. `7.0.15`. */
  readonly version: string | null;
  /** `maxmemory-policy`; only `noeviction` never drops a key by itself. */
  readonly policy: string | null;
}

/** Reads INFO; managed servers refuse CONFIG, and INFO memory has the policy too. */
export async function readRedisFitness(redis: Redis): Promise<RedisFitness> {
  const { version } = await readServerInfo(redis);
  if (version === null) return { version, policy: null };
  const memory = await awaitReply(redis.info('memory'));
  return { version, policy: /^maxmemory_policy:(.+?)\r?$/m.exec(memory)?.[1] ?? null };
}
