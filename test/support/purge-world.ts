import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import type { Config } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/load.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import { asWorkerId, type PurgeId } from '../../src/domain/ids.ts';
import type { Outcome } from '../../src/domain/outcome.ts';
import { isLive } from '../../src/domain/purge.ts';
import type { PurgeRecord } from '../../src/domain/records.ts';
import { prepareCampaign } from '../../src/engine/campaign/prepare.ts';
import { type Failpoint, noFailpoint } from '../../src/engine/failpoints.ts';
import type { EngineParts, RunControl } from '../../src/engine/parts.ts';
import { runPurge } from '../../src/engine/run-purge.ts';
import { type Database, openDatabase } from '../../src/postgres/database.ts';
import { PurgeStore } from '../../src/postgres/ledger/purges.ts';
import { enqueueCampaign } from '../../src/queue/enqueue.ts';
import { plantRedisIdentity } from '../../src/redis/identity.ts';
import { type Actor, composeActor } from '../../src/runtime/actor.ts';
import { engineParts } from '../../src/runtime/engine-parts.ts';
import { type RunningWorker, startWorker } from '../../src/runtime/worker-process.ts';
import { until } from './until.ts';
import { startWorkerProcess, type WorkerProcess } from './worker-process.ts';

export interface WorldOptions {
  readonly config?: Partial<ConfigInput>;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface WorldEnqueueOptions {
  readonly delayMs?: number;
  readonly kept?: readonly string[];
  /** Default: no. Who wants one names `archive.dir` in the world's configuration. */
  readonly archive?: boolean;
}

/** Where a world stands; `drop` removes it. */
export interface WorldPlace {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  drop(): Promise<void>;
}

/** Rows per table that the ledger's batches say were deleted. */
export type LedgerRows = Readonly<Record<string, number>>;

/** Stalled jobs come back, lost jobs are found, within a second or two. */
const FAST_WORKER = { slots: 1, lockMs: 1_000, reconcileMs: 300 };

/** The program over an application's own PostgreSQL database, Redis database and queue. */
export async function openWorld(place: WorldPlace, options: WorldOptions): Promise<PurgeWorld> {
  const input = {
    tenant: { table: 'public.tenants', key: 'id' },
    ...options.config,
    redis: {
      keys: ['tenant:{tenantId}:*', 'ratelimit:{tenantId}'],
      waitMs: 0,
      ...options.config?.redis,
    },
    batch: { smallPurgeRows: 0, maxRows: 10, ...options.config?.batch },
    worker: { ...FAST_WORKER, ...options.config?.worker },
  };
  const environment = {
    DATABASE_URL: place.databaseUrl,
    REDIS_URL: place.redisUrl,
    ENVIRONMENT: 'test',
    LOG_LEVEL: 'silent',
    ...options.environment,
  };
  const config = parseConfig(input, environment, null);
  const actor = await composeActor(config, { role: 'test' });
  const observer = await openDatabase({
    url: place.databaseUrl,
    connectionsMax: 2,
    applicationName: 'test observer',
  });
  return new PurgeWorld({ actor, config, input, environment }, observer, () => place.drop());
}

interface Made {
  readonly actor: Actor;
  readonly config: Config;
  readonly input: object;
  readonly environment: Readonly<Record<string, string>>;
}

export class PurgeWorld {
  readonly actor: Actor;
  readonly config: Config;
  /** The superuser's connections, for what the application or a DBA does. */
  readonly pool: Pool;
  readonly redis: Redis;
  readonly #made: Made;
  /** The ledger as another program sees it: tests end the worker's own connections. */
  readonly #database: Database;
  readonly #purges: PurgeStore;
  readonly #drop: () => Promise<void>;
  readonly #workers = new Set<RunningWorker>();
  readonly #processes = new Set<WorkerProcess>();
  readonly #actors: Actor[] = [];

  constructor(made: Made, database: Database, drop: () => Promise<void>) {
    this.#made = made;
    this.actor = made.actor;
    this.config = made.config;
    this.#database = database;
    this.#purges = new PurgeStore(database);
    this.#drop = drop;
    this.pool = new Pool({ connectionString: made.config.databaseUrl, max: 4 });
    this.pool.on('error', () => undefined);
    this.redis = new Redis(made.config.redisUrl);
  }

  /** Enqueues a campaign of these tenants, as the command line would. */
  async enqueue(
    tenantIds: readonly string[],
    options: WorldEnqueueOptions = {},
  ): Promise<PurgeRecord[]> {
    return this.enqueueTargets({ kind: 'tenants', ids: tenantIds }, options);
  }

  async enqueueTargets(
    request: Parameters<typeof prepareCampaign>[1],
    options: WorldEnqueueOptions = {},
  ): Promise<PurgeRecord[]> {
    const { actor } = this;
    const prepared = await prepareCampaign(actor.prepare, request);
    if (prepared.refused.length > 0) throw new Error(JSON.stringify(prepared.refused));
    const blocked = prepared.hazards.filter(({ severity }) => severity === 'blocks');
    if (blocked.length > 0) throw new Error(JSON.stringify(blocked));
    const campaign = await enqueueCampaign(
      { ...actor, plantRedisIdentity: (id) => plantRedisIdentity(actor.redis, id) },
      prepared,
      {
        operator: 'test',
        allowed: [],
        kept: options.kept ?? [],
        delayMs: options.delayMs ?? 0,
        archive: options.archive ?? false,
      },
    );
    return Promise.all(campaign.purges.map(({ purgeId }) => this.find(purgeId)));
  }

  /** One purge of one tenant. */
  async enqueueOne(tenantId: string, options: WorldEnqueueOptions = {}): Promise<PurgeRecord> {
    const [purge] = await this.enqueue([tenantId], options);
    if (purge === undefined) throw new Error('nothing was enqueued');
    return purge;
  }

  async find(purgeId: PurgeId): Promise<PurgeRecord> {
    const purge = await this.#purges.find(purgeId);
    if (purge === null) throw new Error(`no purge ${purgeId}`);
    return purge;
  }

  /** Workers in this process, which end with the world. */
  startWorker(failpoint: Failpoint = noFailpoint): RunningWorker {
    const worker = startWorker(this.actor, failpoint);
    this.#workers.add(worker);
    return worker;
  }

  /** A worker process as it runs in production. `failpoint`: `name:count`, where it kills itself. */
  async spawnWorker(options: { readonly failpoint?: string } = {}): Promise<WorkerProcess> {
    const worker = await startWorkerProcess(this.#made.input, {
      ...this.#made.environment,
      ...(options.failpoint === undefined ? {} : { TENANT_PURGE_FAILPOINT: options.failpoint }),
    });
    this.#processes.add(worker);
    return worker;
  }

  /** Another program over the same databases, e.g. with another ENVIRONMENT or keep list. */
  async composeOther(changes: {
    readonly config?: object;
    readonly environment?: Readonly<Record<string, string>>;
  }): Promise<Actor> {
    const config = parseConfig(
      { ...this.#made.input, ...changes.config },
      { ...this.#made.environment, ...changes.environment },
      null,
    );
    const actor = await composeActor(config, { role: 'other' });
    this.#actors.push(actor);
    return actor;
  }

  /** What a worker runs purges with, without queue: for tests that drive the engine themselves. */
  engine(failpoint: Failpoint = noFailpoint, actor: Actor = this.actor): EngineParts {
    return engineParts(actor, () => Promise.resolve(), failpoint);
  }

  /** One run of a purge without a queue around it. */
  run(
    purgeId: PurgeId,
    options: { readonly parts?: EngineParts; readonly control?: Partial<RunControl> } = {},
  ): Promise<Outcome> {
    return runPurge(options.parts ?? this.engine(), purgeId, makeControl(options.control));
  }

  /** Variables by which a command reaches this world. */
  get environment(): Readonly<Record<string, string>> {
    return this.#made.environment;
  }

  /** Waits until none of the purges is live. */
  async untilEnded(limitMs = 30_000): Promise<PurgeRecord[]> {
    return until('every purge has ended', limitMs, async () => {
      const purges = await this.#purges.select({ kind: 'all' });
      return purges.some(({ status }) => isLive(status)) ? null : purges;
    });
  }

  /** Waits until the purge has this status. */
  async untilStatus(
    purgeId: PurgeId,
    status: PurgeRecord['status'],
    limitMs = 20_000,
  ): Promise<PurgeRecord> {
    return until(
      `purge is ${status}`,
      limitMs,
      async () => {
        const purge = await this.find(purgeId);
        if (purge.status === status) return purge;
        if (isLive(purge.status)) return null;
        throw new Error(`The purge ended as ${purge.status}: ${JSON.stringify(purge.error)}`);
      },
      async () => {
        const { status: now, stage, error } = await this.find(purgeId);
        return `it is ${now} in ${stage}: ${JSON.stringify(error)}`;
      },
    );
  }

  async ledgerRows(purgeId: PurgeId): Promise<LedgerRows> {
    const { rows } = await this.pool.query(
      `select table_name, sum(rows)::int as rows from tenant_purge.batch
       where purge_id = $1 and kind = 'delete' group by 1 order by 1`,
      [purgeId],
    );
    return Object.fromEntries(rows.map((row) => [row.table_name, row.rows]));
  }

  async batches(purgeId: PurgeId): Promise<number> {
    const { rows } = await this.pool.query(
      'select count(*)::int as n from tenant_purge.batch where purge_id = $1',
      [purgeId],
    );
    return rows[0].n;
  }

  /** One value of one row, for short assertions. */
  async value(sql: string, parameters: readonly unknown[] = []): Promise<unknown> {
    const { rows } = await this.pool.query({
      text: sql,
      values: [...parameters],
      rowMode: 'array',
    });
    return rows[0]?.[0];
  }

  async close(): Promise<void> {
    for (const process of this.#processes) process.kill('SIGKILL');
    await Promise.all([...this.#processes].map((process) => process.exited));
    await Promise.all([...this.#workers].map((worker) => worker.stop()));
    await Promise.all([this.actor, ...this.#actors].map((actor) => actor.close()));
    this.redis.disconnect();
    await Promise.all([this.pool.end(), this.#database.close()]);
    await this.#drop();
  }
}

/** The control of a run that nobody stops, but for what is given. */
export function makeControl(changes: Partial<RunControl> = {}): RunControl {
  return {
    worker: asWorkerId(`test:${randomUUID().slice(0, 8)}`),
    stopReason: () => Promise.resolve(null),
    onProgress: () => undefined,
    onMilestone: () => undefined,
    ...changes,
  };
}

/** A failpoint that runs `act` when the named point is reached for the n-th time. */
export function actAt(
  name: Parameters<Failpoint>[0],
  count: number,
  act: () => Promise<void> | void,
): Failpoint {
  let left = count;
  return async (reached) => {
    if (reached !== name) return;
    left -= 1;
    if (left === 0) await act();
  };
}
