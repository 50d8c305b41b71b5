import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { listTestTenantIds, seedApplication, seedRedis } from '../../ops/demo/app/seed.ts';
import { startServices } from '../../ops/services/start.ts';
import { prepareCampaign, rowsPerTable } from '../../src/engine/campaign/prepare.ts';
import { catalogueChecksum, redisChecksum } from '../support/catalogue-checksum.ts';
import { openWorld, type WorldPlace } from '../support/purge-world.ts';
import { until } from '../support/until.ts';

export interface RandomKills {
  readonly kills: number;
  readonly scale: number;
  readonly seed: number;
}

/** What a run with its kills came to. */
export interface RandomKillsReport extends RandomKills {
  readonly purges: number;
  readonly rows: number;
  readonly redisKeys: number;
  /** Claims beyond the first of each purge. */
  readonly takeovers: number;
  readonly durationMs: number;
}

const WORKERS = 2;
const RUN_MAX_MS = 900_000;

/**
 * Purges the demo's test tenants with two worker processes, of which one at random is killed at
 * random moments and replaced. The moments are amounts of deleted rows, so that a seed repeats them
 * on any machine, roughly.
 * @throws AssertionError where anything differs from what an undisturbed run leaves
 */
export async function runRandomKills(
  place: WorldPlace,
  { kills, scale, seed }: RandomKills,
  onStep: (text: string) => void = () => undefined,
): Promise<RandomKillsReport> {
  await seedApplication(place.databaseUrl, { scale });
  await seedRedis(place.redisUrl, { scale });
  const config = JSON.parse(
    readFileSync(new URL('../../ops/demo/purge.config.json', import.meta.url), 'utf8'),
  );
  // Half of the tenants go in one transaction, half by levels and batches. A sweep serves many, or the
  // run would be one of sweeps.
  const batch = { smallPurgeRows: 560, maxRows: 500 };
  const redis = { ...config.redis, waitMs: 3_000 };
  const world = await openWorld(place, { config: { ...config, batch, redis } });
  try {
    const doomed = listTestTenantIds({ scale });
    const rowsBefore = await catalogueChecksum(world.pool, { except: doomed });
    const keysBefore = await redisChecksum(world.redis, { except: doomed });
    const prepared = await prepareCampaign(world.actor.prepare, { kind: 'all-except', ids: [] });
    const total = prepared.tenants.reduce((sum, tenant) => sum + tenant.rowsTotal, 0);
    await world.enqueueTargets({ kind: 'all-except', ids: [] });

    const random = mulberry32(seed);
    const moments = Array.from({ length: kills }, () => random() * total * 0.9).sort(
      (a, b) => a - b,
    );
    const startedAt = performance.now();
    const workers = await Promise.all(Array.from({ length: WORKERS }, () => world.spawnWorker()));
    onStep(`seeded ${total} rows of ${doomed.length} tenants`);
    for (const [index, moment] of moments.entries()) {
      await until(`${Math.round(moment)} rows are gone`, RUN_MAX_MS, async () =>
        Number(await world.value('select coalesce(sum(rows), 0) from tenant_purge.batch')) >= moment
          ? true
          : null,
      );
      onStep(`kill ${index + 1} of ${kills} at ${Math.round(moment)} rows`);
      const victim = Math.floor(random() * WORKERS);
      workers[victim]?.kill('SIGKILL');
      await workers[victim]?.exited;
      workers[victim] = await world.spawnWorker();
      // A worker that has not begun is no loss.
      await workers[victim]?.ready;
    }
    const ended = await world.untilEnded(RUN_MAX_MS);
    const durationMs = Math.round(performance.now() - startedAt);

    for (const purge of ended) {
      assert.equal(purge.status, 'completed', JSON.stringify(purge.error));
      assert.equal(purge.rowsDeleted, purge.rowsTotal, `rows of ${purge.tenantId}`);
    }
    const { rows: ledger } = await world.pool.query(
      `select table_name as table, sum(rows)::int as rows from tenant_purge.batch
       where kind = 'delete' and table_name <> 'redis' group by 1`,
    );
    const expected = rowsPerTable(prepared).filter(({ rows }) => rows > 0);
    assert.deepEqual(byTable(ledger), byTable(expected));
    assert.deepEqual(await catalogueChecksum(world.pool, { except: [] }), rowsBefore);
    assert.deepEqual(await redisChecksum(world.redis, { except: [] }), keysBefore);
    const outOfOrder = await world.value(
      `select count(*)::int from (select fence, max(fence) over (partition by purge_id order by id) as newest
         from tenant_purge.batch where table_name <> 'redis') b where fence < newest`,
    );
    assert.equal(outOfOrder, 0, 'batches under an older fence after a newer one');
    return {
      kills,
      scale,
      seed,
      purges: ended.length,
      rows: total,
      redisKeys: prepared.counts.redisKeys,
      takeovers: ended.reduce((sum, purge) => sum + Math.max(0, purge.fence - 1), 0),
      durationMs,
    };
  } finally {
    await world.close();
  }
}

const byTable = (tables: readonly { table: string; rows: number }[]): string[] =>
  tables.map(({ table, rows }) => `${table} ${rows}`).sort();

/** A small seeded generator of numbers in [0, 1). */
export function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `tsx test/fault/random-kills.ts --kills 50 --scale 1 --seed 1` on servers of its own. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '50' },
      scale: { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
    },
  });
  const services = await startServices({
    dataDir: fileURLToPath(new URL(`../../.data/random-kills-${process.pid}`, import.meta.url)),
    fresh: true,
    ephemeral: true,
  });
  try {
    const report = await runRandomKills(
      { ...services, drop: () => Promise.resolve() },
      {
        kills: Number(values.kills),
        scale: Number(values.scale),
        seed: Number(values.seed),
      },
      (text) => process.stderr.write(`${new Date().toISOString()} ${text}\n`),
    );
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  } finally {
    await services.stop();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
