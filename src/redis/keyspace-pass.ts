import type { Redis } from 'ioredis';
import { PurgeError } from '../domain/errors.ts';
import { type KeyPage, scanKeyspace } from './keyspace.ts';
import { readServerInfo } from './server-info.ts';

export interface PassPage extends KeyPage {
  /** The server process that the cursor means something to; null where the user may not run INFO. */
  readonly serverRunId: string | null;
  /** The first page of a pass that begins anew, because the server was restarted during the one before. */
  readonly isAnew: boolean;
}

/** Server restarts that one pass outlives. */
const RESTARTS_MAX = 3;

/**
 * One pass over the whole keyspace. Where the server is restarted meanwhile the pass begins anew. Reads
 * only.
 * @throws PurgeError REDIS_UNREACHABLE
 */
export async function* passOverKeyspace(
  redis: Redis,
  pattern: string | null,
): AsyncGenerator<PassPage> {
  let { runId } = await readServerInfo(redis);
  for (let restarts = 0; restarts <= RESTARTS_MAX; restarts += 1) {
    let isAnew = restarts > 0;
    for await (const page of scanKeyspace(redis, { pattern })) {
      yield { ...page, serverRunId: runId, isAnew };
      isAnew = false;
    }
    const after = await readServerInfo(redis);
    if (after.runId === runId) return;
    runId = after.runId;
  }
  throw new PurgeError(
    'REDIS_UNREACHABLE',
    `Redis restarted during each of ${RESTARTS_MAX + 1} passes over its keys.`,
    { remedy: 'Find out why Redis restarts, then run the command again.' },
  );
}
