import { afterAll, beforeAll, expect, test } from 'vitest';
import { catalogueChecksum, redisChecksum } from '../support/catalogue-checksum.ts';
import type { TestDatabase } from '../support/postgres.ts';
import { createForest, expectLeavesFirst, FOREST } from '../support/tenant-forest.ts';
import { createWorld, makeTemplate } from '../support/test-world.ts';

const DOOMED = ['left', 'left1', 'left2', 'leaf'];

let template: TestDatabase;

beforeAll(async () => {
  template = await makeTemplate(createForest);
});
afterAll(() => template.drop());

async function killAt(failpoint: string): Promise<void> {
  const world = await createWorld({ template: template.name, config: { batch: { maxRows: 4 } } });
  try {
    for (const id of Object.keys(FOREST)) await world.redis.set(`tenant:${id}:cache:1`, '1');
    const before = await catalogueChecksum(world.pool, { except: DOOMED });
    const keysBefore = await redisChecksum(world.redis, { except: DOOMED });
    await world.enqueueTargets({ kind: 'tenants', ids: ['left'], withDescendants: true });
    const worker = await world.spawnWorker({ failpoint });
    expect(await worker.exited, failpoint).toEqual({ code: null, signal: 'SIGKILL' });
    world.startWorker();
    world.startWorker();
    const ended = await world.untilEnded();
    expect(ended.map(({ status }) => status)).toEqual(DOOMED.map(() => 'completed'));
    expectLeavesFirst(ended);
    expect(await catalogueChecksum(world.pool, { except: [] }), failpoint).toEqual(before);
    expect(await redisChecksum(world.redis, { except: [] }), failpoint).toEqual(keysBefore);
  } finally {
    await world.close();
  }
}

test('a worker killed between the purges of a tree leaves what an undisturbed run leaves', async () => {
  // The leaves first: the third claim is of a tenant above a leaf, the fourth of the top. A sweep
  // that found everything gone completes the tenant below before the one above may begin.
  for (const failpoint of ['claimed:2', 'claimed:3', 'claimed:4', 'swept:1', 'swept:2']) {
    await killAt(failpoint);
  }
}, 240_000);
