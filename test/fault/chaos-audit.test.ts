import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildApplication, writeKeys } from '../chaos/application.ts';
import { auditLedger } from '../chaos/audit-ledger.ts';
import {
  auditRows,
  findChanged,
  readBooked,
  readHoldings,
  readWritten,
  rememberContents,
} from '../chaos/audit-rows.ts';
import { auditStatuses } from '../chaos/audit-statuses.ts';
import { appendResult, type RoundResult, readResults } from '../chaos/progress-file.ts';
import { planRound } from '../chaos/round-plan.ts';
import { renderSummary } from '../chaos/summary.ts';
import { createDatabase } from '../support/postgres.ts';
import { openWorld, type PurgeWorld } from '../support/purge-world.ts';
import { claimRedisDatabase } from '../support/redis.ts';

const TENANTS = [
  { id: 't1', rows: 4, kept: false },
  { id: 't10', rows: 3, kept: true },
];

/** A finished round without faults, and what its audit says after `meddle`. */
async function auditAfter(meddle: (world: PurgeWorld) => Promise<unknown>): Promise<string[]> {
  const [database, redis] = await Promise.all([createDatabase(), claimRedisDatabase()]);
  await buildApplication(database.url, TENANTS);
  const drop = async (): Promise<void> => {
    await Promise.all([database.drop(), redis.release()]);
  };
  const world = await openWorld({ databaseUrl: database.url, redisUrl: redis.url, drop }, {});
  try {
    await writeKeys(world.redis, TENANTS);
    const before = await readHoldings(world.pool);
    await rememberContents(world.pool);
    const { id } = await world.enqueueOne('t1');
    world.startWorker();
    await world.untilStatus(id, 'completed');
    await meddle(world);
    const after = await readHoldings(world.pool);
    const seen = {
      before,
      after,
      written: await readWritten(world.pool),
      booked: await readBooked(world.pool),
    };
    const { problems } = await auditStatuses(world.pool, world.redis, TENANTS, after);
    return [
      ...auditRows(TENANTS, seen),
      ...(await findChanged(world.pool)),
      ...(await auditLedger(world.pool, 0)),
      ...problems,
    ];
  } finally {
    await world.close();
  }
}

test('the audit has nothing to say of an undisturbed purge', async () => {
  expect(await auditAfter(() => Promise.resolve())).toEqual([]);
});

test.each([
  [
    'a row of a kept tenant is gone',
    `delete from public.document_versions where tenant_id = 't10' and document = 1`,
    'rows of t10, who is kept',
  ],
  [
    'a row of a kept tenant has changed',
    `update public.agents set pad = 'y' where tenant_id = 't10'`,
    'are not as they were',
  ],
  ['a row of nobody is gone', 'delete from public.notices where id = 7', 'rows of nobody'],
  [
    'a row of the purged tenant is there although it is completed',
    `insert into public.audit_log (tenant_id, line) values ('t1', 'line 1')`,
    't1 is completed, but there is public.audit_log 1',
  ],
  [
    'a batch came under an older fence',
    `insert into tenant_purge.batch
       (purge_id, fence, stage, level, kind, table_name, rows, duration_ms, worker)
     select purge_id, fence - 1, stage, level, kind, table_name, 0, 1, worker
     from tenant_purge.batch order by id limit 1`,
    'a batch under an older fence',
  ],
  [
    'the ledger books a row twice',
    `insert into tenant_purge.batch
       (purge_id, fence, stage, level, kind, table_name, rows, duration_ms, worker, at)
     select purge_id, fence, stage, level, kind, table_name, rows, duration_ms, worker, at
     from tenant_purge.batch where kind = 'delete' order by id limit 1`,
    'booked',
  ],
  [
    'a purge is completed twice',
    `insert into tenant_purge.event (purge_id, kind, actor)
     select id, 'completed', 'somebody' from tenant_purge.purge`,
    'a purge that ended twice',
  ],
])('the audit says where %s', async (_what, sql, complaint) => {
  const problems = await auditAfter((world) => world.pool.query(sql));
  expect(problems.join('\n')).toContain(complaint);
});

test('the audit says where a key of a completed tenant is there', async () => {
  const problems = await auditAfter((world) => world.redis.set('tenant:t1:thing:9', 'x'));
  expect(problems).toEqual(['t1 is completed, but there are 1 keys']);
});

test('a round is the same for the same seed, and another for the next', () => {
  expect(planRound(7, 3, null)).toEqual(planRound(7, 3, null));
  expect(planRound(7, 4, null)).not.toEqual(planRound(7, 3, null));
  expect(planRound(7, 3, 'freeze').faults.map(({ kind }) => kind)).toContain('freeze');
});

test('rounds are read back from the file they were appended to, and failed ones name their command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-progress-'));
  try {
    const file = join(folder, 'rounds.jsonl');
    expect(readResults(file)).toEqual([]);
    const result: RoundResult = {
      seed: 7,
      round: 3,
      only: null,
      faults: ['kill'],
      late: [],
      passed: false,
      problems: ['a row is gone'],
      statuses: { completed: 4 },
      rows: 10,
      takeovers: 1,
      archived: true,
      restored: 'completed',
      rowsRestored: 9,
      durationMs: 5_000,
    };
    appendResult(file, { ...result, round: 2, passed: true, problems: [] });
    appendResult(file, result);
    expect(readResults(file).map(({ round, passed }) => [round, passed])).toEqual([
      [2, true],
      [3, false],
    ]);
    const summary = renderSummary(readResults(file));
    expect(summary).toContain('npm run -s chaos -- --seed 7 --round 3');
    expect(summary).not.toContain('--round 2');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
