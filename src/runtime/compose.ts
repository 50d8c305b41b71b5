import { hostname } from 'node:os';
import { createFileSystemStore } from '../archive/file-system-store.ts';
import type { Config } from '../config/config.ts';
import { asWorkerId } from '../domain/ids.ts';
import { KeepList } from '../domain/keep-list.ts';
import type { QuiesceRule } from '../domain/quiesce.ts';
import type { ArchiveParts } from '../engine/archive/archive-parts.ts';
import { makeSweepArchiving } from '../engine/archive/sweep-archive.ts';
import type { PrepareParts } from '../engine/campaign/prepare.ts';
import { type Failpoint, noFailpoint } from '../engine/failpoints.ts';
import { IdentityCheck, type Whereabouts } from '../engine/identity-check.ts';
import { LivePlan } from '../engine/live-plan.ts';
import type { EngineParts } from '../engine/parts.ts';
import type { SweepKeyspace } from '../engine/sweep.ts';
import { Sweeper } from '../engine/sweeper.ts';
import { createLogger, type Logger } from '../observability/logger.ts';
import type { OwnerRule, PlanRules } from '../planner/rules.ts';
import { type Database, inTransaction, openDatabase, READ_ONLY } from '../postgres/database.ts';
import { readDatabaseIdentity } from '../postgres/database-identity.ts';
import { ArchiveStore } from '../postgres/ledger/archives.ts';
import { CampaignStore } from '../postgres/ledger/campaigns.ts';
import { CommandStore } from '../postgres/ledger/commands.ts';
import { withReconcilerLock } from '../postgres/ledger/locks.ts';
import { PurgeStore } from '../postgres/ledger/purges.ts';
import { SweepStore, type SweptPurge } from '../postgres/ledger/sweeps.ts';
import { ledgerVersion, migrateLedger } from '../postgres/migrate.ts';
import { QuiesceStore } from '../postgres/quiesce-store.ts';
import { readPlan } from '../postgres/read-plan.ts';
import { RowReader } from '../postgres/rows/row-reader.ts';
import { RowStore } from '../postgres/rows/row-store.ts';
import type { EnqueueParts } from '../queue/enqueue.ts';
import { PurgeQueue } from '../queue/purge-queue.ts';
import type { ReconcileParts } from '../queue/reconcile.ts';
import { connectRedis, type Redis } from '../redis/connect.ts';
import { plantRedisIdentity, readRedisIdentity } from '../redis/identity.ts';
import { parseKeyTemplate, separatorOf } from '../redis/key-template.ts';
import { makeKeyspace } from './keyspace.ts';
import { makeThrottle } from './throttle.ts';

interface ComposeOptions {
  /** Shown in PostgreSQL's and Redis's lists of connections, e.g. `worker`. */
  readonly role: string;
  readonly logDestination?: 'stderr' | 'stdout';
}

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

/** Everything that acts: ledger migrated, queue open. */
export interface Actor extends Observer {
  readonly purges: PurgeStore;
  readonly campaigns: CampaignStore;
  readonly commands: CommandStore;
  readonly queue: PurgeQueue;
  readonly archive: ArchiveParts;
  readonly reconcile: ReconcileParts;
}

/**
 * Connections of one process besides those of its purges: claims, commands, reconciler, load probe.
 */
const CONNECTIONS_BESIDES = 4;

/** A holder of the sweep that is silent for longer is taken to be dead. */
const SWEEP_LEASE_MS = 15_000;

/** @throws PurgeError DATABASE_UNREACHABLE, DATABASE_REFUSED, DATABASE_VERSION, REDIS_UNREACHABLE */
export async function composeObserver(config: Config, options: ComposeOptions): Promise<Observer> {
  const log = createLogger({
    level: config.logLevel,
    name: options.role,
    destination: options.logDestination ?? 'stderr',
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

/** Observer, ledger and queue. @throws also PurgeError LEDGER_NEWER, PRIVILEGE_MISSING */
export async function composeActor(config: Config, options: ComposeOptions): Promise<Actor> {
  return actOn(await composeObserver(config, options), options);
}

/**
 * Adds ledger and queue to an observer, which from then on belongs to the actor: closing the actor
 * closes it, and so does a failure. The first write of the process: what has to be refused is
 * refused before.
 * @throws PurgeError LEDGER_NEWER, PRIVILEGE_MISSING, REDIS_UNREACHABLE (the queue's)
 */
export async function actOn(observer: Observer, options: ComposeOptions): Promise<Actor> {
  const { config } = observer;
  try {
    // Finds out within seconds whether the queue's Redis answers; the queue itself waits for ever.
    // Before anything is written: a process that cannot work leaves no ledger behind.
    const probe = await connectRedis(config.queueRedisUrl, {
      name: `tenant-purge-${options.role}`,
    });
    probe.disconnect();
    await migrateLedger(observer.database);
    const queue = new PurgeQueue(queueAddress(config), (error) =>
      observer.log.warn({ err: error }, 'the connection to the queue was lost'),
    );
    const purges = new PurgeStore(observer.database);
    const commands = new CommandStore(observer.database);
    const livePlan = livePlanOf(observer.database, observer.rules);
    return {
      ...observer,
      purges,
      campaigns: new CampaignStore(observer.database),
      commands,
      queue,
      archive: archiveParts(config, observer.database),
      reconcile: {
        purges,
        commands,
        queue,
        residueOf: async (tenantId) => observer.reader.residue(await livePlan.current(), tenantId),
        lockMs: config.worker.lockMs,
        log: observer.log,
        exclusively: (work) => withReconcilerLock(observer.database, work),
      },
      async close() {
        await queue.close().catch(() => undefined);
        await observer.close();
      },
    };
  } catch (error) {
    await observer.close();
    throw error;
  }
}

/** Where archives lie; nothing is made there before the first of them. */
export const archiveParts = (config: Config, database: Database): ArchiveParts => ({
  store: createFileSystemStore(config.archive.dir),
  ledger: new ArchiveStore(database),
  databaseVersion: database.version,
  keepDays: config.archive.keepDays,
});

/** What enqueueing a campaign needs. */
export const enqueueParts = (actor: Actor): EnqueueParts => ({
  campaigns: actor.campaigns,
  queue: actor.queue,
  whereabouts: actor.whereabouts,
  plantRedisIdentity: (id) => plantRedisIdentity(actor.redis, id),
  log: actor.log,
});

/**
 * What a worker needs besides.
 * @param onSwept wakes the jobs of purges whose keys are gone
 */
export function engineParts(
  actor: Actor,
  onSwept: (purges: readonly SweptPurge[]) => Promise<void>,
  failpoint: Failpoint = noFailpoint,
): EngineParts {
  const { config, keyspace } = actor;
  const holder = asWorkerId(processIdentity());
  const sweeps = new SweepStore(actor.database);
  const livePlan = livePlanOf(actor.database, actor.rules);
  return {
    purges: actor.purges,
    campaigns: actor.campaigns,
    rows: new RowStore(actor.database, {
      beforeCommit: () => failpoint('before-commit'),
      archiveWritten: () => failpoint('archive-written'),
    }),
    archive: actor.archive,
    reader: actor.reader,
    livePlan,
    identity: new IdentityCheck(
      actor.whereabouts,
      () => readRedisIdentity(actor.redis),
      (marker) => plantRedisIdentity(actor.redis, marker),
    ),
    sweeper:
      keyspace === null
        ? null
        : new Sweeper(
            {
              sweeps,
              keyspace,
              holder,
              leaseMs: Math.min(SWEEP_LEASE_MS, config.worker.lockMs),
              failpoint,
              archive: makeSweepArchiving(actor.archive),
              tenantsWithRows: async (tenantIds) =>
                actor.reader.tenantsWithRows(await livePlan.current(), tenantIds),
            },
            onSwept,
            actor.log,
          ),
    quiesce: new QuiesceStore(actor.database),
    keep: new KeepList(config.keep),
    limits: config.batch,
    throttle: makeThrottle(actor),
    failpoint,
    log: actor.log,
  };
}

const livePlanOf = (database: Database, rules: PlanRules): LivePlan =>
  new LivePlan(() =>
    inTransaction(database.pool, READ_ONLY, async (client) => readPlan(client, rules)),
  );

/** `host:pid` of this process, for people. */
export const processIdentity = (): string => `${hostname()}:${process.pid}`;

export const queueAddress = (config: Config): { url: string; name: string; prefix: string } => ({
  url: config.queueRedisUrl,
  name: config.queue.name,
  prefix: config.queue.prefix,
});

export const rulesOf = (config: Config): PlanRules => ({
  tenant: {
    table: config.tenant.table,
    key: config.tenant.key ?? null,
    label: config.tenant.label ?? null,
    testColumn: config.tenant.testColumn ?? null,
    columns: config.tenant.columns,
  },
  core: config.levels.core,
  tables: Object.fromEntries(
    Object.entries(config.tables).map(([table, { ownedBy, where, onPurge, set }]) => [
      table,
      {
        ...(ownedBy === undefined ? {} : { ownedBy: ownedBy.map(ownerRuleOf) }),
        ...(where === undefined ? {} : { where }),
        ...(onPurge === undefined ? {} : { onPurge }),
        ...(set === undefined ? {} : { set }),
      },
    ]),
  ),
  foreignKeys: config.foreignKeys,
  follow: config.follow,
  quiesce: quiesceRuleOf(config.quiesce),
  hold: config.hold?.column ?? null,
});

/** The schema admits one pair or the other. */
function quiesceRuleOf(configured: Config['quiesce']): QuiesceRule | null {
  const { column, value, sql, undo } = configured ?? {};
  if (column !== undefined && value !== undefined) return { kind: 'column', column, value };
  return sql !== undefined && undo !== undefined ? { kind: 'sql', sql, undo } : null;
}

type ConfiguredOwner = NonNullable<Config['tables'][string]['ownedBy']>[number];

const ownerRuleOf = (owner: ConfiguredOwner): string | OwnerRule =>
  typeof owner === 'string'
    ? owner
    : {
        column: owner.column,
        when: owner.when,
        ...(owner.to === undefined ? {} : { to: owner.to }),
      };

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
