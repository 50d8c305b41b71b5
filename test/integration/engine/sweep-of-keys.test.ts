import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { SweepStore } from '../../../src/postgres/ledger/sweeps.ts';
import { runCommand } from '../../../src/queue/commands.ts';
import { catalogueChecksum, redisChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { addTenant, createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

const IDS = ['1', '10', '100', 'a*', '[1]'];

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(async (url) => {
    await createSmallApplication(url);
    for (const id of IDS) await addTenant(url, id, 1);
  });
});
afterAll(() => template.drop());

let world: PurgeWorld;
beforeEach(async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { smallPurgeRows: 5_000 }, worker: { slots: 2 } },
  });
  const pipeline = world.redis.pipeline();
  for (const id of [...IDS, '1a', '']) {
    for (let n = 1; n <= 300; n += 1) pipeline.set(`tenant:${id}:cache:${n}`, `${n}`);
    pipeline.hset(`tenant:${id}:session`, 'a', '1');
    pipeline.set(`ratelimit:${id}`, '60', 'EX', 1_000);
  }
  for (let n = 1; n <= 500; n += 1) pipeline.set(`stray:${n}`, 'x');
  await pipeline.exec();
});
afterEach(() => world.close());

const command = (name: 'pause' | 'resume' | 'cancel', id: string): Promise<unknown> =>
  runCommand(world.actor.reconcile, name, {
    selection: { kind: 'tenant', id },
    fleet: false,
    operator: 'test',
    waitMs: 5_000,
  });

const keysOf = async (id: string): Promise<number> =>
  (await world.redis.keys('*')).filter((key) => key.startsWith(`tenant:${id}:`)).length;

test('40. purging tenants 1, a* and [1] leaves the keys of 10, 100 and everybody else as they are', async () => {
  const doomed = ['1', 'a*', '[1]'];
  const rows = await catalogueChecksum(world.pool, { except: doomed });
  const keys = await redisChecksum(world.redis, { except: doomed });
  await world.enqueue(doomed);
  world.startWorker();
  const ended = await world.untilEnded();
  expect(ended.map(({ status, redisKeysDeleted }) => [status, redisKeysDeleted])).toEqual([
    ['completed', 302],
    ['completed', 302],
    ['completed', 302],
  ]);
  expect(await redisChecksum(world.redis, { except: [] })).toEqual(keys);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(rows);
  expect(await world.value('select count(*)::int from tenant_purge.sweep')).toBeLessThan(3);
});

test('33. a purge paused in the middle of the pass drops out of it, and is swept after its resume', async () => {
  const purges = await world.enqueue(['10', '100']);
  const [ten, hundred] = purges;
  if (ten === undefined || hundred === undefined) throw new Error('nothing was enqueued');
  const keys = await redisChecksum(world.redis, { except: ['10', '100'] });
  world.startWorker(
    actAt('before-sweep', 1, async () => {
      await until('both wait', 5_000, async () =>
        (await world.value(
          `select count(*)::int from tenant_purge.purge where stage = 'redis'`,
        )) === 2
          ? true
          : null,
      );
      await command('pause', '10');
    }),
  );
  // With the first pass over, what it was told to spare is still there.
  await until('a pass is over', 10_000, async () =>
    (await world.value(
      `select count(*)::int from tenant_purge.sweep where finished_at is not null`,
    )) === 0
      ? null
      : true,
  );
  expect((await world.find(ten.id)).status).toBe('paused');
  expect(await keysOf('10')).toBe(301);
  await command('resume', '10');
  await world.untilStatus(ten.id, 'completed', 30_000);
  await world.untilStatus(hundred.id, 'completed', 30_000);
  expect(await redisChecksum(world.redis, { except: [] })).toEqual(keys);
});

test('33. a purge paused when the pass is taken over, and resumed before its end, is not taken for swept', async () => {
  const [other, late] = await world.enqueue(['1', '100']);
  if (other === undefined || late === undefined) throw new Error('nothing was enqueued');
  await world.pool.query(
    `update tenant_purge.purge set stage = 'redis', redis_waiting_since = now() where status = 'queued'`,
  );
  const sweeps = new SweepStore(world.actor.database);
  const options = { holder: 'first', waitMs: 0, leaseMs: 60_000 };
  const first = await sweeps.claim(options);
  if (first.kind !== 'claimed') throw new Error(first.kind);
  expect(first.claim.purges).toHaveLength(2);
  await command('pause', '100');
  await sweeps.release(first.claim);
  const second = await sweeps.claim({ ...options, holder: 'second' });
  if (second.kind !== 'claimed') throw new Error(second.kind);
  expect(second.claim.purges.map(({ tenantId }) => tenantId)).toEqual(['1']);
  await command('resume', '100');
  await sweeps.finish(second.claim, { keys: new Map(), rows: new Set() });
  expect(await world.find(other.id)).toMatchObject({ status: 'completed' });
  expect(await world.find(late.id)).toMatchObject({ status: 'queued', swept: false });
});

test.each(['before-sweep', 'before-unlink'])(
  '20. a pass whose holder is killed at %s is taken over and ended by another',
  async (point) => {
    const purges = await world.enqueue(['1', '10']);
    const keys = await redisChecksum(world.redis, { except: ['1', '10'] });
    const killed = await world.spawnWorker({ failpoint: `${point}:1` });
    expect(await killed.exited).toEqual({ code: null, signal: 'SIGKILL' });
    world.startWorker();
    for (const { id } of purges) await world.untilStatus(id, 'completed', 30_000);
    expect(await redisChecksum(world.redis, { except: [] })).toEqual(keys);
    const passes = await world.value(`select max(epoch)::int from tenant_purge.sweep`);
    expect(passes).toBe(2);
  },
);

test('33. a purge cancelled while it waits for the pass keeps its keys', async () => {
  const [purge] = await world.enqueue(['10']);
  if (purge === undefined) throw new Error('nothing was enqueued');
  const parts = world.engine(
    actAt('before-sweep', 1, async () => {
      await command('cancel', '10');
    }),
  );
  await world.run(purge.id, { parts });
  await until('the pass is over', 10_000, async () =>
    (await world.value(
      `select count(*)::int from tenant_purge.sweep where finished_at is not null`,
    )) === 0
      ? null
      : true,
  );
  await parts.sweeper?.stop();
  expect((await world.find(purge.id)).status).toBe('cancelled');
  expect(await keysOf('10')).toBe(301);
});

test('a fresh look that outlasts the lease does not lose the pass to another process', async () => {
  const [purge] = await world.enqueue(['10']);
  if (purge === undefined) throw new Error('nothing was enqueued');
  // A locked table stands for one that takes long to count.
  const holder = await world.pool.connect();
  const parts = world.engine(
    actAt('before-unlink', 1, async () => {
      await holder.query('begin');
      await holder.query('lock table public.settings in access exclusive mode');
    }),
  );
  await world.run(purge.id, { parts });
  await until('the count waits for the table', 10_000, async () =>
    (await world.value(
      `select count(*)::int from pg_locks where not granted and relation = 'public.settings'::regclass`,
    )) === 0
      ? null
      : true,
  );
  const sweeps = new SweepStore(world.actor.database);
  const leaseMs = world.config.worker.lockMs;
  const started = performance.now();
  try {
    await until('the lease is over', 10_000, async () => {
      const attempt = await sweeps.claim({ holder: 'another', waitMs: 0, leaseMs });
      expect(attempt.kind).toBe('wait');
      return performance.now() - started > leaseMs * 1.5 ? true : null;
    });
  } finally {
    await holder.query('rollback');
    holder.release();
  }
  await world.untilStatus(purge.id, 'completed');
  await parts.sweeper?.stop();
});
