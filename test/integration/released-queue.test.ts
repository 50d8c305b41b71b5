import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { carryOutCommand } from '../../src/queue/commands.ts';
import type { CommandQueue } from '../../src/queue/tell-queue.ts';
import type { TestDatabase } from '../support/postgres.ts';
import type { PurgeWorld } from '../support/purge-world.ts';
import { createSmallApplication } from '../support/small-application.ts';
import { createWorld, makeTemplate } from '../support/test-world.ts';
import { until } from '../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(createSmallApplication);
});
afterAll(() => template.drop());

let world: PurgeWorld;
beforeEach(async () => {
  world = await createWorld({ template: template.name });
});
afterEach(() => world.close());

const away = (): Promise<never> => Promise.reject(new Error('Redis is away'));
const QUEUE_AWAY: CommandQueue = { add: away, promote: away, pause: away, resume: away };

test('a worker that releases the queue after a fleet released while Redis was away logs that it did', async () => {
  const everything = {
    selection: { kind: 'live' },
    fleet: true,
    operator: 'test',
    waitMs: 0,
  } as const;
  await carryOutCommand(world.actor.reconcile, 'pause', everything);
  expect(await world.actor.queue.isPaused()).toBe(true);
  await carryOutCommand({ ...world.actor.reconcile, queue: QUEUE_AWAY }, 'resume', everything);
  expect(await world.actor.queue.isPaused()).toBe(true);

  const worker = await world.spawnWorker();
  await until('the queue is released', 20_000, async () =>
    (await world.actor.queue.isPaused()) ? null : true,
  );
  const line = await until('the worker has said so', 10_000, () => {
    const found = worker
      .log()
      .split('\n')
      .find((each) => each.includes('derived from the ledger again'));
    return found ?? null;
  });
  expect(JSON.parse(line)).toMatchObject({ level: 40, queueReleased: true, pauseReapplied: false });
  worker.kill('SIGTERM');
  expect(await worker.exited, worker.log()).toEqual({ code: 0, signal: null });
  expect(worker.log().match(/derived from the ledger again/g)).toHaveLength(1);
});
