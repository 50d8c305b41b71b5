import type { Redis } from 'ioredis';
import { PurgeError } from '../domain/errors.ts';
import { FIRST_CURSOR, type KeyPage, scanKeyspace } from './keyspace.ts';
import { readServerInfo } from './server-info.ts';

/** Where a pass stands: a cursor means something to one server process only. */
export interface PassPosition {
  /** Null where the user may not run INFO: then nothing can be resumed. */
  readonly serverRunId: string | null;
  readonly cursor: string;
}

export interface PassPage extends KeyPage {
  readonly serverRunId: string | null;
  /** The first page of a pass that begins anew, because the server was restarted during the one before. */
  readonly isAnew: boolean;
}

/** Server restarts that one pass outlives. */
const RESTARTS_MAX = 3;

/**
 * One pass over the keyspace, from where an earlier one stood if the server is still the same process.
 * Where it is restarted meanwhile the pass begins anew. Reads only.
 * @throws PurgeError REDIS_UNREACHABLE
 */
export async function* passOverKeyspace(
  redis: Redis,
  options: { readonly pattern: string | null; readonly from: PassPosition | null },
): AsyncGenerator<PassPage> {
  const { pattern, from } = options;
  let { runId } = await readServerInfo(redis);
  let cursor = runId !== null && from?.serverRunId === runId ? from.cursor : FIRST_CURSOR;
  for (let restarts = 0; restarts <= RESTARTS_MAX; restarts += 1) {
    let isAnew = restarts > 0;
    for await (const page of scanKeyspace(redis, { pattern, cursor })) {
      yield { ...page, serverRunId: runId, isAnew };
      isAnew = false;
    }
    const after = await readServerInfo(redis);
    if (after.runId === runId) return;
    runId = after.runId;
    cursor = FIRST_CURSOR;
  }
  throw new PurgeError(
    'REDIS_UNREACHABLE',
    `Redis restarted during each of ${RESTARTS_MAX + 1} passes over its keys.`,
    { remedy: 'Find out why Redis restarts, then run the command again.' },
  );
}
