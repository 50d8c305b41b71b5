import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FailpointName, RESTORE_FAILPOINTS } from '../../src/engine/failpoints.ts';
import { catalogueChecksum, redisChecksum } from '../support/catalogue-checksum.ts';
import { spawnCli } from '../support/cli.ts';
import type { TestDatabase } from '../support/postgres.ts';
import { createRestoreWorld, type RestoreWorld, readSequences } from '../support/restore-world.ts';
import { createSmallApplication } from '../support/small-application.ts';
import { makeTemplate } from '../support/test-world.ts';

const DOOMED = 'doomed';
/** Worlds side by side; a command under tsx costs two seconds of one core to start. */
const LANES = 3;

let template: TestDatabase;
const hits = new Map<FailpointName, number>();

beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 2, [DOOMED]: 6 }));
  await using restoring = await open();
  const purge = await restoring.purge(DOOMED);
  await restoring.restore(purge, {
    failpoint: async (name) => {
      hits.set(name, (hits.get(name) ?? 0) + 1);
    },
  });
});
afterAll(() => template.drop());

async function open(): Promise<RestoreWorld> {
  const restoring = await createRestoreWorld({
    template: template.name,
    config: {
      batch: { smallPurgeRows: 0, maxRows: 8, connections: 1 },
      quiesce: { column: 'name', value: 'purging' },
      redis: { keys: ['tenant:{tenantId}:*', 'ratelimit:{tenantId}'], waitMs: 0 },
    },
  });
  for (let n = 1; n <= 3; n += 1) await restoring.world.redis.set(`tenant:${DOOMED}:${n}`, `${n}`);
  return restoring;
}

async function killAndGoOn(name: FailpointName): Promise<void> {
  await using restoring = await open();
  const { world } = restoring;
  const rows = await catalogueChecksum(world.pool, { except: [] });
  const keys = await redisChecksum(world.redis, { except: [] });
  const sequences = await readSequences(world.pool);
  const purge = await restoring.purge(DOOMED);
  const failpoint = `${name}:${Math.ceil((hits.get(name) ?? 0) / 2)}`;
  const command = spawnCli(['restore', purge.id, '--config', await restoring.configFile()], {
    ...world.environment,
    TENANT_PURGE_FAILPOINT: failpoint,
  });
  await command.result;
  expect(command.child.signalCode, failpoint).toBe('SIGKILL');
  expect(await world.find(purge.id), failpoint).toMatchObject({ status: 'restoring' });
  // So long ago that nobody takes the dead one for alive.
  await world.pool.query(
    `update tenant_purge.restore set heartbeat_at = now() - interval '1 hour'`,
  );
  const report = await restoring.restore(await world.find(purge.id));
  expect(report, failpoint).toMatchObject({ outcome: 'restored', rowsRestored: purge.rowsDeleted });
  expect(await catalogueChecksum(world.pool, { except: [] }), failpoint).toEqual(rows);
  expect(await redisChecksum(world.redis, { except: [] }), failpoint).toEqual(keys);
  expect(await readSequences(world.pool), failpoint).toEqual(sequences);
}

test('a restore comes to every one of its fault points', () => {
  expect([...hits.keys()].sort()).toEqual([...RESTORE_FAILPOINTS].sort());
});

test('a restore killed at any fault point goes on when called again, and leaves what it would have', async () => {
  const left = [...RESTORE_FAILPOINTS];
  const lane = async (): Promise<void> => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) await killAndGoOn(name);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}, 240_000);
