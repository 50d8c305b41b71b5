import type { Redis } from 'ioredis';
import { toRedisError } from './redis-error.ts';

interface RedisServerInfo {
  /** Another one after every start of the server; null where the user may not run INFO. */
  readonly runId: string | null;
  /** e.g. `7.0.15`; null where the user may not run INFO. */
  readonly version: string | null;
  /** `standalone`, `sentinel` or `cluster`; null where the user may not run INFO. */
  readonly mode: string | null;
}

/** Reads INFO server. A server that refuses INFO gives nulls, since a purge can do without it. */
export async function readServerInfo(redis: Redis): Promise<RedisServerInfo> {
  let info: string;
  try {
    info = await redis.info('server');
  } catch (thrown) {
    if (thrown instanceof Error && thrown.message.startsWith('NOPERM')) {
      return { runId: null, version: null, mode: null };
    }
    throw toRedisError(thrown);
  }
  const fields = new Map(
    info.split('\r\n').map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1)];
    }),
  );
  return {
    runId: fields.get('run_id') ?? null,
    version: fields.get('redis_version') ?? null,
    // Valkey 8 calls it server_mode.
    mode: fields.get('redis_mode') ?? fields.get('server_mode') ?? null,
  };
}
