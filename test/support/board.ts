import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { type BoardProcess, runBoardProcess } from '../../ops/board/main.ts';
import type { Config } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/load.ts';
import { asPurgeId, type PurgeId } from '../../src/domain/ids.ts';
import type { PurgeRecord } from '../../src/domain/records.ts';
import { prepareCampaign } from '../../src/engine/campaign/prepare.ts';
import { jobIdOf } from '../../src/queue/contracts.ts';
import { plantRedisIdentity } from '../../src/redis/identity.ts';
import { type Actor, composeActor } from '../../src/runtime/compose.ts';
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
  close(): Promise<void>;
}

export interface EnqueuedPurge {
  readonly id: PurgeId;
  readonly tenantId: string;
  readonly jobId: string;
}

const AGENTS = 60;

export async function startBoardFixture(
  environment: Readonly<Record<string, string>> = {},
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
      ...environment,
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
