import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { CaseTally } from '../support/random-schema/case-tally.ts';
import { CaseWorld } from '../support/random-schema/case-world.ts';
import { randomCases } from '../support/random-schema/cases.ts';
import { handMade } from '../support/random-schema/hand-made.ts';
import { judgeCase } from '../support/random-schema/judge-case.ts';
import type { RandomCase } from '../support/random-schema/model.ts';
import { isSoak, propertyRuns, propertyTimeoutMs } from '../support/random-schema/run-options.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../support/redis.ts';

const RUNS = 500;

let database: TestDatabase;
let redis: TestRedisDatabase;
let world: CaseWorld;

beforeAll(async () => {
  [database, redis] = await Promise.all([
    createDatabase({ name: 'random_purge' }),
    claimRedisDatabase(),
  ]);
  world = await CaseWorld.open({ databaseUrl: database.url, redisUrl: redis.url });
});

afterAll(async () => {
  await world.close();
  await Promise.all([database.drop(), redis.release()]);
});

/** In a third of the cases every change of a row is watched, by triggers. */
const watched = fc.constantFrom(false, false, true);

describe('the purge of a tenant of a random application', () => {
  it(
    'deletes and clears exactly what the rules say, by statements of its own, or is refused for a reason they give',
    async () => {
      const runs = propertyRuns(RUNS);
      const tally = new CaseTally();
      const cases = randomCases({ setNullColumns: world.version >= 150_000 });
      await fc.assert(
        fc.asyncProperty(cases, watched, async (found: RandomCase, isWatched) => {
          const result = await world.purge(found, { watched: isWatched });
          const { expected, problems } = judgeCase(found, result);
          tally.add(found, result, expected);
          expect(problems).toEqual([]);
        }),
        {
          ...runs,
          // The smallest case found by then is better than none.
          interruptAfterTimeLimit: propertyTimeoutMs(runs) * 0.9,
          markInterruptAsFailure: true,
        },
      );
      if (isSoak()) console.log(tally.toString());
      expect(tally.missing(runs.numRuns)).toEqual([]);
    },
    propertyTimeoutMs(propertyRuns(RUNS)),
  );

  it('deletes rows of others that refer to each other, by a rule, whatever their batches', async () => {
    const found = handMade({
      tables: ['agents: id! tenant_id!', 'marks: id! agent_id mark_id'],
      keys: [
        'agents.tenant_id > tenants.id',
        'marks.agent_id > agents.id set null',
        'marks.mark_id > marks.id',
      ],
      // Four rows lie in a block: the last refers to one of a batch before its own.
      rows: ['agents: 1 A | 2 B', 'marks: a 1 - | b 1 - | c 2 - | d 1 - | e 2 c | f 1 a'],
      settings: { foreignKeys: { 'public.marks.marks_agent_id_fkey': 'delete' } },
    });
    const { expected, problems } = judgeCase(found, await world.purge(found, { watched: true }));
    expect(problems).toEqual([]);
    expect(expected.deleted.get('marks')?.map(({ id }) => id)).toEqual(['a', 'b', 'd', 'f']);
  });
});
