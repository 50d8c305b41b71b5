import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildApplication, writeKeys } from '../chaos/application.ts';
import { auditArchives } from '../chaos/audit-archive.ts';
import { compareRestored, type Holdings, readHoldings } from '../chaos/audit-rows.ts';
import { planRound } from '../chaos/round-plan.ts';
import { redisChecksum } from '../support/catalogue-checksum.ts';
import { createDatabase } from '../support/postgres.ts';
import { openWorld, type PurgeWorld } from '../support/purge-world.ts';
import { claimRedisDatabase } from '../support/redis.ts';

const TENANTS = [
  { id: 't1', rows: 4, kept: false },
  { id: 't10', rows: 3, kept: true },
];

interface Meddled {
  readonly world: PurgeWorld;
  readonly archiveDir: string;
  readonly keysBefore: Map<string, string>;
}

const loseKeys = ({ world }: Meddled): Promise<unknown> =>
  world.redis.del('tenant:t10:thing:1', 'ratelimit:t10');

/** A finished round that archived, and what its audit says after `meddle`. */
async function auditAfter(
  meddle: (meddled: Meddled) => unknown,
  keysLostTo: string | null = null,
): Promise<string> {
  const [database, redis] = await Promise.all([createDatabase(), claimRedisDatabase()]);
  const archiveDir = mkdtempSync(join(tmpdir(), 'chaos-archive-'));
  await buildApplication(database.url, TENANTS);
  const drop = async (): Promise<void> => {
    await Promise.all([database.drop(), redis.release()]);
    rmSync(archiveDir, { recursive: true });
  };
  const world = await openWorld(
    { databaseUrl: database.url, redisUrl: redis.url, drop },
    { config: { archive: { dir: archiveDir } } },
  );
  try {
    await writeKeys(world.redis, TENANTS);
    const keysBefore = new Map(await redisChecksum(world.redis, { except: [] }));
    const { id } = await world.enqueueOne('t1', { archive: true });
    world.startWorker();
    await world.untilStatus(id, 'completed');
    await meddle({ world, archiveDir, keysBefore });
    const keysAfter = await redisChecksum(world.redis, { except: [] });
    const problems = await auditArchives({
      pool: world.pool,
      databaseUrl: database.url,
      archiveDir,
      keysBefore,
      keysAfter,
      keysLostTo,
    });
    return problems.join('\n');
  } finally {
    await world.close();
  }
}

test('the audit has nothing to say of the archive of an undisturbed purge', async () => {
  expect(await auditAfter(() => undefined)).toBe('');
});

test.each([
  [
    'rows that are gone are not archived',
    `delete from tenant_purge.archive_chunk
     where kind = 'deleted' and table_name = 'public.settings'`,
    'public.settings: 0 rows of t1 are archived, 1 booked',
  ],
  [
    'a chunk holds fewer rows than it says',
    `update tenant_purge.archive_chunk set rows = rows + 1
     where kind = 'deleted' and table_name = 'public.tenants'`,
    'holds 1 lines instead of 2',
  ],
  [
    'a key that is gone is not archived',
    'delete from tenant_purge.archive_keys',
    'the key ratelimit:t1 is gone, and is not archived',
  ],
])('the audit says where %s', async (_what, sql, complaint) => {
  expect(await auditAfter(({ world }) => world.pool.query(sql))).toContain(complaint);
});

test('the audit says where a byte of a segment is another', async () => {
  const problems = await auditAfter(({ archiveDir }) => {
    const [purge = ''] = readdirSync(join(archiveDir, 'purges'));
    const folder = join(archiveDir, 'purges', purge);
    const segment = readdirSync(folder).find((name) => name.includes('messages')) ?? '';
    const bytes = readFileSync(join(folder, segment));
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
    writeFileSync(join(folder, segment), bytes);
  });
  expect(problems).toMatch(/messages.*byte 0 .*sha256/);
});

test('the audit says where a key was archived with another value, or never was there', async () => {
  const problems = await auditAfter(({ keysBefore }) => {
    keysBefore.set('ratelimit:t1', 'another');
    keysBefore.delete('tenant:t1:thing:1');
  });
  expect(problems.split('\n').sort()).toEqual([
    'ratelimit:t1 of t1 is archived with another value',
    'the archive has tenant:t1:thing:1 for t1, which was never there',
  ]);
});

test('a key that Redis lost by itself need not be archived', async () => {
  expect(await auditAfter(loseKeys)).toContain('tenant:t10:thing:1 is gone');
  expect(await auditAfter(loseKeys, 'redis-crash')).toBe('');
});

test('the audit says where a restored tenant lacks a row, has another one, or where others have changed', async () => {
  const database = await createDatabase();
  const drop = (): Promise<void> => database.drop();
  const redis = await claimRedisDatabase();
  await buildApplication(database.url, TENANTS);
  const world = await openWorld({ databaseUrl: database.url, redisUrl: redis.url, drop }, {});
  try {
    const before = await readHoldings(world.pool);
    const compare = (restored: Holdings): string[] =>
      compareRestored('t1', { before, after: before, restored, written: new Map() });
    expect(compare(before)).toEqual([]);
    await world.pool.query(`update public.workspaces set default_agent_id = null
      where id = (select min(id) from public.workspaces where tenant_id = 't1')`);
    await world.pool.query(`update public.messages set reply_to_id = null
      where id = (select min(id) from public.messages where reply_to_id is not null)`);
    await world.pool.query(`delete from public.settings where tenant_id = 't1'`);
    await world.pool.query(`delete from public.notices where id = 7`);
    expect(compare(await readHoldings(world.pool)).map((what) => what.split(' (')[0])).toEqual([
      'public.workspaces: 4 rows',
      'public.messages: 8 rows',
      'public.settings: 0 rows',
      'public.notices: 49 rows',
    ]);
  } finally {
    await world.close();
    await redis.release();
  }
});

test('about two thirds of the rounds archive, the same ones for the same seed', () => {
  const plans = Array.from({ length: 300 }, (_, index) => planRound(7, index + 1, null));
  const again = plans.map(({ seed, round }) => planRound(seed, round, null));
  expect(again).toEqual(plans);
  const share = plans.filter(({ archives }) => archives).length / 300;
  expect(share).toBeGreaterThan(0.6);
  expect(share).toBeLessThan(0.75);
});
