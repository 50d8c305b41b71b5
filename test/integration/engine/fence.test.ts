import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import { freezeInBatch } from '../../support/frozen-worker.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 4, doomed: 12 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
beforeEach(async () => {
  world = await createWorld({ template: template.name, config: { batch: { maxRows: 4 } } });
});
afterEach(() => world.close());

/** Batches whose epoch is older than one that was committed before. */
const outOfOrder = (): Promise<unknown> =>
  world.value(`select count(*)::int from tenant_purge.batch b where exists (
    select from tenant_purge.batch before where before.purge_id = b.purge_id
      and before.id < b.id and before.fence > b.fence)`);

test('19. of two runs of one purge the second takes the fence and the first commits nothing more', async () => {
  const purge = await world.enqueueOne('doomed');
  const before = await catalogueChecksum(world.pool, { except: ['doomed'] });
  const second: Promise<unknown>[] = [];
  const first = await world.run(purge.id, {
    parts: world.engine(
      actAt('batch-committed', 20, async () => {
        second.push(world.run(purge.id));
        await until('the second run has claimed', 5_000, async () =>
          (await world.find(purge.id)).fence > 1 ? true : null,
        );
      }),
    ),
  });
  expect(first.kind).toBe('superseded');
  expect(await second[0]).toMatchObject({ kind: 'awaiting-sweep' });
  expect(await outOfOrder()).toBe(0);
  const counted = await world.ledgerRows(purge.id);
  expect(counted).toMatchObject({ 'public.messages': 24, 'public.agents': 12, 'app.events': 12 });
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  const epochs = await world.value(
    `select array_agg(fence order by fence)::text from (
       select distinct fence from tenant_purge.batch where purge_id = $1) f`,
    [purge.id],
  );
  expect(epochs).toBe('{1,2}');
});

test('19. a claim waits for the batch in flight, which then counts, and the next one is refused', async () => {
  const purge = await world.enqueueOne('doomed');
  const claimed: Promise<unknown>[] = [];
  const first = world.run(purge.id, {
    parts: world.engine(
      actAt('before-commit', 3, async () => {
        claimed.push(world.run(purge.id));
        await until('the claim waits for the lock', 5_000, async () =>
          (await world.value(
            `select count(*)::int from pg_locks where locktype = 'advisory' and not granted`,
          )) === 0
            ? null
            : true,
        );
      }),
    ),
  });
  expect((await first).kind).toBe('superseded');
  expect(await claimed[0]).toMatchObject({ kind: 'awaiting-sweep' });
  expect(await outOfOrder()).toBe(0);
  expect(await world.ledgerRows(purge.id)).toMatchObject({ 'public.messages': 24 });
});

test('19. a worker process frozen in mid-batch commits nothing once another has finished', async () => {
  const purge = await world.enqueueOne('doomed');
  const frozen = await freezeInBatch(world);

  world.startWorker();
  await world.untilStatus(purge.id, 'completed', 40_000);
  const ended = await world.find(purge.id);
  const batches = await world.batches(purge.id);
  frozen.kill('SIGCONT');
  frozen.kill('SIGTERM');
  expect(await frozen.exited).toEqual({ code: 0, signal: null });
  expect(await world.batches(purge.id)).toBe(batches);
  expect(await world.find(purge.id)).toEqual(ended);
  expect(await outOfOrder()).toBe(0);
  expect(await world.ledgerRows(purge.id)).toMatchObject({
    'public.messages': 24,
    'public.conversations': 12,
    'public.tenants': 1,
  });
}, 180_000);
