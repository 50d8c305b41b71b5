import { afterAll, beforeAll, expect, test } from 'vitest';
import { listTestTenantIds, seedApplication, seedRedis } from '../../../ops/demo/app/seed.ts';
import demo from '../../../ops/demo/purge.config.json' with { type: 'json' };
import {
  catalogueChecksum,
  redisChecksum,
  sequenceValues,
} from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { createRestoreWorld } from '../../support/restore-world.ts';
import { makeTemplate } from '../../support/test-world.ts';

/** A fiftieth of the demo's test tenants, with every table it has. */
const SIZE = { scale: 0.02 };

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(async (url) => {
    await seedApplication(url, SIZE);
  });
});
afterAll(() => template.drop());

test("39. the demo's test tenants come back as they were, keys and sequences included", async () => {
  await using restoring = await createRestoreWorld({
    template: template.name,
    config: { ...demo, batch: { smallPurgeRows: 5_000, maxRows: 200_000 } },
  });
  const { world } = restoring;
  await seedRedis(world.config.redisUrl, SIZE);
  const state = async () => ({
    rows: await catalogueChecksum(world.pool, { except: [] }),
    keys: await redisChecksum(world.redis, { except: [] }),
    sequences: await sequenceValues(world.pool),
  });
  const before = await state();
  const tenants = listTestTenantIds(SIZE);
  await world.enqueue(tenants, { archive: true });
  world.startWorker();
  const purges = await world.untilEnded(60_000);
  expect(new Set(purges.map(({ status }) => status))).toEqual(new Set(['completed']));
  expect(purges).toHaveLength(tenants.length);
  for (const purge of purges) {
    expect(await restoring.restore(purge)).toMatchObject({ outcome: 'restored', rowsSkipped: 0 });
  }
  expect(await state()).toEqual(before);
}, 120_000);
