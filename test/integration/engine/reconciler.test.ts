import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { CommandName } from '../../../src/postgres/ledger/commands.ts';
import { type CommandOutcome, carryOutCommand } from '../../../src/queue/commands.ts';
import { PARK_MS } from '../../../src/queue/contracts.ts';
import { type ReconcileReport, reconcile } from '../../../src/queue/reconcile.ts';
import { addAgain, type CommandQueue } from '../../../src/queue/tell-queue.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { a: 3, b: 3 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
let purges: readonly PurgeRecord[];
let purge: PurgeRecord;
beforeEach(async () => {
  world = await createWorld({
    template: template.name,
    config: {
      batch: { maxRows: 4, connections: 1 },
      // The tests reconcile themselves.
      worker: { reconcileMs: 600_000, lockMs: 1_000, slots: 1 },
    },
  });
  purges = await world.enqueue(['a', 'b']);
  purge = purges.find(({ tenantId }) => tenantId === 'a') ?? neverMade();
});
afterEach(() => world.close());

const neverMade = (): never => {
  throw new Error('nothing was enqueued');
};

const round = (): Promise<ReconcileReport> => reconcile(world.actor.reconcile, { young: true });

/** As when the connection that holds the lock is lost in the middle. */
const withoutLock = <Result>(work: () => Promise<Result>): Promise<Result> => work();

const away = (): Promise<never> => Promise.reject(new Error('Redis is away'));
const QUEUE_AWAY: CommandQueue = { add: away, promote: away, pause: away, resume: away };

const command = (
  name: CommandName,
  options: { readonly all?: boolean; readonly queueAway?: boolean } = {},
): Promise<CommandOutcome> =>
  carryOutCommand(
    {
      ...world.actor.reconcile,
      ...(options.queueAway === true ? { queue: QUEUE_AWAY } : {}),
    },
    name,
    {
      selection: options.all === true ? { kind: 'live' } : { kind: 'purge', id: purge.id },
      fleet: options.all === true,
      operator: 'test',
      waitMs: 0,
    },
  );

const placeOf = async ({ id }: PurgeRecord): Promise<string> =>
  world.actor.queue.place(await world.find(id));

test('two reconcilers side by side give each purge one job that runs', async () => {
  await world.redis.flushdb();
  const other = await world.composeOther({});
  const reports = await Promise.all(
    [world.actor.reconcile, other.reconcile].map((parts) =>
      reconcile({ ...parts, exclusively: withoutLock }, { young: true }),
    ),
  );
  // Without the lock one may have replaced a job that the other was about to add.
  const added = reports.map(({ jobsAdded }) => jobsAdded).reduce((sum, n) => sum + n, 0);
  const waiting = await world.actor.queue.bull.getWaitingCount();
  expect(waiting).toBeGreaterThanOrEqual(2);
  expect(waiting).toBeLessThanOrEqual(added);
  expect(await round()).toMatchObject({ jobsAdded: 0, repairs: [] });
});

test('a job that has been replaced is dropped, and takes nothing from the one that carries its purge', async () => {
  const replacement = await addAgain(world.actor.reconcile, purge);
  expect(replacement).toBe(true);
  world.startWorker();
  const jobs = await until('every job has ended', 10_000, async () => {
    const ended = await world.actor.queue.bull.getJobs(['completed']);
    return ended.length === 3 ? ended : null;
  });
  const ofPurge = jobs.filter(({ data }) => data.purgeId === purge.id);
  expect(ofPurge.map(({ id, returnvalue }) => [id, returnvalue]).sort()).toEqual([
    [`${purge.id}.${purge.jobNumber}`, `a later job carries purge ${purge.id}`],
    [`${purge.id}.${purge.jobNumber + 1}`, expect.objectContaining({ tenantId: 'a' })],
  ]);
  expect((await world.find(purge.id)).fence).toBe(1);
});

test('a job that was to be replaced by one who died first carries its purge', async () => {
  expect(await world.actor.purges.renumberJob(purge)).toBe(purge.jobNumber + 1);
  world.startWorker();
  await world.untilStatus(purge.id, 'completed');
});

test('one reconciler at a time: the second does nothing and says so', async () => {
  let second: ReconcileReport | null = null;
  await world.actor.reconcile.exclusively(async () => {
    second = await round();
  });
  expect(second).toMatchObject({ ran: false, jobsAdded: 0 });
});

test('the pause is there before a lost job is', async () => {
  await command('pause', { all: true });
  await world.redis.flushdb();
  const seen: string[] = [];
  const { queue } = world.actor;
  const watched = Object.assign(Object.create(queue) as typeof queue, {
    isPaused: () => queue.isPaused(),
    place: (...asked: Parameters<typeof queue.place>) => queue.place(...asked),
    pause: async () => {
      await queue.pause();
      seen.push('paused');
    },
    add: async (...added: Parameters<typeof queue.add>) => {
      await queue.add(...added);
      seen.push('added');
    },
  });
  const report = await reconcile({ ...world.actor.reconcile, queue: watched }, { young: true });
  expect(seen).toEqual(['paused', 'added', 'added']);
  expect(report).toMatchObject({ pauseReapplied: true, jobsAdded: 2 });
  expect(await placeOf(purge)).toBe('parked');
});

test('a fleet released while Redis was away gets its queue back, and its jobs', async () => {
  world.startWorker();
  await command('pause', { all: true });
  await until('the queue is paused', 10_000, async () =>
    (await world.actor.queue.isPaused()) ? true : null,
  );
  const { queueError } = await command('resume', { all: true, queueAway: true });
  expect(queueError).toBe('Redis is away');
  expect(await world.actor.queue.isPaused()).toBe(true);
  const report = await round();
  expect(report).toMatchObject({ queueReleased: true });
  expect(await world.actor.queue.isPaused()).toBe(false);
  for (const { id } of purges) await world.untilStatus(id, 'completed');
  expect(await round()).toMatchObject({ queueReleased: false, jobsPromoted: 0 });
});

test('a purge whose rows are being restored wants no job', async () => {
  world.startWorker();
  for (const { id } of purges) await world.untilStatus(id, 'completed');
  await world.pool.query(`update tenant_purge.purge set status = 'restoring' where id = $1`, [
    purge.id,
  ]);
  expect(await round()).toMatchObject({ ran: true, purgesLive: 0, jobsAdded: 0, repairs: [] });
  expect((await world.find(purge.id)).jobNumber).toBe(purge.jobNumber);
});

test("a reconciler whose host's clock is an hour behind finds a lost job all the same", async () => {
  await world.redis.flushdb();
  await world.pool.query(`update tenant_purge.purge set created_at = now() - interval '1 minute'`);
  const behind = Date.now() - 3_600_000;
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => behind);
  try {
    const report = await reconcile(world.actor.reconcile, { young: false });
    expect(report).toMatchObject({ ran: true, jobsAdded: 2 });
  } finally {
    clock.mockRestore();
  }
});

test('a purge that was just enqueued is left to its enqueueing', async () => {
  await world.redis.flushdb();
  const report = await reconcile(world.actor.reconcile, { young: false });
  expect(report).toMatchObject({ ran: true, purgesLive: 0, jobsAdded: 0 });
});

test('a purge that runs on although its job was parked gets the job back when its worker is dead', async () => {
  await world.pool.query(
    `update tenant_purge.purge set status = 'running', fence = 1, worker = 'gone:1:0',
       claimed_at = now() - interval '1 minute' where id = $1`,
    [purge.id],
  );
  const job = await world.actor.queue.bull.getJob(`${purge.id}.${purge.jobNumber}`);
  await job?.remove();
  await world.actor.queue.add([{ ...purge, delayMs: PARK_MS }]);
  expect(await placeOf(purge)).toBe('parked');
  expect(await round()).toMatchObject({ repairs: [{ purgeId: purge.id, did: 'promoted' }] });
  expect(await placeOf(purge)).toBe('waiting');
});

test('a pause that a script made in the queue is not the reconciler’s to end', async () => {
  await world.actor.queue.pause();
  expect(await round()).toMatchObject({ queueReleased: false, pauseReapplied: false });
  expect(await world.actor.queue.isPaused()).toBe(true);
});

test('a cancel that the queue was not told of ends the parked job', async () => {
  await command('pause');
  world.startWorker();
  // Before that is booked the worker tells the job itself.
  await until('its job is parked, and its worker has booked it', 10_000, async () =>
    (await placeOf(purge)) === 'parked' && (await world.find(purge.id)).parked ? true : null,
  );
  await command('cancel', { queueAway: true });
  expect((await world.find(purge.id)).status).toBe('cancelled');
  expect(await round()).toMatchObject({ repairs: [{ purgeId: purge.id, status: 'cancelled' }] });
  await until('its job has ended', 10_000, async () =>
    (await placeOf(purge)) === 'none' ? true : null,
  );
});

test('a purge whose job is lost is left to the worker that drives it, and taken up when it is dead', async () => {
  let during: ReconcileReport | null = null;
  const parts = world.engine(
    actAt('batch-committed', 3, async () => {
      await world.redis.flushdb();
      during = await round();
      throw new Error('the worker dies here');
    }),
  );
  await world.run(purge.id, { parts: { ...parts, purges: deaf(world) } }).catch(() => undefined);
  expect(during).toMatchObject({ jobsAdded: 1, repairs: [{ tenantId: 'b' }] });
  expect((await world.find(purge.id)).status).toBe('running');
  await until('its worker counts as dead', 10_000, async () =>
    (await round()).repairs.some(({ purgeId }) => purgeId === purge.id) ? true : null,
  );
  expect(await placeOf(purge)).toBe('waiting');
});

/** A worker's ledger that takes no last word of it. */
function deaf({ actor }: PurgeWorld): PurgeWorld['actor']['purges'] {
  return Object.assign(Object.create(actor.purges) as typeof actor.purges, {
    claim: (...asked: Parameters<typeof actor.purges.claim>) => actor.purges.claim(...asked),
    find: (...asked: Parameters<typeof actor.purges.find>) => actor.purges.find(...asked),
    write: (...written: Parameters<typeof actor.purges.write>) =>
      written[1] === 'failed' ? Promise.reject(new Error('dead')) : actor.purges.write(...written),
  });
}
