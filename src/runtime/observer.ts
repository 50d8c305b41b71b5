import type { Config } from '../config/config.ts';
import type { PrepareParts } from '../engine/campaign/prepare.ts';
import type { Whereabouts } from '../engine/identity-check.ts';
import type { SweepKeyspace } from '../engine/sweep.ts';
import { createLogger, type Logger } from '../observability/logger.ts';
import type { PlanRules } from '../planner/rules.ts';
import { type Database, openDatabase } from '../postgres/database.ts';
import { readDatabaseIdentity } from '../postgres/database-identity.ts';
import { CampaignStore } from '../postgres/ledger/campaigns.ts';
import { ledgerVersion } from '../postgres/migrate.ts';
import { RowReader } from '../postgres/rows/row-reader.ts';
import { connectRedis, type Redis } from '../redis/connect.ts';
import { parseKeyTemplate, separatorOf } from '../redis/key-template.ts';
import { makeKeyspace } from './keyspace.ts';
import { rulesOf } from './plan-rules.ts';

/**
 * Everything that only looks: plan, dry run, doctor, verify. Connected, nothing migrated, nothing
 * written.
 */
export interface Observer {
  readonly config: Config;
  readonly log: Logger;
  readonly database: Database;
  readonly redis: Redis;
  readonly keyspace: SweepKeyspace | null;
  readonly reader: RowReader;
  readonly rules: PlanRules;
  readonly whereabouts: Whereabouts;
  readonly prepare: PrepareParts;
  close(): Promise<void>;
}

export interface ComposeOptions {
  /** Shown in PostgreSQL's and Redis's lists of connections, e.g. `worker`. */
  readonly role: string;
}

/** @throws PurgeError DATABASE_UNREACHABLE, DATABASE_REFUSED, DATABASE_VERSION, REDIS_UNREACHABLE */
export async function composeObserver(config: Config, options: ComposeOptions): Promise<Observer> {
  const log = createLogger({
    level: config.logLevel,
    name: options.role,
    destination: 'stderr',
  });
  const database = await openDatabase({
    url: config.databaseUrl,
    connectionsMax: config.worker.slots * config.batch.connections + CONNECTIONS_BESIDES,
    applicationName: `tenant-purge ${options.role}`,
    onIdleError: (error) => log.warn({ err: error }, 'an idle connection to PostgreSQL was lost'),
    onWarning: (warning) => log.warn(warning),
  });
  let redis: Redis | null = null;
  try {
    redis = await connectRedis(config.redisUrl, {
      name: `tenant-purge-${options.role}`,
      onError: (error) => log.warn({ err: error }, 'the connection to Redis was lost'),
    });
    const connected = redis;
    const keyspace = keyspaceOf(config, connected);
    const reader = new RowReader(database);
    const rules = rulesOf(config);
    const whereabouts: Whereabouts = {
      environment: config.environment,
      databaseIdentity: await readDatabaseIdentity(database.pool),
      redisEndpoint: endpointOf(config.redisUrl),
    };
    return {
      config,
      log,
      database,
      redis: connected,
      keyspace,
      reader,
      rules,
      whereabouts,
      prepare: prepareParts(config, database, reader, rules, keyspace),
      async close() {
        connected.disconnect();
        await database.close();
      },
    };
  } catch (error) {
    redis?.disconnect();
    await database.close();
    throw error;
  }
}

/**
 * Connections of one process besides those of its purges: claims, commands, reconciler, load probe.
 */
const CONNECTIONS_BESIDES = 4;

function keyspaceOf(config: Config, redis: Redis): SweepKeyspace | null {
  if (config.redis.keys.length === 0) return null;
  return makeKeyspace({
    redis,
    templates: config.redis.keys.map(parseKeyTemplate),
    excludePrefixes: [`${config.queue.prefix}:`],
    waitMs: config.redis.waitMs,
  });
}

function prepareParts(
  config: Config,
  database: Database,
  reader: RowReader,
  rules: PlanRules,
  keyspace: SweepKeyspace | null,
): PrepareParts {
  return {
    database,
    reader,
    rules,
    keep: config.keep,
    keyspace,
    keySeparators: config.redis.keys.map((key) => separatorOf(parseKeyTemplate(key))),
    busyTenants: async () =>
      (await ledgerVersion(database)) === null ? [] : new CampaignStore(database).busyTenants(),
    formerTenants: async (ids) =>
      (await ledgerVersion(database)) === null
        ? []
        : new CampaignStore(database).formerTenants(ids),
  };
}

/** Host, port and database number, without user and password. */
function endpointOf(url: string): string {
  const { hostname: host, port, pathname } = new URL(url);
  return `${host}:${port === '' ? '6379' : port}/${pathname.replace('/', '') || '0'}`;
}
