import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectRedis, type Redis } from '../../../src/redis/connect.ts';
import { lookAtKeys, putKeysBack } from '../../../src/redis/restore-keys.ts';
import { claimRedisDatabase } from '../../support/redis.ts';

let place: Awaited<ReturnType<typeof claimRedisDatabase>>;
let redis: Redis;
beforeAll(async () => {
  place = await claimRedisDatabase();
  redis = await connectRedis(place.url, { name: 'test' });
});
afterAll(async () => {
  redis.disconnect();
  await place.release();
});

const numbers = (count: number): string[] => Array.from({ length: count }, (_, n) => `member ${n}`);

/** Kinds of values whose DUMP depends on more than what they hold. */
const VALUES: Readonly<Record<string, (key: string) => Promise<unknown>>> = {
  'a large set': (key) => redis.sadd(key, ...numbers(2_000)),
  'a large set that shrank': async (key) => {
    await redis.sadd(key, ...numbers(2_000));
    await redis.srem(key, ...numbers(1_990));
  },
  'a large hash': (key) => redis.hset(key, ...numbers(2_000)),
  'a large hash that shrank': async (key) => {
    await redis.hset(key, ...numbers(2_000));
    await redis.hdel(key, ...numbers(1_990));
  },
  'a large sorted set': (key) =>
    redis.zadd(key, ...numbers(600).flatMap((name, n) => [n % 7, name])),
  'a small set of numbers': (key) => redis.sadd(key, 1, 2, 3),
  'a list': (key) => redis.rpush(key, ...numbers(3_000)),
  'a stream': async (key) => {
    for (let n = 0; n < 150; n += 1) await redis.xadd(key, '*', 'field', `${n}`);
    await redis.xtrim(key, 'MAXLEN', 40);
  },
  'a string': (key) => redis.set(key, 'x'.repeat(100_000)),
};

describe.each(Object.keys(VALUES))('A restore that was killed behind %s', (name) => {
  test('finds it back when it goes on, and a value of somebody else taken', async () => {
    const key = Buffer.from(`tenant:${name}`);
    await VALUES[name]?.(key.toString());
    const dump = await redis.dumpBuffer(key);
    if (dump === null) throw new Error('no value');
    await redis.unlink(key);
    const archived = [{ key, dump, expiresAt: null }];
    expect(await lookAtKeys(redis, archived)).toEqual(['absent']);
    expect(await putKeysBack(redis, archived, 'skip')).toMatchObject({ restored: 1, skipped: 0 });
    expect(await lookAtKeys(redis, archived)).toEqual(['same']);
    expect(await putKeysBack(redis, archived, 'skip')).toMatchObject({ restored: 1, skipped: 0 });
    await redis.unlink(key);
    await redis.sadd(key, 'somebody else');
    expect(await lookAtKeys(redis, archived)).toEqual(['taken']);
    expect(await redis.keys('tenant-purge:restore:*')).toEqual([]);
  });
});
