import { Queue } from 'bullmq';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { PurgeId } from '../../../src/domain/ids.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { CommandName, CommandResult } from '../../../src/postgres/ledger/commands.ts';
import { PurgeStore } from '../../../src/postgres/ledger/purges.ts';
import { runCommand } from '../../../src/queue/commands.ts';
import { jobIdOf } from '../../../src/queue/contracts.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 5, a: 5, b: 5 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
let before: unknown;
beforeEach(async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 4, connections: 1 } },
  });
  before = await catalogueChecksum(world.pool, { except: ['a'] });
});
afterEach(() => world.close());

const command = (
  name: CommandName,
  options: { purgeId?: PurgeId; fleet?: boolean; waitMs?: number } = {},
): Promise<CommandResult[]> =>
  runCommand(world.actor.reconcile, name, {
    selection:
      options.purgeId === undefined ? { kind: 'live' } : { kind: 'purge', id: options.purgeId },
    fleet: options.fleet ?? false,
    operator: 'test',
    waitMs: options.waitMs ?? 10_000,
  });

/** A worker that carries out `act` in the middle of the first purge, just after its 10th batch. */
function actInMidRun(act: () => Promise<void> | void): void {
  world.startWorker(actAt('batch-committed', 10, act));
}

const untilParked = (purgeId: PurgeId): Promise<unknown> =>
  until('its job is seen among the delayed ones', 10_000, async () =>
    (await world.find(purgeId)).parked ? true : null,
  );

async function expectAllGone(purgeId: PurgeId): Promise<void> {
  await world.untilStatus(purgeId, 'completed');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  expect(await world.ledgerRows(purgeId)).toMatchObject({ 'public.messages': 10 });
}

test('33. a pause in mid-run stops within one batch, parks the job, and resume goes on', async () => {
  const purge = await world.enqueueOne('a');
  let batchesAtPause = -1;
  const asked: Promise<CommandResult[]>[] = [];
  actInMidRun(async () => {
    asked.push(command('pause', { purgeId: purge.id }));
    await until('the ledger knows', 5_000, async () =>
      (await world.find(purge.id)).status === 'pausing' ? true : null,
    );
    batchesAtPause = await world.batches(purge.id);
  });
  await world.untilStatus(purge.id, 'paused');
  expect(await asked[0]).toMatchObject([{ purge: { status: 'paused' } }]);
  await untilParked(purge.id);
  expect(await world.actor.queue.place(purge)).toBe('parked');
  expect(await world.batches(purge.id)).toBe(batchesAtPause);
  await command('resume', { purgeId: purge.id });
  await expectAllGone(purge.id);
});

test('33. Promote of a parked job resumes its purge', async () => {
  const purge = await world.enqueueOne('a');
  actInMidRun(async () => {
    await command('pause', { purgeId: purge.id, waitMs: 0 });
  });
  await world.untilStatus(purge.id, 'paused');
  await untilParked(purge.id);
  const job = await world.actor.queue.bull.getJob(jobIdOf(purge.id, purge.jobNumber));
  await job?.promote();
  await expectAllGone(purge.id);
});

test('33. a cancel in mid-run ends within one batch and says what is gone and what remains', async () => {
  const purge = await world.enqueueOne('a');
  actInMidRun(async () => {
    await command('cancel', { purgeId: purge.id, waitMs: 0 });
  });
  const cancelled = await world.untilStatus(purge.id, 'cancelled');
  const gone = Object.values(await world.ledgerRows(purge.id)).reduce((sum, n) => sum + n, 0);
  const remain = cancelled.residue.reduce((sum, { count }) => sum + count, 0);
  expect(cancelled.rowsDeleted).toBe(gone);
  expect(gone + remain).toBe(purge.rowsTotal);
  expect(remain).toBeGreaterThan(0);
  const job = await world.actor.queue.bull.getJob(jobIdOf(purge.id, purge.jobNumber));
  await until('its job has failed', 5_000, async () =>
    (await job?.isFailed()) === true ? true : null,
  );
  const reason = (await world.actor.queue.bull.getFailed())[0]?.failedReason;
  expect(reason).toBe(`Cancelled: ${gone} rows are gone, ${remain} rows remain.`);
});

test('34. pause --all holds every purge within one batch until resume --all, also new ones', async () => {
  const purges = await world.enqueue(['a', 'b']);
  const [first] = purges;
  if (first === undefined) throw new Error('nothing was enqueued');
  let inTime = -1;
  actInMidRun(async () => {
    void command('pause', { fleet: true });
    await until('the fleet is stopped', 5_000, async () =>
      (await world.actor.commands.readControl()).stopped ? true : null,
    );
    inTime = Number(await world.value('select count(*)::int from tenant_purge.batch'));
  });
  for (const { id } of purges) await world.untilStatus(id, 'paused');
  expect(await world.value('select count(*)::int from tenant_purge.batch')).toBe(inTime);
  expect(await world.actor.queue.isPaused()).toBe(true);
  await command('resume', { fleet: true });
  for (const { id } of purges) await world.untilStatus(id, 'completed');
});

test('34. a bare queue.pause() from another program stops the deletes within one batch', async () => {
  const purge = await world.enqueueOne('a');
  const other = new Queue(world.config.queue.name, {
    connection: { url: world.config.queueRedisUrl },
    prefix: world.config.queue.prefix,
  });
  let atPause = -1;
  actInMidRun(async () => {
    await other.pause();
    atPause = await world.batches(purge.id);
  });
  await until('the queue is paused', 10_000, () => (atPause < 0 ? null : true));
  const held = await world.untilStatus(purge.id, 'queued');
  expect(held.rowsDeleted).toBeLessThan(purge.rowsTotal);
  expect((await world.batches(purge.id)) - atPause).toBeLessThanOrEqual(1);
  await other.resume();
  await other.close();
  await expectAllGone(purge.id);
});

test('a pause of a purge that no worker has yet takes effect at once, twice is the same', async () => {
  const purge = await world.enqueueOne('a');
  const once = await command('pause', { purgeId: purge.id });
  expect(once).toMatchObject([{ effect: 'changed', purge: { status: 'paused' } }]);
  const twice = await command('pause', { purgeId: purge.id });
  expect(twice).toMatchObject([{ effect: 'already', purge: { status: 'paused' } }]);
  world.startWorker();
  await untilParked(purge.id);
  expect(await world.batches(purge.id)).toBe(0);
  await command('resume', { purgeId: purge.id });
  await expectAllGone(purge.id);
  for (const name of ['pause', 'resume', 'cancel'] as const) {
    expect(await command(name, { purgeId: purge.id })).toMatchObject([{ effect: 'conflict' }]);
  }
});

test('a cancel of a waiting purge ends it, and the tenant can be enqueued again', async () => {
  const purge = await world.enqueueOne('a');
  await command('cancel', { purgeId: purge.id });
  expect(await command('cancel', { purgeId: purge.id })).toMatchObject([{ effect: 'already' }]);
  expect(await command('resume', { purgeId: purge.id })).toMatchObject([{ effect: 'conflict' }]);
  const again = await world.enqueueOne('a');
  world.startWorker();
  await expectAllGone(again.id);
  expect((await world.find(purge.id)).status).toBe('cancelled');
});

test.each(['pause', 'cancel'] as const)(
  '33. a %s whose worker was killed is settled once its lock time is over',
  async (name) => {
    const purge = await world.enqueueOne('a');
    const worker = await world.spawnWorker({ failpoint: 'batch-committed:10' });
    await worker.exited;
    const [asked] = await command(name, { purgeId: purge.id, waitMs: 0 });
    expect(asked?.purge.status).toBe(name === 'pause' ? 'pausing' : 'cancelling');
    const [settled] = await command(name, { purgeId: purge.id });
    expect(settled?.purge.status).toBe(name === 'pause' ? 'paused' : 'cancelled');
    if (name === 'cancel') return;
    world.startWorker();
    await command('resume', { purgeId: purge.id });
    await expectAllGone(purge.id);
  },
);

test('33. a resume that overtakes the pause lets the purge go on', async () => {
  const purge = await world.enqueueOne('a');
  actInMidRun(async () => {
    await command('pause', { purgeId: purge.id, waitMs: 0 });
    await command('resume', { purgeId: purge.id, waitMs: 0 });
  });
  await expectAllGone(purge.id);
});

test('33. a pause between the last batch and the end of the levels is settled by the run itself', async () => {
  const purge = await world.enqueueOne('a');
  const store = new (class extends PurgeStore {
    override async write(...written: Parameters<PurgeStore['write']>): Promise<PurgeRecord | null> {
      if (written[3]?.kind === 'rows deleted') {
        await command('pause', { purgeId: purge.id, waitMs: 0 });
      }
      return super.write(...written);
    }
  })(world.actor.database);
  const outcome = await world.run(purge.id, { parts: { ...world.engine(), purges: store } });
  expect(outcome).toEqual({ kind: 'paused', parked: false });
  expect(await world.find(purge.id)).toMatchObject({ status: 'paused', worker: null });
  world.startWorker();
  await command('resume', { purgeId: purge.id });
  await expectAllGone(purge.id);
});

test('33. a cancel of a paused purge says what remains, as one in mid-run does', async () => {
  const purge = await world.enqueueOne('a');
  actInMidRun(async () => {
    await command('pause', { purgeId: purge.id, waitMs: 0 });
  });
  await world.untilStatus(purge.id, 'paused');
  await command('cancel', { purgeId: purge.id });
  const cancelled = await world.untilStatus(purge.id, 'cancelled');
  const remain = cancelled.residue.reduce((sum, { count }) => sum + count, 0);
  expect(cancelled.rowsDeleted + remain).toBe(purge.rowsTotal);
});

test.each(['paused by the command', 'held by a worker that was killed'] as const)(
  '33. a cancel of a purge %s never says that nothing is left, also where nobody lives to count it',
  async (how) => {
    const purge = await world.enqueueOne('a');
    if (how === 'paused by the command') {
      actInMidRun(async () => {
        await command('pause', { purgeId: purge.id, waitMs: 0 });
      });
      await world.untilStatus(purge.id, 'paused');
    } else {
      const worker = await world.spawnWorker({ failpoint: 'batch-committed:10' });
      await worker.exited;
    }
    const seen: PurgeRecord[] = [];
    const parts = {
      ...world.actor.reconcile,
      // What others see before it is counted, and for good if the process dies then.
      residueOf: async () => {
        seen.push(await world.find(purge.id));
        throw new Error('the process dies');
      },
    };
    await runCommand(parts, 'cancel', {
      selection: { kind: 'purge', id: purge.id },
      fleet: false,
      operator: 'test',
      waitMs: 10_000,
    });
    const cancelled = await world.find(purge.id);
    expect(seen).toMatchObject([{ status: 'cancelled', residue: cancelled.residue }]);
    const { residueOf } = world.actor.reconcile;
    const counted = await residueOf(purge.tenantId);
    const byTable = ({ table: a }: { table: string }, { table: b }: { table: string }): number =>
      a < b ? -1 : 1;
    expect(counted.length).toBeGreaterThan(0);
    expect([...cancelled.residue].sort(byTable)).toEqual([...counted].sort(byTable));
  },
);
