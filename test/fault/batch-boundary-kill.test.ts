import { afterAll, beforeAll, expect, test } from 'vitest';
import { catalogueChecksum, redisChecksum } from '../support/catalogue-checksum.ts';
import type { TestDatabase } from '../support/postgres.ts';
import type { LedgerRows, PurgeWorld } from '../support/purge-world.ts';
import { createSmallApplication } from '../support/small-application.ts';
import { createWorld, makeTemplate } from '../support/test-world.ts';

// Scenarios 16 and 18: each boundary has a database, a Redis and a queue of its own.
const DOOMED = 'doomed';
/** Worlds side by side; a worker process costs a second of one core to start. */
const LANES = 6;

let template: TestDatabase;
let undisturbed: { readonly ledger: LedgerRows; readonly hits: Readonly<Record<string, number>> };

beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 2, [DOOMED]: 4 }));
  undisturbed = await runUndisturbed();
});
afterAll(() => template.drop());

async function makeWorld(): Promise<PurgeWorld> {
  const world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 4, connections: 1 } },
  });
  for (const id of ['kept', DOOMED]) {
    for (let n = 1; n <= 5; n += 1) await world.redis.set(`tenant:${id}:cache:${n}`, `${n}`);
  }
  return world;
}

async function runUndisturbed(): Promise<typeof undisturbed> {
  const world = await makeWorld();
  try {
    const purge = await world.enqueueOne(DOOMED);
    const hits: Record<string, number> = {};
    world.startWorker(async (name) => {
      hits[name] = (hits[name] ?? 0) + 1;
    });
    await world.untilStatus(purge.id, 'completed');
    return { ledger: await world.ledgerRows(purge.id), hits };
  } finally {
    await world.close();
  }
}

async function killAt(failpoint: string): Promise<void> {
  const world = await makeWorld();
  try {
    const before = await catalogueChecksum(world.pool, { except: [DOOMED] });
    const keysBefore = await redisChecksum(world.redis, { except: [DOOMED] });
    const purge = await world.enqueueOne(DOOMED);
    const worker = await world.spawnWorker({ failpoint });
    const killed = await worker.exited;
    expect(killed, failpoint).toEqual({ code: null, signal: 'SIGKILL' });
    world.startWorker();
    const ended = await world.untilStatus(purge.id, 'completed');
    expect(await world.ledgerRows(purge.id), failpoint).toEqual(undisturbed.ledger);
    const deleted = Object.entries(undisturbed.ledger).reduce(
      (sum, [table, rows]) => sum + (table === 'redis' ? 0 : rows),
      0,
    );
    expect(ended.rowsDeleted, failpoint).toBe(deleted);
    expect(await catalogueChecksum(world.pool, { except: [] }), failpoint).toEqual(before);
    expect(await redisChecksum(world.redis, { except: [] }), failpoint).toEqual(keysBefore);
  } finally {
    await world.close();
  }
}

async function killAtEach(failpoint: string): Promise<void> {
  const boundaries = Array.from({ length: undisturbed.hits[failpoint] ?? 0 }, (_, n) => n + 1);
  expect(boundaries.length).toBeGreaterThan(20);
  const lane = async (): Promise<void> => {
    for (let n = boundaries.shift(); n !== undefined; n = boundaries.shift()) {
      await killAt(`${failpoint}:${n}`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

test('18. a worker killed after any one batch leaves what an undisturbed run leaves', async () => {
  await killAtEach('batch-committed');
}, 240_000);

test('16. a worker killed between the delete and its commit loses and doubles nothing', async () => {
  await killAtEach('before-commit');
}, 240_000);

test('a worker killed around claim, sweep and seal leaves what an undisturbed run leaves', async () => {
  for (const name of ['claimed', 'before-sweep', 'before-unlink', 'swept']) {
    await killAt(`${name}:1`);
  }
}, 120_000);
