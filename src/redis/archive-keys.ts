import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { PurgeError } from '../domain/errors.ts';
import { awaitReply } from './redis-error.ts';

/** A key as it was when it was dumped. */
export interface DumpedKey<Id extends string> {
  readonly id: Id;
  readonly key: Buffer;
  /** What DUMP gave. */
  readonly dump: Buffer;
  /** Unix time in ms at which it expires; null: never. */
  readonly expiresAt: number | null;
}

export interface OwnedKeys<Id extends string> {
  readonly id: Id;
  readonly keys: readonly Buffer[];
}

/** Makes dumped keys durable. Keys of which it rejects stay. */
export type KeepKeys<Id extends string> = (keys: readonly DumpedKey<Id>[]) => Promise<void>;

/**
 * Times of expiry so near are the same: the archived one is reckoned from one TIME for a whole pipeline,
 * and a key whose life each request prolongs would never rest if every millisecond counted.
 */
const EXPIRY_TOLERANCE_MS = 5_000;

/**
 * Unlinks each key whose DUMP has still the digest it had when it was archived, and whose expiry is still
 * the same (DUMP has none); says 1 for gone, 0 for changed since, 2 for not there any more. Atomic, so
 * that nothing is lost which the application writes between the two. PTTL: PEXPIRETIME needs Redis 7.
 */
const UNLINK_UNCHANGED = `
local answers = {}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function lives_as_long(key, expiry)
  local life = redis.call('PTTL', key)
  if life < 0 or expiry < 0 then return life < 0 and expiry < 0 end
  return math.abs(now + life - expiry) <= ${EXPIRY_TOLERANCE_MS}
end
for i, key in ipairs(KEYS) do
  local dump = redis.call('DUMP', key)
  if not dump then answers[i] = 2
  elseif redis.sha1hex(dump) == ARGV[2 * i - 1] and lives_as_long(key, tonumber(ARGV[2 * i])) then
    redis.call('UNLINK', key)
    answers[i] = 1
  else answers[i] = 0 end
end
return answers`;

/** A script holds the server: few keys, few bytes at a time. */
const SCRIPT_KEYS_MAX = 100;
const SCRIPT_BYTES_MAX = 1_000_000;
/** What the script takes for a key that never expires. */
const NEVER = -1;
/** A key in the middle of a rehash dumps in another order; one that is written all the time never rests. */
const TRIES_MAX = 5;
const TRY_AGAIN_MS = 50;

/**
 * Dumps the keys, has them made durable, and only then unlinks those that have not changed since; the
 * others once more. A key that never rests stays, and is counted as left at the end of the sweep.
 * @returns keys unlinked per id
 */
export async function archiveAndUnlink<Id extends string>(
  redis: Redis,
  owned: readonly OwnedKeys<Id>[],
  keep: KeepKeys<Id>,
): Promise<Map<Id, number>> {
  const gone = new Map<Id, number>();
  let left: readonly OwnedKeys<Id>[] = owned;
  for (let tries = 1; tries <= TRIES_MAX && left.length > 0; tries += 1) {
    if (tries > 1) await sleep(TRY_AGAIN_MS);
    const dumped = await dumpKeys(redis, left);
    if (dumped.length === 0) break;
    await keep(dumped);
    const changed: DumpedKey<Id>[] = [];
    for (const chunk of scriptChunks(dumped)) {
      const answers = await unlinkUnchanged(redis, chunk);
      for (const [index, one] of chunk.entries()) {
        if (answers[index] === 0) changed.push(one);
        if (answers[index] === 1) gone.set(one.id, (gone.get(one.id) ?? 0) + 1);
      }
    }
    left = changed.map(({ id, key }) => ({ id, keys: [key] }));
  }
  return gone;
}

/** DUMP and remaining life in one pipeline; keys that are not there any more are left out. */
export async function dumpKeys<Id extends string>(
  redis: Redis,
  owned: readonly OwnedKeys<Id>[],
): Promise<DumpedKey<Id>[]> {
  const keys = owned.flatMap(({ id, keys: some }) => some.map((key) => ({ id, key })));
  const pipeline = redis.pipeline();
  pipeline.time();
  for (const { key } of keys) {
    pipeline.dumpBuffer(key);
    pipeline.pttl(key);
  }
  const replies = (await awaitReply(pipeline.exec())) ?? [];
  const answers = await Promise.all(
    replies.map(([error, reply]) =>
      awaitReply(error === null ? Promise.resolve(reply) : Promise.reject(error)),
    ),
  );
  const [seconds, micros] = answers[0] as [string, string];
  const now = Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  return keys.flatMap(({ id, key }, index): DumpedKey<Id>[] => {
    const dump = answers[1 + index * 2];
    const life = Number(answers[2 + index * 2]);
    if (!Buffer.isBuffer(dump) || life === -2) return [];
    return [{ id, key, dump, expiresAt: life < 0 ? null : now + life }];
  });
}

function scriptChunks<Id extends string>(dumped: readonly DumpedKey<Id>[]): DumpedKey<Id>[][] {
  const chunks: DumpedKey<Id>[][] = [];
  let bytes = 0;
  for (const one of dumped) {
    const last = chunks.at(-1);
    const isFull = last !== undefined && last.length >= SCRIPT_KEYS_MAX;
    if (last === undefined || isFull || bytes + one.dump.length > SCRIPT_BYTES_MAX) {
      chunks.push([one]);
      bytes = one.dump.length;
    } else {
      last.push(one);
      bytes += one.dump.length;
    }
  }
  return chunks;
}

async function unlinkUnchanged<Id extends string>(
  redis: Redis,
  chunk: readonly DumpedKey<Id>[],
): Promise<number[]> {
  const marks = chunk.flatMap(({ dump, expiresAt }) => [
    createHash('sha1').update(dump).digest('hex'),
    expiresAt ?? NEVER,
  ]);
  const keys = chunk.map(({ key }) => key);
  try {
    const reply = redis.eval(UNLINK_UNCHANGED, keys.length, ...keys, ...marks);
    return (await awaitReply(reply)) as number[];
  } catch (error) {
    if (error instanceof PurgeError && error.code === 'PRIVILEGE_MISSING') {
      throw new PurgeError('PRIVILEGE_MISSING', error.message, {
        cause: error,
        remedy:
          'Allow the user of REDIS_URL also DUMP, PTTL, TIME and EVAL on all keys: keys are archived before they are unlinked.',
      });
    }
    throw error;
  }
}
