import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { runCommand } from '../../src/queue/commands.ts';
import { catalogueChecksum } from '../support/catalogue-checksum.ts';
import type { TestDatabase } from '../support/postgres.ts';
import { actAt, type PurgeWorld } from '../support/purge-world.ts';
import { createSmallApplication } from '../support/small-application.ts';
import { createWorld, makeTemplate } from '../support/test-world.ts';
import { until } from '../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 3, doomed: 6 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
let before: unknown;
beforeEach(async () => {
  world = await createWorld({ template: template.name, config: { batch: { maxRows: 4 } } });
  before = await catalogueChecksum(world.pool, { except: ['doomed'] });
});
afterEach(() => world.close());

const FULL = { 'public.messages': 12, 'app.events': 6, 'public.agents': 6, 'public.tenants': 1 };

/** Ends every connection of the program to the database, as a restart or a failover does. */
const endConnections = (): Promise<unknown> =>
  world.pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name like 'tenant-purge%'`,
  );

test.each([
  'before-commit',
  'batch-committed',
  'before-sweep',
  'before-unlink',
  'claimed',
] as const)(
  '20. connections to PostgreSQL ended at %s are replaced and the purge goes on',
  async (point) => {
    const { id } = await world.enqueueOne('doomed');
    await world.redis.set('tenant:doomed:x', '1');
    world.startWorker(
      actAt(point, 1, async () => {
        await endConnections();
      }),
    );
    await world.untilStatus(id, 'completed', 40_000);
    expect(await world.ledgerRows(id)).toMatchObject(FULL);
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  },
);

test('20. connections ended again and again at every tenth batch lose and double nothing', async () => {
  const { id } = await world.enqueueOne('doomed');
  const worker = await world.spawnWorker();
  await worker.ready;
  for (let ended = 0; ended < 5; ended += 1) {
    const batches = await world.batches(id);
    await until('it has gone on', 20_000, async () =>
      (await world.batches(id)) > batches || (await world.find(id)).status === 'completed'
        ? true
        : null,
    );
    await endConnections();
  }
  await world.untilStatus(id, 'completed', 40_000);
  expect(await world.ledgerRows(id)).toMatchObject(FULL);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  worker.kill('SIGTERM');
  expect(await worker.exited, worker.log()).toEqual({ code: 0, signal: null });
}, 90_000);

test('20. a Redis flushed in mid-run loses nothing: the queue is derived from the ledger again', async () => {
  const waiting = await world.composeOther({});
  const { id } = await world.enqueueOne('doomed');
  // Older than the seconds which the enqueueing command itself has to add its jobs.
  await world.pool.query(`update tenant_purge.purge set created_at = now() - interval '1 minute'`);
  const killed = await world.spawnWorker({ failpoint: 'batch-committed:10' });
  await killed.exited;
  await world.redis.flushdb();
  expect(await waiting.queue.place(await world.find(id))).toBe('none');
  world.startWorker();
  const ended = await world.untilStatus(id, 'completed');
  expect(ended.jobNumber).toBeGreaterThan(1);
  expect(await world.ledgerRows(id)).toMatchObject(FULL);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('20. a Redis flushed under a running worker does not stop its purge', async () => {
  const { id } = await world.enqueueOne('doomed');
  await world.pool.query(`update tenant_purge.purge set created_at = now() - interval '1 minute'`);
  world.startWorker(
    actAt('batch-committed', 10, async () => {
      await world.redis.flushdb();
    }),
  );
  await world.untilStatus(id, 'completed', 40_000);
  expect(await world.ledgerRows(id)).toMatchObject(FULL);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('34. a flushed Redis does not release a fleet that was stopped', async () => {
  const { id } = await world.enqueueOne('doomed');
  await world.pool.query(`update tenant_purge.purge set created_at = now() - interval '1 minute'`);
  const everything = {
    selection: { kind: 'live' },
    fleet: true,
    operator: 'test',
    waitMs: 5_000,
  } as const;
  await runCommand(world.actor.reconcile, 'pause', everything);
  await world.redis.flushdb();
  world.startWorker();
  await until('the pause is there again', 10_000, async () =>
    (await world.actor.queue.isPaused()) ? true : null,
  );
  await until('its job is there again', 10_000, async () =>
    (await world.actor.queue.place(await world.find(id))) === 'none' ? null : true,
  );
  expect(await world.batches(id)).toBe(0);
  await runCommand(world.actor.reconcile, 'resume', everything);
  await world.untilStatus(id, 'completed', 40_000);
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});
