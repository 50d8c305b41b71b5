import { readFile } from 'node:fs/promises';
import type { ConfigInput } from '../../src/config/schema.ts';
import { asTenantId, asWorkerId } from '../../src/domain/ids.ts';
import { noFailpoint } from '../../src/engine/failpoints.ts';
import { LivePlan } from '../../src/engine/live-plan.ts';
import { sweepIfDue } from '../../src/engine/sweep.ts';
import { makePlan } from '../../src/planner/make-plan.ts';
import { readCatalogue } from '../../src/postgres/catalogue/catalogue-reader.ts';
import { SweepStore } from '../../src/postgres/ledger/sweeps.ts';
import type { Redis } from '../../src/redis/connect.ts';
import { plantRedisIdentity } from '../../src/redis/identity.ts';
import type { Actor } from '../../src/runtime/actor.ts';
import { createApplication, listTestTenantIds } from '../demo/app/seed.ts';
import { withActor } from './campaign.ts';
import { alternate, type Comparison, compare, timed } from './measure.ts';
import { count, say } from './progress.ts';
import type { Servers } from './servers.ts';
import type { TemplateDatabase } from './template-database.ts';

const WANTED = 0.33;
/** At scale 1: 185,000 keys of 1,845 tenants among 700,000. */
const TENANT_KEYS = 185_000;
const ALL_KEYS = 700_000;
const PLAIN_SCAN_COUNT = 1_000;
const PLAIN_UNLINK_KEYS = 1_000;
const SEED_KEYS = 5_000;
/** The identity marker and the queue's own. */
const OWN_KEYS = ['tenant-purge:identity', 'bull:tenant-purge:meta'];
const PREFIX = 'tenant:';
const UUID_LENGTH = 36;

interface RedisReport extends Comparison {
  readonly tenants: number;
  readonly keys: number;
  readonly keysDeleted: number;
}

interface RedisSize {
  readonly tenantIds: readonly string[];
  readonly tenantKeys: number;
  readonly strayKeys: number;
}

/**
 * The keys of all tenants at once: the engine's sweep, with a ledger of as many waiting purges,
 * admission before every pipeline and the fresh count at the end, against a bare SCAN and UNLINK.
 */
export async function benchRedis(servers: Servers, scale: number): Promise<RedisReport> {
  const config: ConfigInput = JSON.parse(
    await readFile(new URL('../demo/purge.config.json', import.meta.url), 'utf8'),
  );
  const tenantKeys = Math.round(TENANT_KEYS * scale);
  const size: RedisSize = {
    tenantIds: listTestTenantIds({ scale }),
    tenantKeys,
    strayKeys: Math.round(ALL_KEYS * scale) - tenantKeys,
  };
  say(
    `redis: ${count(tenantKeys)} keys of ${count(size.tenantIds.length)} tenants among ${count(tenantKeys + size.strayKeys)}`,
  );
  const template = await servers.template(createApplication);
  try {
    const runs = await alternate({
      plain: (run) => runPlain(servers, size, run),
      ours: (run) => runOurs(servers, template, { config, size, run }),
    });
    return {
      ...compare({ ours: runs.ours, plain: runs.plain }, WANTED),
      tenants: size.tenantIds.length,
      keys: tenantKeys + size.strayKeys,
      keysDeleted: tenantKeys,
    };
  } finally {
    await template.drop();
  }
}

async function runPlain(servers: Servers, size: RedisSize, run: number): Promise<number> {
  return servers.withEmptyRedis(async (redis) => {
    await fill(redis, size);
    const doomed = new Set(size.tenantIds);
    const { seconds, result } = await timed(() => scanAndUnlink(redis, doomed));
    await requireGone(redis, size, result);
    say(`redis ${run}: plain ${seconds.toFixed(3)} s, ${count(result)} keys`);
    return seconds;
  });
}

/** @returns keys deleted, as the server counted them */
async function scanAndUnlink(redis: Redis, doomed: ReadonlySet<string>): Promise<number> {
  let deleted = 0;
  let found: string[] = [];
  const unlink = async (): Promise<void> => {
    if (found.length > 0) deleted += await redis.unlink(...found);
    found = [];
  };
  let cursor = '0';
  do {
    const [next, keys] = await redis.scan(cursor, 'COUNT', PLAIN_SCAN_COUNT);
    cursor = next;
    for (const key of keys) {
      if (
        key.startsWith(PREFIX) &&
        doomed.has(key.slice(PREFIX.length, PREFIX.length + UUID_LENGTH))
      )
        found.push(key);
      if (found.length === PLAIN_UNLINK_KEYS) await unlink();
    }
  } while (cursor !== '0');
  await unlink();
  return deleted;
}

async function runOurs(
  servers: Servers,
  template: TemplateDatabase,
  {
    config,
    size,
    run,
  }: { readonly config: ConfigInput; readonly size: RedisSize; readonly run: number },
): Promise<number> {
  return template.withCopy((databaseUrl) =>
    servers.withEmptyRedis(async (redis) => {
      await fill(redis, size);
      return withActor({ databaseUrl, redisUrl: servers.redisUrl }, config, async (actor) => {
        await letPurgesWait(actor, size.tenantIds);
        const { seconds } = await timed(() => sweep(actor));
        const { rows } = await actor.database.pool.query(
          `select count(*) filter (where status = 'completed' and redis_residue = 0)::int as completed,
             sum(redis_keys_deleted)::int as keys from tenant_purge.purge`,
        );
        if (rows[0].completed !== size.tenantIds.length) {
          throw new Error(`Only ${rows[0].completed} of the purges were completed by the sweep.`);
        }
        await requireGone(redis, size, rows[0].keys);
        say(`redis ${run}: ours  ${seconds.toFixed(3)} s, ${count(rows[0].keys)} keys`);
        return seconds;
      });
    }),
  );
}

/** Purges whose rows are gone already. */
async function letPurgesWait(actor: Actor, tenantIds: readonly string[]): Promise<void> {
  const { pool } = actor.database;
  const plan = makePlan(await readCatalogue(pool), actor.rules);
  await actor.campaigns.create({
    ...actor.whereabouts,
    redisIdentity: await plantRedisIdentity(actor.redis, crypto.randomUUID()),
    operator: 'benchmark',
    allowed: [],
    kept: actor.config.keep,
    archive: false,
    before: {
      tenants: 0,
      testTenants: null,
      core: {},
      redisKeys: 0,
      keptRows: {},
      doomedCore: {},
      doomedTestTenants: null,
    },
    plan,
    delayMs: 0,
    purges: tenantIds.map((id) => ({
      tenantId: asTenantId(id),
      tenantLabel: id,
      rowsExpected: {},
    })),
  });
  await pool.query(
    `update tenant_purge.purge set stage = 'redis', redis_waiting_since = clock_timestamp()`,
  );
  await pool.query('vacuum (analyze) tenant_purge.purge');
}

async function sweep(actor: Actor): Promise<void> {
  const { keyspace, database } = actor;
  if (keyspace === null) throw new Error('The configuration names no Redis keys.');
  const livePlan = new LivePlan(async () =>
    makePlan(await readCatalogue(database.pool), actor.rules),
  );
  const attempt = await sweepIfDue({
    sweeps: new SweepStore(database),
    keyspace,
    tenantsWithRows: async (ids) => actor.reader.tenantsWithRows(await livePlan.current(), ids),
    holder: asWorkerId('benchmark'),
    failpoint: noFailpoint,
    archive: null,
    leaseMs: actor.config.worker.lockMs,
    stopping: () => false,
  });
  if (attempt.kind !== 'swept') throw new Error(`The sweep was not due: ${attempt.kind}.`);
}

/** Keys go round the tenants, so that every page of a SCAN holds keys of many. */
async function fill(redis: Redis, size: RedisSize): Promise<void> {
  let batch: string[] = [];
  const send = async (): Promise<void> => {
    if (batch.length > 0) await redis.mset(batch);
    batch = [];
  };
  const total = size.tenantKeys + size.strayKeys;
  for (let n = 0; n < total; n += 1) {
    const tenantId = size.tenantIds[n % size.tenantIds.length];
    batch.push(n < size.tenantKeys ? `${PREFIX}${tenantId}:cache:${n}` : `session:${n}`, `${n}`);
    if (batch.length >= 2 * SEED_KEYS) await send();
  }
  await send();
}

/** What is left is what belongs to nobody, besides what our side writes for itself. */
async function requireGone(redis: Redis, size: RedisSize, deleted: number): Promise<void> {
  const left = (await redis.dbsize()) - (await redis.exists(...OWN_KEYS));
  if (deleted === size.tenantKeys && left === size.strayKeys) return;
  throw new Error(
    `A side deleted ${deleted} keys and left ${left}; it should have deleted ${size.tenantKeys} and left ${size.strayKeys}.`,
  );
}
