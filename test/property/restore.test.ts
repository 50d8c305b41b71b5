import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { hasPsql } from '../support/psql.ts';
import { type CaseResult, CaseWorld, type RunCase } from '../support/random-schema/case-world.ts';
import { randomCases } from '../support/random-schema/cases.ts';
import { readLines, toLines } from '../support/random-schema/database-rows.ts';
import type { RandomCase } from '../support/random-schema/model.ts';
import { propertyRuns, propertyTimeoutMs } from '../support/random-schema/run-options.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../support/redis.ts';

const RUNS = 60;

let database: TestDatabase;
let redis: TestRedisDatabase;
let folder: string;
let world: CaseWorld;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'archive-'));
  [database, redis] = await Promise.all([
    createDatabase({ name: 'random_restore' }),
    claimRedisDatabase(),
  ]);
  world = await CaseWorld.open({
    databaseUrl: database.url,
    redisUrl: redis.url,
    archiveDir: folder,
  });
});

afterAll(async () => {
  await world.close();
  await Promise.all([database.drop(), redis.release()]);
  rmSync(folder, { recursive: true, force: true });
});

const isRun = (result: CaseResult): result is RunCase =>
  result.kind === 'ran' && result.outcome.kind === 'completed';

/** Purges each case that can be purged, and hands it to `undo`; both directions are compared. */
async function eachPurged(
  undo: (found: RandomCase, purged: RunCase) => Promise<void>,
): Promise<void> {
  let purged = 0;
  const runs = propertyRuns(RUNS);
  await fc.assert(
    fc.asyncProperty(randomCases({ setNullColumns: world.version >= 150_000 }), async (found) => {
      const forward = await world.purge(found, { watched: false });
      if (!isRun(forward)) return;
      purged += 1;
      await undo(found, forward);
      expect(await readLines(world.client, found.model)).toEqual(toLines(found.model, found.data));
    }),
    {
      ...runs,
      interruptAfterTimeLimit: propertyTimeoutMs(runs) * 0.9,
      markInterruptAsFailure: true,
    },
  );
  expect(purged).toBeGreaterThan(runs.numRuns / 4);
}

describe('the archive of the purge of a tenant of a random application', () => {
  it(
    '39. brings back every row as it was, and the purge again leaves what the first one left',
    async () => {
      await eachPurged(async (found, forward) => {
        expect(await world.restore(forward.purge)).toMatchObject({ outcome: 'restored' });
        expect(await readLines(world.client, found.model)).toEqual(
          toLines(found.model, found.data),
        );
        const again = await world.purgeAgain(found, { watched: false });
        expect(again.kind === 'ran' ? again.rows : again).toEqual(forward.rows);
        if (isRun(again)) await world.restore(again.purge);
      });
    },
    propertyTimeoutMs(propertyRuns(RUNS * 4)),
  );

  it.runIf(hasPsql)(
    '39. brings back every row with psql and gzip alone',
    async () => {
      await eachPurged(async (_, { purge }) => {
        await promisify(execFile)(
          'psql',
          ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', 'restore.sql', database.url],
          { cwd: await world.archiveFolder(purge) },
        );
      });
    },
    propertyTimeoutMs(propertyRuns(RUNS * 2)),
  );
});
