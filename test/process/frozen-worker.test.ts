import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PurgeRecord } from '../../src/domain/records.ts';
import { catalogueChecksum } from '../support/catalogue-checksum.ts';
import { type CliOptions, type CliResult, runForJson, runInProcess } from '../support/cli.ts';
import { freezeInBatch } from '../support/frozen-worker.ts';
import type { TestDatabase } from '../support/postgres.ts';
import type { PurgeWorld } from '../support/purge-world.ts';
import { createSmallApplication } from '../support/small-application.ts';
import { createWorld, makeTemplate } from '../support/test-world.ts';
import { until } from '../support/until.ts';
import type { WorkerProcess } from '../support/worker-process.ts';

/** A holder silent for so long is taken to be dead. */
const LOCK_MS = 4_000;
/** A frozen worker's session may be idle inside its transaction for so long. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** Of a machine that has much else to do. */
const SLACK_MS = 8_000;
const ROWS = { 'public.messages': 24, 'app.events': 12, 'public.agents': 12, 'public.tenants': 1 };

const WORKER = { lockMs: LOCK_MS, reconcileMs: 600_000 };

let template: TestDatabase;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'frozen-'));
  writeFileSync(
    join(folder, 'purge.config.json'),
    JSON.stringify({ tenant: { table: 'public.tenants', key: 'id' }, worker: WORKER }),
  );
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 3, doomed: 12 }));
});
afterAll(async () => {
  await template?.drop();
  rmSync(folder, { recursive: true, force: true });
});

let world: PurgeWorld;
let frozen: WorkerProcess;
let others: unknown;
beforeEach(async () => {
  // Without a sweep, without a reconciler: whatever the worker does after it woke is its purge's.
  world = await createWorld({
    template: template.name,
    config: {
      redis: { keys: [] },
      batch: { maxRows: 4, connections: 1 },
      // Long waits between batches, so that there is a between to freeze in.
      throttle: { rowsPerSecMax: 1 },
      worker: { slots: 1, ...WORKER },
    },
  });
  others = await catalogueChecksum(world.pool, { except: ['doomed'] });
});
afterEach(() => world.close());

const cli = (): CliOptions => ({ cwd: folder, env: world.environment });

const run = (...argv: string[]): Promise<CliResult> => runInProcess(argv, cli());

/** A worker that is frozen between two batches, while its cap on rows per second holds it. */
async function freezeBetweenBatches(purge: PurgeRecord): Promise<void> {
  frozen = await world.spawnWorker();
  await until('it holds between two batches, and for some seconds more', 30_000, async () =>
    (await world.batches(purge.id)) >= 2 &&
    (await world.value(
      `select count(*)::int from tenant_purge.throttled
       where purge_id = $1 and clock_timestamp() - since < interval '1 s'
         and clock_timestamp() - seen_at < interval '1 s'`,
      [purge.id],
    )) === 1
      ? true
      : null,
  );
  frozen.kill('SIGSTOP');
}

/** Everything that the ledger and the application have of the purge. */
async function everything(purge: PurgeRecord): Promise<unknown> {
  const all = async (table: string, key: string): Promise<unknown> =>
    (
      await world.pool.query(
        `select to_jsonb(t) as row from tenant_purge.${table} t where ${key} = $1
         order by to_jsonb(t)::text`,
        [purge.id],
      )
    ).rows;
  return {
    purge: await all('purge', 'id'),
    batches: await all('batch', 'purge_id'),
    checkpoints: await all('checkpoint', 'purge_id'),
    events: await all('event', 'purge_id'),
    rows: await catalogueChecksum(world.pool, { except: [] }),
  };
}

/** Wakes it, lets it find out, and ends it. `finding` is what it logs when it has. */
async function wakeAndEnd(finding: RegExp | null): Promise<void> {
  const before = frozen.log().length;
  frozen.kill('SIGCONT');
  if (finding !== null) {
    await until('the worker has found out', 20_000, () =>
      finding.test(frozen.log().slice(before)) ? true : null,
    );
  }
  frozen.kill('SIGTERM');
  expect(await frozen.exited, frozen.log()).toEqual({ code: 0, signal: null });
}

async function timed<Answer>(work: Promise<Answer>): Promise<{ answer: Answer; tookMs: number }> {
  const began = performance.now();
  const answer = await work;
  return { answer, tookMs: performance.now() - began };
}

const COMMANDS = [
  ['pause', 'pausing', 'paused'],
  ['cancel', 'cancelling', 'cancelled'],
] as const;

describe('33. a worker process that is frozen', () => {
  test.each(COMMANDS)(
    'between two batches: %s says %s and what it waits for, is %s in bounded time, and the worker that wakes changes nothing',
    async (command, asked, done) => {
      const purge = await world.enqueueOne('doomed');
      await freezeBetweenBatches(purge);

      const first = await timed(runForJson([command, 'doomed', '--wait', '0'], cli()));
      expect(first.answer.exitCode).toBe(1);
      expect(first.answer.document).toMatchObject({
        error: { code: 'TIMED_OUT' },
        drained: true,
        pending: 1,
        purges: [{ status: asked, stop: { status: asked, batchOpenMs: null } }],
      });
      const wording = await run('status', 'doomed');
      expect(wording.stdout).toContain(`${asked}, stage dependents`);
      expect(wording.stdout).toMatch(
        new RegExp(
          `held by \\S+:${frozen.pid}:0 since .*; (no batch of it is in flight; silent for \\S+ s, settled without it after 4.0 s|silent for \\S+ s, so it is settled without it)`,
        ),
      );

      const { answer, tookMs } = await timed(run(command, 'doomed', '--wait'));
      expect(answer.exitCode, answer.stderr).toBe(0);
      expect(answer.stdout).toMatch(new RegExp(`^already ${done}: Tenant doomed`));
      expect(answer.stdout).toMatch(/\d+ rows and 0 Redis keys gone, \d+ rows remain/);
      expect(first.tookMs + tookMs).toBeLessThan(LOCK_MS + SLACK_MS);
      expect(await world.find(purge.id)).toMatchObject({ status: done, worker: null, fence: 2 });
      expect(
        await world.value(
          `select details ->> 'worker' from tenant_purge.event where purge_id = $1 and kind = $2`,
          [purge.id, `${done} without its worker`],
        ),
      ).toContain(`:${frozen.pid}:0`);

      const before = await everything(purge);
      await wakeAndEnd(/the purge holds no longer/);
      expect(await everything(purge)).toEqual(before);
      expect(await shownRows(purge)).toBe(await bookedRows(purge));

      await endAndCompare(purge, command);
    },
    120_000,
  );

  test.each(COMMANDS)(
    'inside a batch: %s waits for that batch and says %s, is %s once the server has given it up, and the worker that wakes changes nothing',
    async (command, asked, done) => {
      const purge = await world.enqueueOne('doomed');
      // At full speed until the row that is locked.
      await run('tune', '--all', '--max-rows-per-sec', '0');
      frozen = await freezeInBatch(world);
      const booked = await bookedRows(purge);

      const stopping = timed(run(command, 'doomed', '--wait'));
      await until('the stop is recorded', 10_000, async () =>
        (await world.find(purge.id)).status === asked ? true : null,
      );
      const wording = await run('status', 'doomed');
      expect(wording.stdout).toMatch(
        new RegExp(`held by \\S+:${frozen.pid}:0 since .*; its batch has been open for \\S+ s`),
      );

      const { answer, tookMs } = await stopping;
      expect(answer.exitCode, answer.stderr).toBe(0);
      expect(answer.stdout).toMatch(new RegExp(`^${done}: Tenant doomed`));
      expect(tookMs).toBeLessThan(IDLE_IN_TRANSACTION_MS + LOCK_MS + SLACK_MS);
      // Its batch was open, and went back.
      expect(await bookedRows(purge)).toBe(booked);
      expect(await world.find(purge.id)).toMatchObject({
        status: done,
        worker: null,
      });
      expect(await shownRows(purge)).toBe(booked);

      const before = await everything(purge);
      await wakeAndEnd(null);
      expect(await everything(purge)).toEqual(before);
      await endAndCompare(purge, command);
    },
    180_000,
  );
});

const bookedRows = async (purge: PurgeRecord): Promise<number> =>
  Object.values(await world.ledgerRows(purge.id)).reduce((sum, rows) => sum + rows, 0);

/** Rows that are gone, as an operator is told. */
async function shownRows(purge: PurgeRecord): Promise<unknown> {
  const { document } = await runForJson(['status', purge.id], cli());
  const [shown] = document['purges'] as { rowsDeleted: number }[];
  return shown?.rowsDeleted;
}

/** A paused purge goes on with another worker; a cancelled one is enqueued again. Nothing is counted twice. */
async function endAndCompare(purge: PurgeRecord, command: 'pause' | 'cancel'): Promise<void> {
  await run('tune', '--all', '--max-rows-per-sec', '0');
  const stopped = await world.find(purge.id);
  world.startWorker();
  if (command === 'pause') {
    expect((await run('resume', 'doomed')).exitCode).toBe(0);
    await world.untilStatus(purge.id, 'completed', 60_000);
    expect(await world.ledgerRows(purge.id)).toMatchObject(ROWS);
  } else {
    const again = await world.enqueueOne('doomed');
    await world.untilStatus(again.id, 'completed', 60_000);
    const remained = stopped.residue.reduce((sum, { count }) => sum + count, 0);
    expect(await bookedRows(again)).toBe(remained);
    expect(Number(await shownRows(purge)) + remained).toBe(stopped.rowsTotal);
    expect((await world.find(purge.id)).status).toBe('cancelled');
  }
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(others);
}
