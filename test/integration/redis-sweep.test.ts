import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PurgeError } from '../../src/domain/errors.ts';
import { connectRedis } from '../../src/redis/connect.ts';
import { countTenantKeys } from '../../src/redis/count-keys.ts';
import { IDENTITY_KEY, plantRedisIdentity, readRedisIdentity } from '../../src/redis/identity.ts';
import { parseKeyTemplate } from '../../src/redis/key-template.ts';
import { scanKeyspace } from '../../src/redis/keyspace.ts';
import { type SweepOptions, type SweepProgress, sweepKeys } from '../../src/redis/sweep.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../support/redis.ts';

const TEMPLATES = ['tenant:{tenantId}:*', 'ratelimit:{tenantId}'].map(parseKeyTemplate);

let database: TestRedisDatabase;
let redis: Redis;
beforeEach(async () => {
  database = await claimRedisDatabase();
  redis = await connectRedis(database.url, { name: 'redis-sweep-test' });
});
afterEach(async () => {
  redis.disconnect();
  await database.release();
});

async function write(keys: readonly (string | Buffer)[]): Promise<void> {
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.set(key, 'x');
  await pipeline.exec();
}

const keysOf = (id: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `tenant:${id}:cache:${index}`);

const allKeys = async (): Promise<string[]> => (await redis.keys('*')).sort();

interface SweepLog {
  readonly asked: (readonly string[])[];
  readonly progress: SweepProgress<string>[];
}

const newLog = (): SweepLog => ({ asked: [], progress: [] });

function sweep(
  tenantIds: readonly string[],
  overrides: Partial<SweepOptions<string>> = {},
  log: SweepLog = newLog(),
): ReturnType<typeof sweepKeys<string>> {
  return sweepKeys({
    redis,
    templates: TEMPLATES,
    excludePrefixes: ['bull:'],
    startCursor: null,
    tenantIds: new Set(tenantIds),
    admit: async (ids) => {
      log.asked.push(ids);
      return new Set(ids);
    },
    onProgress: async (progress) => {
      log.progress.push({ ...progress, deleted: new Map(progress.deleted) });
    },
    ...overrides,
  });
}

function sumOfDeleted(log: SweepLog): Map<string, number> {
  const sum = new Map<string, number>();
  for (const { deleted } of log.progress) {
    for (const [id, count] of deleted) sum.set(id, (sum.get(id) ?? 0) + count);
  }
  return sum;
}

describe('a sweep', () => {
  test("takes every tenant's own keys in one pass, and nobody else's", async () => {
    const kept = [...keysOf('10', 300), ...keysOf('3', 50), 'ratelimit:10', 'session:1:x', 'x'];
    await write([...kept, ...keysOf('1', 700), ...keysOf('2', 5), 'ratelimit:1', 'ratelimit:2']);
    const log = newLog();
    const result = await sweep(['1', '2', '4'], {}, log);
    expect(await allKeys()).toEqual(kept.sort());
    expect(result.deleted).toEqual(
      new Map([
        ['1', 701],
        ['2', 6],
      ]),
    );
    expect(sumOfDeleted(log)).toEqual(result.deleted);
    expect(result.dropped.size).toBe(0);
  });

  test('finds nothing when it is repeated', async () => {
    await write(keysOf('1', 10));
    await sweep(['1']);
    expect((await sweep(['1'])).deleted.size).toBe(0);
  });

  test('takes an id with glob characters literally', async () => {
    const odd = ['*', '?', '[1]', '\\', 'a*c', 'ä😀', '\uFFFD'];
    await write([...odd, '1', 'abc'].flatMap((id) => keysOf(id, 3)));
    await write([Buffer.from([...Buffer.from('tenant:'), 0xff, ...Buffer.from(':binary')])]);
    const result = await sweep(odd);
    expect(result.deleted).toEqual(new Map(odd.map((id) => [id, 3])));
    expect((await redis.dbsize()) - 7).toBe(0);
    expect((await allKeys()).filter((key) => /^tenant:(1|abc):/.test(key)).length).toBe(6);
  });

  test('deletes keys that are not UTF-8 by their bytes', async () => {
    await write([Buffer.from([...Buffer.from('tenant:1:'), 0xff, 0xfe])]);
    expect((await sweep(['1'])).deleted).toEqual(new Map([['1', 1]]));
    expect(await redis.dbsize()).toBe(0);
  });

  test('never touches the queue or the identity marker, whatever the templates say', async () => {
    await plantRedisIdentity(redis, 'here');
    await write(['bull:1:meta', 'tenant-purge:1', 'cache:1:x']);
    const templates = ['bull:{tenantId}:*', 'tenant-purge:{tenantId}', '*:{tenantId}:*'];
    const options = { templates: templates.map(parseKeyTemplate) };
    const result = await sweep(['1', 'identity'], options);
    expect(result.deleted).toEqual(new Map([['1', 2]]));
    expect(await allKeys()).toEqual(['bull:1:meta', IDENTITY_KEY]);
  });

  test('asks before every pipeline of at most 1,000 keys', async () => {
    await write([...keysOf('1', 2_500), ...keysOf('2', 1_000)]);
    const log = newLog();
    await sweep(['1', '2'], {}, log);
    expect(log.asked.length).toBe(4);
    expect(log.progress.length).toBeGreaterThanOrEqual(log.asked.length);
    for (const { deleted } of log.progress) {
      expect([...deleted.values()].reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(
        1_000,
      );
    }
  });

  test('leaves the rest of a tenant that is no longer admitted half-way, for good', async () => {
    await write([...keysOf('paused', 4_000), ...keysOf('other', 4_000)]);
    const asked: (readonly string[])[] = [];
    const result = await sweep(['paused', 'other'], {
      admit: async (ids) => {
        asked.push(ids);
        // Paused at the third pipeline, and resumed right after it.
        return new Set(ids.filter((id) => id !== 'paused' || asked.length !== 3));
      },
    });
    expect(result.dropped).toEqual(new Set(['paused']));
    expect(result.deleted.get('other')).toBe(4_000);
    const left = (await allKeys()).length;
    expect(left).toBeGreaterThan(0);
    expect(left).toBe(4_000 - (result.deleted.get('paused') ?? 0));
    expect(asked.slice(3).flat()).not.toContain('paused');
  });

  test('ends early once nobody is admitted any more', async () => {
    await write(keysOf('1', 5_000));
    const log = newLog();
    const result = await sweep(['1'], { admit: async () => new Set() }, log);
    expect(result.dropped).toEqual(new Set(['1']));
    expect(await redis.dbsize()).toBe(5_000);
    expect(log.progress.length).toBeLessThan(5);
  });

  test('ends with the error of a claim that is no longer its own, and deletes no more', async () => {
    await write(keysOf('1', 5_000));
    let rounds = 0;
    const log = newLog();
    const stale = new PurgeError('STALE_FENCE', 'Another worker holds the sweep.');
    const swept = sweep(
      ['1'],
      {
        admit: async (ids) => {
          rounds += 1;
          if (rounds === 2) throw stale;
          return new Set(ids);
        },
      },
      log,
    );
    await expect(swept).rejects.toBe(stale);
    expect(sumOfDeleted(log).get('1')).toBe(5_000 - (await redis.dbsize()));
    expect(sumOfDeleted(log).get('1')).toBeLessThanOrEqual(1_000);
  });

  test('stops after the pipeline in hand when asked to', async () => {
    await write(keysOf('1', 6_000));
    const stop = new AbortController();
    const log = newLog();
    const swept = sweep(
      ['1'],
      {
        signal: stop.signal,
        onProgress: async (progress) => {
          log.progress.push(progress);
          stop.abort();
        },
      },
      log,
    );
    await expect(swept).rejects.toMatchObject({ code: 'STOP_ASKED' });
    expect(log.progress).toHaveLength(1);
    expect(sumOfDeleted(log).get('1') ?? 0).toBe(6_000 - (await redis.dbsize()));
  });

  test('goes on from the cursor of any moment without leaving a key behind', async () => {
    const log = newLog();
    await write([...keysOf('1', 6_000), ...keysOf('2', 20_000)]);
    await sweep(['1'], {}, log);
    const cursors = log.progress.map(({ cursor }) => cursor);
    expect(cursors.length).toBeGreaterThan(3);
    for (const [index, cursor] of cursors.entries()) {
      await write(keysOf('1', 6_000));
      const stop = new AbortController();
      let progressed = 0;
      let last = '';
      const interrupted = sweep(['1'], {
        signal: stop.signal,
        onProgress: async (progress) => {
          last = progress.cursor;
          progressed += 1;
          if (progressed > index) stop.abort();
        },
      });
      await interrupted.catch(() => undefined);
      await sweep(['1'], { startCursor: last });
      expect(await redis.dbsize(), `after ${cursor}`).toBe(20_000);
    }
  });

  test('does less when it goes on from a cursor', async () => {
    await write(keysOf('2', 20_000));
    const log = newLog();
    const whole = await sweep(['1'], {}, log);
    const half = log.progress[0]?.cursor ?? null;
    const rest = await sweep(['1'], { startCursor: half });
    expect(rest.scanned).toBeGreaterThan(0);
    expect(rest.scanned).toBeLessThan(whole.scanned);
  });

  test('begins again with a cursor of another server process, which means nothing here', async () => {
    await write(keysOf('2', 20_000));
    const log = newLog();
    const whole = await sweep(['1'], {}, log);
    const cursor = log.progress[0]?.cursor.split('/')[1] ?? '';
    for (const startCursor of [`${'0'.repeat(40)}/${cursor}`, cursor, 'nonsense', '']) {
      expect((await sweep(['1'], { startCursor })).scanned).toBe(whole.scanned);
    }
  });

  test('says which privilege its user lacks', async () => {
    await write(keysOf('1', 10));
    const user = `reader-${randomUUID()}`;
    await redis.call('ACL', 'SETUSER', user, 'on', '>secret', '~*', '+@all', '-unlink');
    const reader = await connectRedis(withUser(user, 'secret'), { name: 'reader' });
    try {
      const swept = sweep(['1'], { redis: reader });
      await expect(swept).rejects.toMatchObject({
        code: 'PRIVILEGE_MISSING',
        message: expect.stringContaining('unlink'),
      });
    } finally {
      reader.disconnect();
      await redis.call('ACL', 'DELUSER', user);
    }
    expect(await redis.dbsize()).toBe(10);
  });

  test('goes on after its connection was cut', async () => {
    await write(keysOf('1', 6_000));
    const errors: Error[] = [];
    const other = await connectRedis(database.url, {
      name: 'cut',
      onError: (error) => errors.push(error),
    });
    const clientId = await other.client('ID');
    let isCut = false;
    const result = await sweep(['1'], {
      redis: other,
      admit: async (ids) => {
        if (!isCut) await redis.client('KILL', 'ID', clientId);
        isCut = true;
        return new Set(ids);
      },
    });
    other.disconnect();
    expect(result.deleted).toEqual(new Map([['1', 6_000]]));
    expect(await redis.dbsize()).toBe(0);
  });
});

describe('a count', () => {
  test('names every tenant asked for, and changes nothing', async () => {
    const keys = [...keysOf('1', 20), ...keysOf('10', 5), 'ratelimit:1', 'bull:1:x'];
    await write(keys);
    const ids = new Set(['1', '2']);
    const counts = await countTenantKeys(redis, TEMPLATES, ids, { excludePrefixes: ['bull:'] });
    expect(counts).toEqual(
      new Map([
        ['1', 21],
        ['2', 0],
      ]),
    );
    expect(await allKeys()).toEqual(keys.sort());
  });
});

describe('a pass over the keyspace', () => {
  test('sees every key once where the server is quiet, in pages', async () => {
    await write(keysOf('1', 5_000));
    const seen: string[] = [];
    let pages = 0;
    for await (const page of scanKeyspace(redis, { pattern: null, count: 500 })) {
      seen.push(...page.keys);
      pages += 1;
    }
    expect(seen.sort()).toEqual(keysOf('1', 5_000).sort());
    expect(pages).toBeGreaterThan(5);
  });
});

describe('the identity marker', () => {
  test('is planted once, and everyone gets the same', async () => {
    expect(await readRedisIdentity(redis)).toBe(null);
    const planted = await Promise.all(['a', 'b', 'c'].map((id) => plantRedisIdentity(redis, id)));
    expect(new Set(planted).size).toBe(1);
    expect(await readRedisIdentity(redis)).toBe(planted[0]);
  });
});

describe('a connection', () => {
  test.each([
    [
      'to a port where nothing listens',
      'redis://:s3cret@127.0.0.1:1',
      /127\.0\.0\.1:1: nothing listens/,
    ],
    ['to an unknown host', 'redis://:s3cret@nowhere.invalid', /nowhere\.invalid: the host name/],
  ])('%s is refused by name', async (_, url, why) => {
    const error = await connectionError(url);
    expect(error).toMatchObject({ code: 'REDIS_UNREACHABLE', exitCode: 2 });
    expect(error.message).toMatch(why);
    expect(JSON.stringify(error.toReport())).not.toContain('s3cret');
  });

  test('with a wrong password is refused without showing it', async () => {
    const error = await connectionError(withUser(`nobody-${randomUUID()}`, 's3cret'));
    expect(error.message).toMatch(/refuses the user name or password/);
    expect(JSON.stringify(error.toReport())).not.toContain('s3cret');
  });

  test('to a database that the server does not have is refused, not led to database 0', async () => {
    const url = new URL(database.url);
    url.pathname = '/99999';
    expect((await connectionError(url.href)).message).toMatch(/99999: it has no such database/);
  });

  test('to something that never answers is given up', async () => {
    const silent = await listen((server) => server.on('connection', () => undefined));
    expect((await connectionError(silent.url)).message).toMatch(/no answer within 5 s/);
    silent.close();
  });

  test('to something that is no Redis is refused', async () => {
    const other = await listen((server) => server.on('connection', (socket) => socket.end('E\n')));
    expect((await connectionError(other.url)).code).toBe('REDIS_UNREACHABLE');
    other.close();
  });
});

function withUser(user: string, password: string): string {
  const url = new URL(database.url);
  url.username = user;
  url.password = password;
  return url.href;
}

async function connectionError(url: string): Promise<PurgeError> {
  try {
    (await connectRedis(url, { name: 'refused' })).disconnect();
  } catch (thrown) {
    if (thrown instanceof PurgeError) return thrown;
    throw thrown;
  }
  throw new Error('it connected');
}

/** A server on a free loopback port that is no Redis. */
async function listen(
  prepare: (server: Server) => void,
): Promise<{ url: string; close: () => void }> {
  const sockets = new Set<{ destroy: () => void }>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  prepare(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { url: `redis://127.0.0.1:${port}`, close };
}
