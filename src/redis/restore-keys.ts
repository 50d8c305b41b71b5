import { randomUUID } from 'node:crypto';
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

/** How each of the keys stands now, in their order. Two round trips at most; bound the number of keys. */
export async function lookAtKeys(redis: Redis, keys: readonly KeyToRestore[]): Promise<KeyState[]> {
  const pipeline = redis.pipeline();
  pipeline.time();
  for (const { key } of keys) pipeline.dumpBuffer(key);
  const [time, ...dumps] = await repliesOf(pipeline);
  const [seconds = 0, micros = 0] = (time as string[]).map(Number);
  const now = seconds * 1_000 + Math.floor(micros / 1_000);
  const states = keys.map(({ dump, expiresAt }, at): KeyState => {
    const there = dumps[at];
    if (Buffer.isBuffer(there)) return there.equals(dump) ? 'same' : 'taken';
    return expiresAt !== null && expiresAt <= now ? 'expired' : 'absent';
  });
  const others = keys.filter((_, at) => states[at] === 'taken');
  const same = await holdingTheSame(redis, others);
  return states.map((state, at) => {
    const key = keys[at];
    return key !== undefined && same.has(key) ? 'same' : state;
  });
}

/**
 * Says 1 where the key dumps as its archived self does once it has been restored: a large set or hash
 * comes back in another order than it had, a small one in another encoding. Nobody sees the scratch key
 * of a script, and it is gone when the script ends.
 */
const DUMPS_LIKE = `
local function again(dump)
  redis.call('RESTORE', KEYS[1], 0, dump)
  local made = redis.call('DUMP', KEYS[1])
  redis.call('DEL', KEYS[1])
  return made
end
local there = redis.call('DUMP', KEYS[2])
if not there then return 0 end
local wanted = again(ARGV[1])
if wanted == there or wanted == again(there) then return 1 end
return 0`;

/** Of the keys that hold other bytes those that hold the same value: a restore that was killed had put them back. */
async function holdingTheSame(
  redis: Redis,
  keys: readonly KeyToRestore[],
): Promise<ReadonlySet<KeyToRestore>> {
  if (keys.length === 0) return new Set();
  const scratch = `tenant-purge:restore:${randomUUID()}`;
  const pipeline = redis.pipeline();
  for (const { key, dump } of keys) pipeline.eval(DUMPS_LIKE, 2, scratch, key, dump);
  const replies = (await awaitReply(pipeline.exec())) ?? [];
  // Where the server refuses the script (a right, memory, a newer dump) the key counts as taken.
  return new Set(keys.filter((_, at) => replies[at]?.[0] == null && replies[at]?.[1] === 1));
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
