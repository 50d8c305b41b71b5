import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { carryOutCommand } from '../../../src/queue/commands.ts';
import { jobIdOf } from '../../../src/queue/contracts.ts';
import { TcpProxy } from '../../chaos/tcp-proxy.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { actAt, openWorld, type PurgeWorld } from '../../support/purge-world.ts';
import { claimRedisDatabase } from '../../support/redis.ts';
import { addTenant, createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

const FIVE = ['t1', 't2', 't3', 't4', 't5'];

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(async (url) => {
    await createSmallApplication(url);
    for (const id of ['kept', ...FIVE]) await addTenant(url, id, 6);
  });
});
afterAll(() => template.drop());

let world: PurgeWorld;
afterEach(() => world.close());

const ONE = { batch: { maxRows: 4, connections: 1 } };
const FULL = { 'public.messages': 12, 'app.events': 6, 'public.agents': 6, 'public.tenants': 1 };

const rowsOf = async (id: Parameters<PurgeWorld['ledgerRows']>[0]): Promise<number> =>
  Object.values(await world.ledgerRows(id)).reduce((sum, rows) => sum + rows, 0);

test('21. a batch that outlasts the lease of its job is counted once, and its worker commits no later one', async () => {
  world = await createWorld({ template: template.name, config: { ...ONE, redis: { keys: [] } } });
  const before = await catalogueChecksum(world.pool, { except: ['t1'] });
  const purge = await world.enqueueOne('t1');
  const { queue } = world.config;
  const lock = `${queue.prefix}:${queue.name}:${jobIdOf(purge.id, purge.jobNumber)}:lock`;
  let atClaim = -1;
  const act = async (): Promise<void> => {
    // As after a pause of the whole process: the lease has run out, another worker has the job.
    await world.redis.del(lock);
    world.startWorker();
    await until('the other worker’s claim waits for this batch', 20_000, async () =>
      (await world.value(
        `select count(*)::int from pg_locks where locktype = 'advisory' and not granted
             and mode = 'ExclusiveLock' and classid = 1953525094`,
      )) === 1
        ? true
        : null,
    );
    atClaim = await world.batches(purge.id);
  };
  world.startWorker(async (point) => {
    if (point !== 'before-commit' || atClaim >= 0 || (await world.batches(purge.id)) < 2) return;
    atClaim = 0;
    await act();
  });
  const ended = await world.untilStatus(purge.id, 'completed', 60_000);
  expect(ended.fence).toBe(2);
  expect(await world.ledgerRows(purge.id)).toMatchObject(FULL);
  expect(ended.rowsDeleted).toBe(purge.rowsTotal);
  expect(atClaim).toBeGreaterThan(0);
  const ofFirst = Number(
    await world.value(
      'select count(*)::int from tenant_purge.batch where purge_id = $1 and fence = 1',
      [purge.id],
    ),
  );
  // The batch in flight counts, unless it was one without rows; none after it does.
  expect([atClaim, atClaim + 1]).toContain(ofFirst);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('22. 29. a purge that failed leaves a failed job, and asked for again it runs although that job is still there', async () => {
  world = await createWorld({ template: template.name, config: ONE });
  await world.pool.query(`
    create function public.refuse() returns trigger language plpgsql as $$
    begin raise 'not today'; end $$;
    create trigger refuse before delete on public.tenants execute function public.refuse()`);
  const before = await catalogueChecksum(world.pool, { except: ['t1'] });
  const failing = await world.enqueueOne('t1');
  world.startWorker();
  const job = async (): Promise<string | undefined> =>
    world.actor.queue.bull.getJobState(jobIdOf(failing.id, failing.jobNumber));
  await until('its job has failed', 20_000, async () => ((await job()) === 'failed' ? true : null));
  expect((await world.find(failing.id)).status).toBe('failed');
  const gone = await rowsOf(failing.id);
  expect(gone).toBe(failing.rowsTotal - 1);

  await world.pool.query('drop trigger refuse on public.tenants');
  const again = await world.enqueueOne('t1');
  await world.untilStatus(again.id, 'completed');
  expect(await world.ledgerRows(again.id)).toEqual({ 'public.tenants': 1 });
  expect(await job()).toBe('failed');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

/** Until a delete waits for a row that somebody has locked. */
const untilAwaited = (): Promise<unknown> =>
  until('a delete waits for the locked row', 20_000, async () =>
    (await world.value(
      `select count(*)::int from pg_locks where not granted and locktype = 'transactionid'`,
    )) === 0
      ? null
      : true,
  );

test('25. rows that others delete or lock in mid-run are neither forgotten nor counted as ours', async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { ...ONE.batch, lockTimeoutMs: 100 } },
  });
  const before = await catalogueChecksum(world.pool, { except: ['t1'] });
  const purge = await world.enqueueOne('t1');
  const application = await world.pool.connect();
  const released: Promise<unknown>[] = [];
  try {
    world.startWorker(
      actAt('before-batch', 2, async () => {
        // Three go by the application's own hand; one more is being looked at.
        await world.pool.query(`delete from app.events where ctid = any(array(
          select ctid from app.events where tenant_id = 't1' and tableoid = 'app.events_2025'::regclass limit 3))
          and tableoid = 'app.events_2025'::regclass`);
        await application.query('begin');
        await application.query(
          `select from public.messages m where m.ctid = (select min(l.ctid)
             from public.messages l join public.conversations c on c.id = l.conversation_id
             where c.tenant_id = 't1') for update`,
        );
        released.push(untilAwaited().finally(() => void application.query('rollback')));
      }),
    );
    const ended = await world.untilStatus(purge.id, 'completed', 40_000);
    await Promise.all(released);
    expect(released).toHaveLength(1);
    expect(ended.rowsDeleted).toBe(purge.rowsTotal - 3);
    expect(await world.ledgerRows(purge.id)).toMatchObject({ ...FULL, 'app.events': 3 });
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  } finally {
    application.release();
  }
});

test('34. with five purges running a stop of everything holds each within one batch, and outlives every process, Redis and every connection', async () => {
  world = await createWorld({
    template: template.name,
    config: {
      ...ONE,
      worker: { slots: 3, lockMs: 1_000, reconcileMs: 300 },
      throttle: { rowsPerSecMax: 8 },
    },
  });
  const before = await catalogueChecksum(world.pool, { except: FIVE });
  const purges = await world.enqueue(FIVE);
  // Older than the seconds which the enqueueing command itself has to add its jobs.
  await world.pool.query(`update tenant_purge.purge set created_at = now() - interval '1 minute'`);
  const workers = await Promise.all([world.spawnWorker(), world.spawnWorker()]);
  await until('all five are being deleted', 30_000, async () =>
    (await world.value(
      `select count(distinct b.purge_id)::int from tenant_purge.batch b
       join tenant_purge.purge p on p.id = b.purge_id where p.status = 'running'`,
    )) === FIVE.length
      ? true
      : null,
  );
  const everything = {
    selection: { kind: 'live' },
    fleet: true,
    operator: 'test',
    waitMs: 10_000,
  } as const;
  const { drained } = await carryOutCommand(world.actor.reconcile, 'pause', everything);
  expect(drained).toBe(true);
  const count = (): Promise<unknown> => world.value('select count(*)::int from tenant_purge.batch');
  const atStop = await count();
  for (const { id } of purges) await world.untilStatus(id, 'paused');

  for (const worker of workers) worker.kill('SIGKILL');
  await Promise.all(workers.map((worker) => worker.exited));
  await world.redis.flushdb();
  await world.pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name like 'tenant-purge%'`,
  );
  const restarted = await world.spawnWorker();
  await restarted.ready;
  await until('the queue is derived from the ledger again', 20_000, async () => {
    const places = await Promise.all(
      purges.map(async ({ id }) => world.actor.queue.place(await world.find(id))),
    );
    return places.every((place) => place !== 'none') && (await world.actor.queue.isPaused())
      ? true
      : null;
  });
  expect(await count()).toBe(atStop);
  expect(await world.actor.commands.readControl()).toMatchObject({ stopped: true });

  await carryOutCommand(world.actor.reconcile, 'resume', everything);
  for (const { id } of purges) await world.untilStatus(id, 'completed', 60_000);
  for (const { id } of purges) expect(await world.ledgerRows(id)).toMatchObject(FULL);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
}, 150_000);

describe('40. a Redis that is away at the end', () => {
  test('keeps the purge from being completed; when it is back only the keys are left to do', async () => {
    const [database, redis] = await Promise.all([
      createDatabase({ name: 'world', template: template.name }),
      claimRedisDatabase(),
    ]);
    const direct = new Redis(redis.url);
    const proxy = await TcpProxy.open(Number(new URL(redis.url).port));
    const proxied = new URL(redis.url);
    proxied.host = `127.0.0.1:${proxy.port}`;
    world = await openWorld(
      {
        databaseUrl: database.url,
        redisUrl: proxied.href,
        drop: async () => {
          direct.disconnect();
          await proxy.close();
          await Promise.all([database.drop(), redis.release()]);
        },
      },
      // The queue's Redis stays.
      { config: ONE, environment: { QUEUE_REDIS_URL: redis.url } },
    );
    // It loses its connection too.
    world.redis.on('error', () => undefined);
    await direct.mset('tenant:t1:a', '1', 'ratelimit:t1', '1', 'tenant:t10:a', '1');
    const before = await catalogueChecksum(world.pool, { except: ['t1'] });
    const purge = await world.enqueueOne('t1');
    world.startWorker(actAt('before-sweep', 1, () => proxy.refuse()));
    await until('its rows are gone and the sweep has begun', 30_000, async () =>
      (await world.value('select count(*)::int from tenant_purge.sweep')) === 0 ? null : true,
    );
    const waiting = await world.find(purge.id);
    expect(waiting).toMatchObject({
      status: 'queued',
      stage: 'redis',
      swept: false,
      endedAt: null,
    });
    expect(await direct.exists('tenant:t1:a', 'ratelimit:t1')).toBe(2);
    const rows = await world.ledgerRows(purge.id);
    expect(rows).toMatchObject(FULL);

    proxy.restore('reset');
    const ended = await world.untilStatus(purge.id, 'completed', 60_000);
    expect(ended).toMatchObject({ redisKeysDeleted: 2, residue: [], rowsDeleted: purge.rowsTotal });
    expect(await world.ledgerRows(purge.id)).toEqual({ ...rows, redis: 2 });
    expect(await direct.exists('tenant:t1:a', 'ratelimit:t1')).toBe(0);
    expect(await direct.exists('tenant:t10:a')).toBe(1);
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  }, 120_000);

  test('and rows that were left by an incomplete purge are all that the next one deletes', async () => {
    world = await createWorld({
      template: template.name,
      config: { batch: { ...ONE.batch, maxPasses: 2 } },
    });
    await world.pool.query('alter table app.events drop constraint events_tenant_id_fkey');
    const before = await catalogueChecksum(world.pool, { except: ['t1'] });
    const first = await world.enqueueOne('t1');
    let arrives = true;
    world.startWorker(async (point) => {
      if (
        arrives &&
        (point === 'batch-committed' || point === 'before-sweep' || point === 'before-seal')
      ) {
        await world.pool.query(`insert into app.events values ('t1', '2026-01-05', 'late')`);
      }
    });
    const incomplete = await world.untilStatus(first.id, 'incomplete', 40_000);
    arrives = false;
    const left = Number(
      await world.value(`select count(*)::int from app.events where tenant_id = 't1'`),
    );
    expect(left).toBeGreaterThan(0);
    expect(incomplete.residue.find(({ table }) => table === 'app.events')?.count).toBeGreaterThan(
      0,
    );
    const again = await world.enqueueOne('t1');
    await world.untilStatus(again.id, 'completed', 40_000);
    expect(await world.ledgerRows(again.id)).toEqual({
      ...Object.fromEntries(incomplete.residue.map(({ table, count }) => [table, count])),
      'app.events': left,
    });
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  });
});
