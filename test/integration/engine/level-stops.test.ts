import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { CommandName } from '../../../src/postgres/ledger/commands.ts';
import { type CommandOutcome, carryOutCommand } from '../../../src/queue/commands.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 5, a: 5 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
let purge: PurgeRecord;
let before: unknown;
beforeEach(async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 4, connections: 1 } },
  });
  before = await catalogueChecksum(world.pool, { except: ['a'] });
  purge = await world.enqueueOne('a');
});
afterEach(() => world.close());

const afterLevel = (name: CommandName, waitMs = 0): Promise<CommandOutcome> =>
  carryOutCommand(world.actor.reconcile, name, {
    selection: { kind: 'purge', id: purge.id },
    fleet: false,
    operator: 'test',
    waitMs,
    afterLevel: name !== 'resume',
  });

/** Runs the purge; asks for the stop in its first level. @returns the level it was asked in */
async function runAndAsk(name: 'pause' | 'cancel'): Promise<string | null> {
  let level: string | null = null;
  const parts = world.engine(
    actAt('batch-committed', 2, async () => {
      ({ level } = await world.find(purge.id));
      const { results } = await afterLevel(name);
      expect(results).toMatchObject([
        { effect: 'changed', levelStop: name, purge: { status: 'running' } },
      ]);
    }),
  );
  await world.run(purge.id, { parts });
  return level;
}

const levelsEntered = async (): Promise<unknown[]> =>
  (
    await world.pool.query(
      `select details ->> 'level' as level from tenant_purge.event
       where purge_id = $1 and kind = 'level entered' order by id`,
      [purge.id],
    )
  ).rows.map(({ level }) => level);

const openSteps = (): Promise<unknown> =>
  world.value('select count(*)::int from tenant_purge.checkpoint where not done');

test('a pause after the level finishes that level, begins no other, and resume goes on', async () => {
  const level = await runAndAsk('pause');
  expect(await world.find(purge.id)).toMatchObject({ status: 'paused', level, worker: null });
  expect(await levelsEntered()).toEqual([level]);
  expect(await openSteps()).toBe(0);
  world.startWorker();
  await afterLevel('resume');
  await world.untilStatus(purge.id, 'completed');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('a cancel after the level ends the purge between two levels and says what remains', async () => {
  const level = await runAndAsk('cancel');
  const cancelled = await world.find(purge.id);
  expect(cancelled).toMatchObject({ status: 'cancelled', level });
  expect(await levelsEntered()).toEqual([level]);
  const remain = cancelled.residue.reduce((sum, { count }) => sum + count, 0);
  expect(cancelled.rowsDeleted + remain).toBe(purge.rowsTotal);
});

test('a purge that is given back in the middle of its level stops at its end all the same', async () => {
  let isShutDown = false;
  const parts = world.engine(
    actAt('batch-committed', 2, async () => {
      await afterLevel('pause');
      isShutDown = true;
    }),
  );
  const control = { stopReason: () => Promise.resolve(isShutDown ? 'shutdown' : null) };
  await world.run(purge.id, { parts, control });
  const { level } = await world.find(purge.id);
  expect((await world.find(purge.id)).status).toBe('queued');
  expect(await openSteps()).toBe(1);
  await world.run(purge.id);
  expect(await world.find(purge.id)).toMatchObject({ status: 'paused', level });
  expect(await openSteps()).toBe(0);
});

test('after the last level it stops before the Redis keys, which the sweep then leaves alone', async () => {
  await world.redis.set('tenant:a:x', '1');
  const parts = world.engine(async (name) => {
    if (name !== 'batch-committed') return;
    if ((await world.find(purge.id)).level === 'tenant') await afterLevel('pause');
  });
  await world.run(purge.id, { parts });
  expect(await world.find(purge.id)).toMatchObject({
    status: 'paused',
    stage: 'redis',
    rowsDeleted: purge.rowsTotal,
  });
  expect(await world.redis.exists('tenant:a:x')).toBe(1);
  world.startWorker();
  await afterLevel('resume');
  await world.untilStatus(purge.id, 'completed');
  expect(await world.redis.exists('tenant:a:x')).toBe(0);
});

test('a resume takes it back, and the purge runs to its end', async () => {
  const parts = world.engine(
    actAt('batch-committed', 2, async () => {
      await afterLevel('pause');
      expect((await afterLevel('resume')).results).toMatchObject([{ effect: 'changed' }]);
    }),
  );
  await world.run(purge.id, { parts });
  await world.untilStatus(purge.id, 'completed');
});

test('who waits for it hears of it when it has stopped', async () => {
  const asked: Promise<CommandOutcome>[] = [];
  const parts = world.engine(
    actAt('batch-committed', 2, () => void asked.push(afterLevel('pause', 10_000))),
  );
  await world.run(purge.id, { parts });
  expect((await asked[0])?.results).toMatchObject([
    { purge: { status: 'paused' }, levelStop: null },
  ]);
});
