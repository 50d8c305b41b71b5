import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Client, Pool } from 'pg';
import { buildApplication, writeKeys } from './application.ts';
import { Fleet } from './fleet.ts';
import type { Programs } from './programs.ts';
import type { RoundPlan } from './round-plan.ts';
import type { ChaosServers } from './servers.ts';
import type { Stage } from './stage.ts';
import { TcpProxy } from './tcp-proxy.ts';

const LOCK_MS = 1_000;
const RECONCILE_MS = 300;
const FLEET_CLOSE_MAX_MS = 20_000;

/** A stage before anything is enqueued, with what only its builder needs. */
export type Scene = Omit<Stage, 'campaignId'> & {
  readonly database: string;
  /** Of this round alone; it goes with the round. */
  readonly folder: string;
  readonly mark: string;
  readonly notes: readonly string[];
};

/** A database, keys, proxies and an empty fleet of the round's own. End it with `tearDown`. */
export async function setUp(
  plan: RoundPlan,
  parts: {
    readonly servers: ChaosServers;
    readonly programs: Programs;
    readonly onNote: (text: string) => void;
  },
): Promise<Scene> {
  const { servers, programs, onNote } = parts;
  const mark = randomUUID();
  const database = `chaos_${mark.slice(0, 8)}`;
  await asAdmin(servers, `create database ${database} template template0`);
  const databaseUrl = servers.postgresUrl(database);
  const redis = new Redis(servers.redisUrl(), { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  await redis.flushall();
  await buildApplication(databaseUrl, plan.tenants);
  await writeKeys(redis, plan.tenants);
  const pool = new Pool({ connectionString: databaseUrl, max: 2, application_name: 'chaos' });
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  const redisProxy = await TcpProxy.open(servers.redisPort);
  const postgresProxies = await Promise.all(
    Array.from({ length: plan.workers }, () => TcpProxy.open(servers.postgresPort)),
  );
  const folder = join(servers.folder, mark);
  const archiveDir = join(folder, 'archive');
  const fleet = new Fleet({
    programs,
    folder,
    configuration: { ...configurationOf(plan), archive: { dir: archiveDir } },
    environment: {
      DATABASE_URL: databaseUrl,
      REDIS_URL: servers.redisUrl(redisProxy.port),
      ENVIRONMENT: 'test',
    },
    mark,
  });
  const notes: string[] = [];
  const begin = performance.now();
  const note = (text: string): void => {
    const line = `${((performance.now() - begin) / 1_000).toFixed(2).padStart(6)} s  ${text}`;
    notes.push(line);
    onNote(line);
  };
  return {
    plan,
    servers,
    fleet,
    databaseUrl,
    archiveDir,
    postgresProxies,
    redisProxy,
    pool,
    redis,
    note,
    notes,
    database,
    folder,
    mark,
  };
}

const configurationOf = (plan: RoundPlan): object => ({
  tenant: { table: 'public.tenants', key: 'id' },
  redis: { keys: ['tenant:{tenantId}:*', 'ratelimit:{tenantId}'], waitMs: plan.redisWaitMs },
  batch: {
    smallPurgeRows: plan.smallPurgeRows,
    // A connection without an answer is given up soon after.
    statementTimeoutMs: 5_000,
    maxRows: plan.maxRows,
    connections: plan.connections,
  },
  worker: { slots: plan.slots, lockMs: LOCK_MS, reconcileMs: RECONCILE_MS },
});

/** Ends the processes in order, then the ways to the servers. Idempotent. */
export async function endFleet({ fleet, postgresProxies, redisProxy }: Scene): Promise<void> {
  await fleet.close(FLEET_CLOSE_MAX_MS);
  await Promise.all([...postgresProxies, redisProxy].map((proxy) => proxy.close()));
}

/** Leaves nothing of the round behind. */
export async function tearDown(scene: Scene): Promise<void> {
  await endFleet(scene);
  scene.redis.disconnect();
  await scene.pool.end();
  rmSync(scene.folder, { recursive: true, force: true });
  await asAdmin(scene.servers, `drop database if exists ${scene.database} with (force)`);
}

async function asAdmin(servers: ChaosServers, sql: string): Promise<void> {
  const client = new Client({ connectionString: servers.postgresUrl('postgres') });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
