import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { carryOutCommand } from '../../../src/queue/commands.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { a: 2 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
let purge: PurgeRecord;
beforeEach(async () => {
  world = await createWorld({ template: template.name });
  purge = await world.enqueueOne('a');
  for (let n = 0; n < 3_000; n += 1000) {
    await world.redis.mset(
      Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`tenant:a:${n + i}`, '1'])),
    );
  }
});
afterEach(() => world.close());

test.each([
  ['pause --all', true, 'pause'],
  ['pause of the purge', false, 'pause'],
  ['cancel of the purge', false, 'cancel'],
] as const)('%s waits for the pipeline in flight, and no other is sent', async (_, fleet, name) => {
  let isBack = false;
  let asked: Promise<unknown> = Promise.resolve();
  world.startWorker(
    actAt('before-unlink', 2, async () => {
      asked = carryOutCommand(world.actor.reconcile, name, {
        selection: fleet ? { kind: 'live' } : { kind: 'purge', id: purge.id },
        fleet,
        operator: 'test',
        waitMs: 0,
      }).finally(() => (isBack = true));
      await until('the stop waits for the pipeline', 5_000, async () =>
        (await world.value(
          `select count(*)::int from pg_locks where locktype = 'advisory' and not granted
             and classid = 1953525097`,
        )) === 1
          ? true
          : null,
      );
      expect(isBack).toBe(false);
    }),
  );
  await until('the stop is back', 15_000, () => (isBack ? true : null));
  expect(await asked).toMatchObject({ drained: true });
  const left = await world.redis.dbsize();
  expect((await world.find(purge.id)).status).toBe(name === 'pause' ? 'paused' : 'cancelled');
  const keys = (await world.redis.keys('tenant:a:*')).length;
  expect(keys).toBe(1_000);
  // The next pass has looked, and found nothing that it may touch.
  await until('the pass is over', 10_000, async () =>
    (await world.value(
      `select count(*)::int from tenant_purge.sweep where finished_at is null
         and heartbeat_at <> '-infinity'`,
    )) === 0
      ? true
      : null,
  );
  expect((await world.redis.keys('tenant:a:*')).length).toBe(keys);
  expect(left).toBeGreaterThanOrEqual(keys);
});
