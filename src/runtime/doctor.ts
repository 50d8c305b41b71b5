import type { Config } from '../config/config.ts';
import { remedyOf, toPurgeError } from '../domain/errors.ts';
import { makePlan } from '../planner/make-plan.ts';
import { readCatalogue } from '../postgres/catalogue/catalogue-reader.ts';
import { type Database, inTransaction, openDatabase, READ_ONLY } from '../postgres/database.ts';
import { readDatabaseFitness } from '../postgres/fitness.ts';
import { seesLoad } from '../postgres/load-probe.ts';
import { ledgerVersion } from '../postgres/migrate.ts';
import { findTenants } from '../postgres/tenant-directory.ts';
import { connectRedis, type Redis } from '../redis/connect.ts';
import { readRedisFitness } from '../redis/fitness.ts';
import { readRedisIdentity } from '../redis/identity.ts';
import { type Check, mind, right, wrong } from './check.ts';
import { examineArchive } from './doctor-archive.ts';
import { rulesOf } from './plan-rules.ts';

const VERSION_MAX = 18;
const REDIS_VERSION_MIN = [6, 2] as const;
const SKEW_MIND_MS = 2_000;
const SKEW_WRONG_MS = 30_000;

/**
 * Everything a purge needs of its surroundings, each as a check of its own: one that fails keeps no
 * other from being made. Writes nothing, neither to PostgreSQL nor to Redis.
 */
export async function examine(config: Config): Promise<Check[]> {
  return [
    ...(await examineDatabase(config)),
    ...(await examineRedis(config)),
    ...(await examineQueue(config)),
  ];
}

async function examineDatabase(config: Config): Promise<Check[]> {
  let database: Database;
  const warnings: string[] = [];
  try {
    database = await openDatabase({
      url: config.databaseUrl,
      connectionsMax: 2,
      applicationName: 'tenant-purge doctor',
      onWarning: (warning) => warnings.push(warning),
    });
  } catch (thrown) {
    return [failed('PostgreSQL', thrown), ...(await examineArchive(config, null))];
  }
  try {
    return [
      ...version(database),
      ...warnings.map((warning) => mind('PostgreSQL TLS', warning, 'Set sslmode=verify-full.')),
      ...(await guarded('tenant table', () => examinePlan(config, database))),
      ...(await guarded('ledger', () => examineLedger(database))),
      ...(await guarded('throttle', () => examineThrottle(config, database))),
      ...(await examineArchive(config, database)),
    ];
  } finally {
    await database.close();
  }
}

function version(database: Database): Check[] {
  const major = Math.floor(database.version / 10_000);
  return major <= VERSION_MAX
    ? [right('PostgreSQL', `version ${major} answers`)]
    : [
        mind(
          'PostgreSQL',
          `version ${major} answers; this program was tested with 14 to ${VERSION_MAX}`,
          'Try it on a copy of the database first.',
        ),
      ];
}

async function examinePlan(config: Config, database: Database): Promise<Check[]> {
  const { plan, catalogue } = await inTransaction(database.pool, READ_ONLY, async (client) => {
    const read = await readCatalogue(client);
    return { catalogue: read, plan: makePlan(read, rulesOf(config)) };
  });
  const { table, key, keyType } = plan.tenant;
  const tenantTable = catalogue.tables.find(({ name }) => name === table);
  const unique = tenantTable?.indexes.some(
    (index) =>
      index.unique && index.usable && index.columns.length === 1 && index.columns[0] === key,
  );
  const checks: Check[] = [
    unique === true
      ? right('tenant table', `${table}, key ${key} (${keyType}), unique`)
      : wrong(
          'tenant table',
          `${table}: no unique index on ${key} alone, so an id could mean two tenants`,
          `Create one, or name the right column as tenant.key: CREATE UNIQUE INDEX CONCURRENTLY ON ${table} (${key});`,
        ),
  ];
  const onPrivileges = plan.hazards.filter(
    ({ type }) => type === 'MISSING_PRIVILEGE' || type === 'ROW_SECURITY',
  );
  checks.push(
    ...(onPrivileges.length === 0
      ? [right('privileges', 'the role may read and delete in every table of the plan')]
      : onPrivileges.map(({ message, remedy }) => wrong('privileges', message, remedy))),
  );
  const blocking = plan.hazards.filter(
    (hazard) => hazard.severity === 'blocks' && !onPrivileges.includes(hazard),
  ).length;
  if (blocking > 0) {
    checks.push(
      mind('plan', `${blocking} hazards block a purge`, 'Read them with `tenant-purge plan`.'),
    );
  }
  // What cannot be read has been said above.
  const mayRead = tenantTable !== undefined && !tenantTable.missingPrivileges.includes('SELECT');
  return mayRead ? [...checks, await keepList(config, database, plan.tenant)] : checks;
}

async function keepList(
  config: Config,
  database: Database,
  tenant: Parameters<typeof findTenants>[1],
): Promise<Check> {
  const found = new Set<string>(
    (await findTenants(database.pool, tenant, config.keep)).map(({ id }) => id),
  );
  const unknown = config.keep.filter((id) => !found.has(id));
  if (unknown.length > 0) {
    return mind(
      'keep list',
      `no tenant has the id ${unknown.join(', ')}: it protects nobody`,
      'Spell each id as the tenant table has it.',
    );
  }
  return right('keep list', `${config.keep.length} tenants, all of them found`);
}

async function examineLedger(database: Database): Promise<Check[]> {
  const ledger = await ledgerVersion(database);
  const fitness = await readDatabaseFitness(database.pool);
  const checks: Check[] = [];
  if (fitness.missing.length > 0) {
    checks.push(
      wrong(
        'ledger',
        `the role lacks ${fitness.missing.join(', ')}`,
        remedyOf('PRIVILEGE_MISSING'),
      ),
    );
  } else {
    checks.push(
      right(
        'ledger',
        ledger === null
          ? 'none yet; the first enqueue creates it in schema tenant_purge'
          : `version ${ledger} in schema tenant_purge`,
      ),
    );
  }
  const skewMs = Math.abs(fitness.clockAheadMs);
  const shown = `PostgreSQL and this host differ by ${Math.round(skewMs)} ms`;
  if (skewMs < SKEW_MIND_MS) checks.push(right('clocks', shown));
  else {
    const remedy = 'Let both hosts keep their time by NTP.';
    checks.push((skewMs < SKEW_WRONG_MS ? mind : wrong)('clocks', shown, remedy));
  }
  return checks;
}

async function examineThrottle(config: Config, database: Database): Promise<Check[]> {
  const { replicaLagMsMax, transactionAgeMsMax } = config.throttle;
  if (replicaLagMsMax === null && transactionAgeMsMax === null) {
    return [right('throttle', 'looks neither at replicas nor at old transactions')];
  }
  return (await seesLoad(database))
    ? [right('throttle', 'the role sees the lag of replicas and all transactions')]
    : [
        mind(
          'throttle',
          "the role sees neither the lag of replicas nor other roles' transactions: purges do not hold for them",
          'GRANT pg_monitor TO the role; or set throttle.replicaLagMsMax and throttle.transactionAgeMsMax to null.',
        ),
      ];
}

async function examineRedis(config: Config): Promise<Check[]> {
  return withRedis('Redis', config.redisUrl, async (redis) => {
    const { version: found, policy } = await readRedisFitness(redis);
    const marker = await readRedisIdentity(redis);
    return [
      redisVersion('Redis', found),
      ...(policy === null || policy === 'noeviction'
        ? []
        : [
            mind(
              'Redis eviction',
              `maxmemory-policy is ${policy}: keys, and the identity marker, can vanish by themselves`,
              'Nothing to do where it is a cache; a lost marker is planted again at the same address.',
            ),
          ]),
      right(
        'Redis identity',
        marker === null ? 'no marker yet; the first enqueue plants it' : `marker ${marker}`,
      ),
      ...(config.redis.keys.length === 0
        ? [
            mind(
              'Redis keys',
              'the configuration names none: keys of tenants stay behind',
              'Name them in redis.keys, e.g. "tenant:{tenantId}:*".',
            ),
          ]
        : [right('Redis keys', config.redis.keys.join(', '))]),
    ];
  });
}

async function examineQueue(config: Config): Promise<Check[]> {
  return withRedis('queue', config.queueRedisUrl, async (redis) => {
    const { version: found, policy } = await readRedisFitness(redis);
    const paused = await redis.hexists(
      `${config.queue.prefix}:${config.queue.name}:meta`,
      'paused',
    );
    return [
      redisVersion('queue', found),
      ...(policy === null || policy === 'noeviction'
        ? [right('queue eviction', policy ?? 'unknown: the server does not tell')]
        : [
            wrong(
              'queue eviction',
              `maxmemory-policy of the queue's Redis is ${policy}: jobs can vanish`,
              'Run: CONFIG SET maxmemory-policy noeviction; or give the queue a Redis of its own with QUEUE_REDIS_URL.',
            ),
          ]),
      paused === 0
        ? right('queue state', `${config.queue.name} runs`)
        : mind(
            'queue state',
            `${config.queue.name} is paused: nothing is deleted`,
            'Release it with `tenant-purge resume --all`.',
          ),
    ];
  });
}

function redisVersion(name: string, found: string | null): Check {
  if (found === null) return right(name, 'answers; it does not tell its version');
  const [major = 0, minor = 0] = found.split('.').map(Number);
  const [majorMin, minorMin] = REDIS_VERSION_MIN;
  return major > majorMin || (major === majorMin && minor >= minorMin)
    ? right(name, `version ${found} answers`)
    : wrong(name, `version ${found} is too old`, `Use Redis ${majorMin}.${minorMin} or newer.`);
}

async function withRedis(
  name: string,
  url: string,
  work: (redis: Redis) => Promise<Check[]>,
): Promise<Check[]> {
  let redis: Redis;
  try {
    redis = await connectRedis(url, { name: 'tenant-purge-doctor' });
  } catch (thrown) {
    return [failed(name, thrown)];
  }
  try {
    return await guarded(name, () => work(redis));
  } finally {
    redis.disconnect();
  }
}

async function guarded(name: string, work: () => Promise<Check[]>): Promise<Check[]> {
  try {
    return await work();
  } catch (thrown) {
    return [failed(name, thrown)];
  }
}

function failed(name: string, thrown: unknown): Check {
  const { message, remedy } = toPurgeError(thrown);
  return wrong(name, message, remedy);
}
