import { Job } from 'bullmq';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { CommandName } from '../../../src/postgres/ledger/commands.ts';
import { carryOutCommand } from '../../../src/queue/commands.ts';
import { type JobData, jobIdOf, PARK_MS } from '../../../src/queue/contracts.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { a: 3, b: 3 }));
});
afterAll(() => template?.drop());

let world: PurgeWorld;
beforeEach(async () => {
  world = await createWorld({
    template: template.name,
    // No reconciler comes to the rescue.
    config: { batch: { maxRows: 4 }, worker: { reconcileMs: 600_000, lockMs: 5_000, slots: 1 } },
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await world.close();
});

const jobOf = async ({ id, jobNumber }: PurgeRecord): Promise<Job<JobData>> => {
  const job = await world.actor.queue.bull.getJob(jobIdOf(id, jobNumber));
  if (job === undefined) throw new Error('no such job');
  return job;
};

const twoPurges = async (): Promise<{ a: PurgeRecord; b: PurgeRecord }> => {
  const purges = await world.enqueue(['a', 'b']);
  const of = (tenantId: string): PurgeRecord => {
    const found = purges.find((purge) => purge.tenantId === tenantId);
    if (found === undefined) throw new Error(`no purge of ${tenantId}`);
    return found;
  };
  return { a: of('a'), b: of('b') };
};

test.each([
  ['the purge of another tenant', (b: PurgeRecord) => ({ v: 1, purgeId: b.id })],
  ['nothing that this program wrote', () => ({ tenantId: 'b' })],
])('a job whose data was edited to name %s runs the purge that its id names', async (_, edited) => {
  const { a, b } = await twoPurges();
  await (await jobOf(a)).updateData(edited(b) as JobData);
  world.startWorker();
  await world.untilStatus(a.id, 'completed');
  await world.untilStatus(b.id, 'completed');
  // Rows in one run, and the look at the end in another: nobody took either from its holder.
  const claims = await world.value(
    `select count(*)::int from tenant_purge.event where kind = 'given back'`,
  );
  expect(claims).toBe(0);
  expect((await world.find(a.id)).fence).toBe((await world.find(b.id)).fence);
});

test('a Redis that answers with an error in mid-run is no fault of the purge', async () => {
  const { a } = await twoPurges();
  const { bull } = world.actor.queue;
  const meta = `${world.config.queue.prefix}:${world.config.queue.name}:meta`;
  expect(await world.redis.type(meta)).toBe('hash');
  let before: Buffer | null = null;
  const spoil = actAt('batch-committed', 2, async () => {
    before = await world.redis.dumpBuffer(meta);
    await world.redis.set(meta, 'not what it was');
    await expect(bull.isPaused()).rejects.toThrow('WRONGTYPE');
  });
  const outcome = await world.run(a.id, {
    parts: world.engine(spoil),
    control: {
      stopReason: async () => ((await world.actor.queue.isPaused()) ? 'paused' : null),
    },
  });
  expect(outcome).toMatchObject({ kind: 'awaiting-sweep' });
  if (before !== null) await world.redis.restore(meta, 0, before, 'REPLACE');
});

/** Holds the put-off of a job on its way until it is let go. */
function holdPutOff(): { readonly reached: Promise<void>; letGo: () => void } {
  let letGo = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let arrive = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  vi.spyOn(Job.prototype, 'moveToDelayed').mockImplementationOnce(async function (
    this: Job,
    ...asked
  ) {
    arrive();
    await gate;
    // The second call is the real one.
    return this.moveToDelayed(...asked);
  });
  return { reached, letGo };
}

const command = (name: CommandName, purge: PurgeRecord): ReturnType<typeof carryOutCommand> =>
  carryOutCommand(world.actor.reconcile, name, {
    selection: { kind: 'purge', id: purge.id },
    fleet: false,
    operator: 'test',
    waitMs: 0,
  });

/** The purge is paused in the ledger; its worker is about to put its job off for a year. */
async function pausedOnTheWay(): Promise<{ purge: PurgeRecord; letGo: () => void }> {
  const purge = await world.enqueueOne('a');
  const { reached, letGo } = holdPutOff();
  world.startWorker(
    actAt('batch-committed', 2, async () => {
      await command('pause', purge).catch(() => undefined);
    }),
  );
  await reached;
  await world.untilStatus(purge.id, 'paused');
  return { purge, letGo };
}

test('33. a resume that comes while the job is on its way to be parked is not slept through', async () => {
  const { purge, letGo } = await pausedOnTheWay();
  const { results } = await command('resume', purge);
  expect(results).toMatchObject([{ effect: 'changed', purge: { status: 'queued' } }]);
  letGo();
  await world.untilStatus(purge.id, 'completed', 10_000);
});

test('33. a cancel that comes while the job is on its way to be parked ends the job too', async () => {
  const { purge, letGo } = await pausedOnTheWay();
  await command('cancel', purge);
  letGo();
  await until('the job has ended', 10_000, async () =>
    (await (await jobOf(purge)).getState()) === 'failed' ? true : null,
  );
  expect(await world.find(purge.id)).toMatchObject({ status: 'cancelled' });
});

test('33. a paused purge stays paused when a host whose clock is years ahead finds its parked job due', async () => {
  const purge = await world.enqueueOne('a');
  await command('pause', purge);
  const first = world.startWorker();
  await until('its job is parked, and the ledger knows', 10_000, async () => {
    const now = await world.find(purge.id);
    return now.parked && (await world.actor.queue.place(now)) === 'parked' ? true : null;
  });
  await first.stop();
  const parkedUntil = await world.redis.zscore(delayedKey(), jobIdOf(purge.id, purge.jobNumber));
  const { now } = Date;
  vi.spyOn(Date, 'now').mockImplementation(() => now() + 2 * PARK_MS);
  world.startWorker();
  await until('its job was taken and put off again', 10_000, async () => {
    const due = await world.redis.zscore(delayedKey(), jobIdOf(purge.id, purge.jobNumber));
    return due !== null && due !== parkedUntil ? true : null;
  });
  expect(await world.find(purge.id)).toMatchObject({ status: 'paused', fence: 0 });
});

const delayedKey = (): string => `${world.config.queue.prefix}:${world.config.queue.name}:delayed`;
