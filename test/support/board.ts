import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { Client } from 'pg';
import { type BoardProcess, runBoardProcess } from '../../ops/board/main.ts';
import type { Config } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { asPurgeId, type PurgeId } from '../../src/domain/ids.ts';
import type { PurgeRecord } from '../../src/domain/records.ts';
import { prepareCampaign } from '../../src/engine/campaign/prepare.ts';
import { jobIdOf } from '../../src/queue/contracts.ts';
import { plantRedisIdentity } from '../../src/redis/identity.ts';
import { type Actor, composeActor } from '../../src/runtime/actor.ts';
import { createDatabase } from './postgres.ts';
import { claimRedisDatabase } from './redis.ts';

/** A board over a small application's own PostgreSQL and Redis databases. */
export interface BoardFixture {
  readonly actor: Actor;
  readonly config: Config;
  readonly board: BoardProcess;
  /** Adds a tenant with 60 agents and enqueues its purge. */
  enqueue(options: { readonly label: string; readonly delayMs?: number }): Promise<EnqueuedPurge>;
  find(purgeId: PurgeId): Promise<PurgeRecord>;
  /** Batches that the ledger holds. */
  countBatches(purgeId: PurgeId): Promise<number>;
  /** True while a stop waits for a batch in flight. */
  waitsForBatches(): Promise<boolean>;
  /** Who did what on the board, oldest first: `mia@board: pause asked`. */
  boardEvents(): Promise<string[]>;
  close(): Promise<void>;
}

export interface EnqueuedPurge {
  readonly id: PurgeId;
  readonly tenantId: string;
  readonly jobId: string;
}

const AGENTS = 60;

export async function startBoardFixture(
  environment:
    | Readonly<Record<string, string>>
    | ((redisUrl: string) => Readonly<Record<string, string>>) = {},
): Promise<BoardFixture> {
  const [database, redis] = await Promise.all([createDatabase(), claimRedisDatabase()]);
  const application = new Client({ connectionString: database.url });
  await application.connect();
  await application.query(`
    create table tenants (id uuid primary key, name text not null);
    create table agents (
      id uuid primary key default gen_random_uuid(),
      tenant_id uuid not null references tenants,
      -- Four rows a block: the purge has many batches, so that there is a middle to look at.
      memory text not null default repeat('x', 1900)
    );
    alter table agents alter column memory set storage plain;
    create index on agents (tenant_id);
  `);
  const config = parseConfig(
    {
      tenant: { table: 'public.tenants' },
      batch: { smallPurgeRows: 0, maxRows: 3, connections: 1 },
      worker: { slots: 1, reconcileMs: 600_000 },
    },
    {
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      ENVIRONMENT: 'test',
      LOG_LEVEL: 'silent',
      BOARD_PORT: '0',
      ...(typeof environment === 'function' ? environment(redis.url) : environment),
    },
    null,
  );
  const actor = await composeActor(config, { role: 'test' });
  const board = await runBoardProcess(config);

  return {
    actor,
    config,
    board,
    async enqueue({ label, delayMs = 0 }) {
      const tenantId = randomUUID();
      await application.query('insert into tenants values ($1, $2)', [tenantId, label]);
      await application.query(
        'insert into agents (tenant_id) select $1 from generate_series(1, $2::int)',
        [tenantId, AGENTS],
      );
      return enqueue(actor, tenantId, delayMs);
    },
    async find(purgeId) {
      const purge = await actor.purges.find(purgeId);
      if (purge === null) throw new Error(`no purge ${purgeId}`);
      return purge;
    },
    async countBatches(purgeId) {
      const { rows } = await actor.database.pool.query(
        'select count(*)::int as batches from tenant_purge.batch where purge_id = $1',
        [purgeId],
      );
      return rows[0].batches;
    },
    async waitsForBatches() {
      const { rows } = await actor.database.pool.query(
        `select from pg_locks
         where locktype = 'advisory' and mode = 'ExclusiveLock' and not granted
           and database = (select oid from pg_database where datname = current_database())`,
      );
      return rows.length > 0;
    },
    async boardEvents() {
      const { rows } = await actor.database.pool.query(
        `select actor || ': ' || kind as event from tenant_purge.event
         where actor like '%@board' order by id`,
      );
      return rows.map(({ event }) => event);
    },
    async close() {
      await board.stop();
      await actor.close();
      await application.end();
      await Promise.all([database.drop(), redis.release()]);
    },
  };
}

async function enqueue(actor: Actor, tenantId: string, delayMs: number): Promise<EnqueuedPurge> {
  const prepared = await prepareCampaign(actor.prepare, { kind: 'tenants', ids: [tenantId] });
  const { purges } = await actor.campaigns.create({
    ...actor.whereabouts,
    operator: 'test',
    redisIdentity: await plantRedisIdentity(actor.redis, randomUUID()),
    plan: prepared.plan,
    allowed: [],
    kept: [],
    archive: false,
    before: prepared.counts,
    delayMs,
    purges: prepared.tenants.map((tenant) => ({
      tenantId: tenant.id,
      tenantLabel: tenant.label,
      rowsExpected: tenant.rows,
    })),
  });
  const purge = await actor.purges.find(asPurgeId(purges[0]?.purgeId ?? ''));
  if (purge === null) throw new Error('nothing was enqueued');
  const { id, tenantLabel, jobNumber } = purge;
  await actor.queue.add([{ id, tenantLabel, jobNumber, delayMs }]);
  return { id, tenantId, jobId: jobIdOf(id, jobNumber) };
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

export interface CallOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent as JSON, or as it is where it is a string: then a form's. */
  readonly body?: unknown;
}

/** Unlike `fetch` it may claim to be another page, or to know the board by another name. */
export function call(base: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const { method = 'GET', headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      new URL(path, base),
      { method, headers: { 'content-type': contentTypeOf(body), ...headers }, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString('utf8'),
          }),
        );
      },
    );
    request.on('error', reject);
    request.end(body === undefined || typeof body === 'string' ? body : JSON.stringify(body));
  });
}

/** Basic authentication of `user:password`. */
export const signIn = (credentials: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
});

const contentTypeOf = (body: unknown): string =>
  typeof body === 'string' ? 'application/x-www-form-urlencoded' : 'application/json';
