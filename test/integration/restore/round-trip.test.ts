import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { catalogueChecksum, redisChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { createRestoreWorld } from '../../support/restore-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { makeTemplate } from '../../support/test-world.ts';

let template: TestDatabase;

beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 2, doomed: 7 }));
});
afterAll(() => template.drop());

describe('A restored tenant', () => {
  test.each([
    ['by batches', { smallPurgeRows: 0, maxRows: 10, connections: 1 }],
    ['in one transaction', { smallPurgeRows: 5_000, maxRows: 10, connections: 1 }],
  ])('is byte for byte what it was before it was purged %s, keys included', async (_way, batch) => {
    await using restoring = await createRestoreWorld({
      template: template.name,
      config: { batch },
    });
    const { world } = restoring;
    for (let n = 1; n <= 5; n += 1) await world.redis.set(`tenant:doomed:cache:${n}`, `${n}`);
    await world.redis.set('tenant:doomed:session', 'x', 'PX', 600_000);
    const rows = await catalogueChecksum(world.pool, { except: [] });
    const keys = await redisChecksum(world.redis, { except: [] });
    const purge = await restoring.purge('doomed');
    expect(await catalogueChecksum(world.pool, { except: [] })).not.toEqual(rows);

    const report = await restoring.restore(purge);
    expect(report).toMatchObject({ outcome: 'restored', rowsSkipped: 0, keys: { restored: 6 } });
    expect(report.rowsRestored).toBe(purge.rowsDeleted);
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(rows);
    expect(await redisChecksum(world.redis, { except: [] })).toEqual(keys);
    expect(await world.redis.pttl('tenant:doomed:session')).toBeGreaterThan(500_000);
    expect(await world.find(purge.id)).toMatchObject({ status: 'restored', error: null });

    expect(await restoring.restore(purge)).toMatchObject({
      outcome: 'already',
      rowsRestored: report.rowsRestored,
    });
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(rows);
  });
});
