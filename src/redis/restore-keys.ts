import type { Redis } from 'ioredis';
import { PurgeError } from '../domain/errors.ts';
import { awaitReply } from './redis-error.ts';

/** A key as it was when it was dumped. */
export interface KeyToRestore {
  readonly key: Buffer;
  readonly dump: Buffer;
  /** Unix time in ms at which it expires; null: never. */
  readonly expiresAt: number | null;
}

/** How a key stands in the way of its archived self. */
export type KeyState = 'absent' | 'same' | 'taken' | 'expired';

/** How each of the keys stands now, in their order. One round trip; bound the number of keys. */
export async function lookAtKeys(redis: Redis, keys: readonly KeyToRestore[]): Promise<KeyState[]> {
  const pipeline = redis.pipeline();
  pipeline.time();
  for (const { key } of keys) pipeline.dumpBuffer(key);
  const [time, ...dumps] = await repliesOf(pipeline);
  const [seconds = 0, micros = 0] = (time as string[]).map(Number);
  const now = seconds * 1_000 + Math.floor(micros / 1_000);
  return keys.map(({ dump, expiresAt }, at): KeyState => {
    const there = dumps[at];
    if (Buffer.isBuffer(there)) return there.equals(dump) ? 'same' : 'taken';
    return expiresAt !== null && expiresAt <= now ? 'expired' : 'absent';
  });
}

/**
 * Puts keys back with the life that they have left. Idempotent: a key that holds the same value is
 * left alone. @param onTaken what becomes of a key that holds another value
 */
export async function putKeysBack(
  redis: Redis,
  keys: readonly KeyToRestore[],
  onTaken: 'skip' | 'replace',
): Promise<{ readonly restored: number; readonly expired: number; readonly skipped: number }> {
  const states = await lookAtKeys(redis, keys);
  const wanted = keys.filter((_, at) => {
    const state = states[at];
    return state === 'absent' || (state === 'taken' && onTaken === 'replace');
  });
  const pipeline = redis.pipeline();
  for (const { key, dump, expiresAt } of wanted) {
    const life = expiresAt === null ? [0] : [expiresAt, 'ABSTTL'];
    pipeline.call(
      'RESTORE',
      key,
      life[0] ?? 0,
      dump,
      ...life.slice(1),
      ...(onTaken === 'replace' ? ['REPLACE'] : []),
    );
  }
  let late = 0;
  for (const [error] of wanted.length === 0 ? [] : ((await awaitReply(pipeline.exec())) ?? [])) {
    if (error === null) continue;
    // Somebody wrote it between the look and here.
    if (error.message.startsWith('BUSYKEY')) late += 1;
    else throw cannotRestore(error);
  }
  const count = (state: KeyState): number => states.filter((each) => each === state).length;
  return {
    restored: wanted.length - late + count('same'),
    expired: count('expired'),
    skipped: late + (onTaken === 'skip' ? count('taken') : 0),
  };
}

async function repliesOf(pipeline: ReturnType<Redis['pipeline']>): Promise<unknown[]> {
  const replies = (await awaitReply(pipeline.exec())) ?? [];
  return replies.map(([error, reply]) => {
    if (error !== null) throw cannotRestore(error);
    return reply;
  });
}

function cannotRestore(error: Error): Error {
  if (error.message.startsWith('NOPERM')) {
    return new PurgeError('PRIVILEGE_MISSING', `Redis refuses a command: ${error.message}`, {
      cause: error,
      remedy: 'Allow the user of REDIS_URL the commands RESTORE, DUMP and TIME on all keys.',
    });
  }
  if (error.message.includes('DUMP payload version')) {
    return new PurgeError(
      'NOT_RESTORABLE',
      `Redis does not take the archived keys: ${error.message}.`,
      {
        cause: error,
        remedy: 'The keys come from a newer Redis: restore them into that version or a later one.',
      },
    );
  }
  return error;
}
