import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { PurgeId } from '../../../src/domain/ids.ts';
import type { Failpoint } from '../../../src/engine/failpoints.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { doomed: 12 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
let id: PurgeId;
beforeEach(async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 2, connections: 1 } },
  });
  ({ id } = await world.enqueueOne('doomed'));
});
afterEach(() => world.close());

const fault = (): never => {
  throw Object.assign(new Error('deadlock detected'), { code: '40P01' });
};

/** One run that a passing fault interrupts. @returns what the ledger counts, and the wait that follows */
async function interrupt(failpoint: Failpoint): Promise<{ count: number; retryInMs: number }> {
  const outcome = await world.run(id, { parts: world.engine(failpoint) });
  if (outcome.kind !== 'interrupted') throw new Error(`it is ${outcome.kind}`);
  return { count: (await world.find(id)).interruptions, retryInMs: outcome.retryInMs };
}

const atOnce = (): Failpoint => actAt('preflight-done', 1, fault);
/** Some ranges hold none of the tenant's rows: such a batch is no progress. */
const afterBatches = (): Failpoint => actAt('batch-committed', 8, fault);

test('a purge that is interrupted again and again without a batch between waits longer each time', async () => {
  for (const count of [1, 2, 3]) {
    const seen = await interrupt(atOnce());
    expect(seen.count).toBe(count);
    expect(seen.retryInMs).toBeGreaterThan(0.74 * 2_000 * 2 ** (count - 1));
  }
});

test('a purge that progresses between its interruptions waits no longer than after the first', async () => {
  for (let times = 0; times < 3; times += 1) await interrupt(atOnce());
  for (let times = 0; times < 3; times += 1) {
    const seen = await interrupt(afterBatches());
    expect(seen.count).toBe(1);
    expect(seen.retryInMs).toBeLessThanOrEqual(2_000);
  }
  expect(await interrupt(atOnce())).toMatchObject({ count: 2 });
});

test('what a holder did that died before it could say so counts as progress', async () => {
  for (let times = 0; times < 3; times += 1) await interrupt(atOnce());
  const died = new Error('died');
  const dies: Failpoint = async (point) => {
    await commits(point);
    if (point === 'before-settle') throw died;
  };
  const commits = afterBatches();
  await expect(world.run(id, { parts: world.engine(dies) })).rejects.toBe(died);
  expect(await interrupt(atOnce())).toMatchObject({ count: 1 });
  expect(await interrupt(atOnce())).toMatchObject({ count: 2 });
});

test.each([
  ['pause', 'paused'],
  ['cancel', 'cancelled'],
] as const)(
  '33. a %s that comes with the fault is settled by the run that met it',
  async (name, status) => {
    const outcome = await world.run(id, {
      parts: world.engine(async (point) => {
        if (point === 'preflight-done') fault();
        if (point !== 'before-settle') return;
        const selection = { kind: 'purge', id } as const;
        await world.actor.commands.apply(name, selection, { operator: 'test', fleet: false });
      }),
    });
    expect(outcome).toMatchObject({ kind: status });
    expect(await world.find(id)).toMatchObject({ status, worker: null, fence: 1 });
  },
);

test('a batch that somebody cancelled is tried again, although it is of one row already', async () => {
  await world.close();
  world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 1, connections: 1, statementTimeoutMs: 20_000 } },
  });
  ({ id } = await world.enqueueOne('doomed'));
  await world.pool.query(`
    create table public.once (id int);
    create function app.slow() returns trigger language plpgsql as $$ begin
      if exists (select from public.once) then perform pg_sleep(15); end if; return old; end $$;
    create trigger slow before delete on app.events for each row execute function app.slow();
    insert into public.once values (1)`);
  // The plan was made before the trigger was.
  ({ id } = await again());
  const run = world.run(id);
  for (let times = 0; times < 2; times += 1) {
    await until('the batch has been cancelled', 10_000, async () => {
      const cancelled = await world.value(
        `select bool_or(pg_cancel_backend(pid)) from pg_stat_activity
         where datname = current_database() and wait_event = 'PgSleep'`,
      );
      return cancelled === true ? true : null;
    });
  }
  await world.pool.query('truncate public.once');
  await world.pool.query(
    `select pg_cancel_backend(pid) from pg_stat_activity
     where datname = current_database() and wait_event = 'PgSleep'`,
  );
  expect((await run).kind).toBe('awaiting-sweep');
  const events = await world.pool.query(
    `select kind from tenant_purge.event where purge_id = $1 and kind in ('interrupted', 'failed')`,
    [id],
  );
  expect(events.rows).toEqual([]);
});

/** Another campaign, with the schema as it is now. */
async function again(): Promise<{ readonly id: PurgeId }> {
  await world.pool.query(`update tenant_purge.purge set status = 'cancelled', ended_at = now()`);
  return world.enqueueOne('doomed');
}

test('a worker that is stopped while a read waits for a lock gives the purge back within seconds', async () => {
  const application = await world.pool.connect();
  const worker = world.startWorker(
    actAt('level-entered', 1, async () => {
      await application.query('begin; lock table app.events in access exclusive mode');
    }),
  );
  await until('a read waits', 20_000, async () => {
    const waits = await world.value(
      `select count(*)::int from pg_stat_activity where datname = current_database()
       and wait_event_type = 'Lock' and query like '%pg_relation_filenode%'`,
    );
    return Number(waits) > 0 ? true : null;
  });
  const startedAt = performance.now();
  await worker.stop();
  expect(performance.now() - startedAt).toBeLessThan(8_000);
  expect(await world.find(id)).toMatchObject({ status: 'queued', interruptions: 0, error: null });
  await application.query('rollback');
  application.release();
  world.startWorker();
  await world.untilStatus(id, 'completed');
});

test('a holder that holds back is no silent one, although it commits no batch', async () => {
  const silentMs = async (): Promise<number> => {
    const [stop] = await world.actor.commands.pendingStops({ kind: 'purge', id });
    return stop?.silentMs ?? Number.NaN;
  };
  const seen: number[] = [];
  const parts = world.engine(
    actAt('claimed', 1, async () => {
      await world.pool.query(
        `update tenant_purge.purge set claimed_at = now() - interval '1 hour', status = 'pausing'`,
      );
      seen.push(await silentMs());
      await world.pool.query(
        `insert into tenant_purge.throttled (purge_id, fence, reasons)
         select id, fence, '{"replica is behind"}' from tenant_purge.purge`,
      );
      seen.push(await silentMs());
      await world.pool.query('update tenant_purge.purge set fence = fence + 1');
      seen.push(await silentMs());
    }),
  );
  await world.run(id, { parts });
  expect(seen[0]).toBeGreaterThan(3_500_000);
  expect(seen[1]).toBeLessThan(30_000);
  // What a predecessor said is no sign of life of its successor.
  expect(seen[2]).toBeGreaterThan(3_500_000);
});
