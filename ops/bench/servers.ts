import { cpus, totalmem } from 'node:os';
import { Client } from 'pg';
import { connectRedis, type Redis } from '../../src/redis/connect.ts';
import type { PostgresSettings } from '../services/options.ts';
import { resolveServices } from '../services/start.ts';
import { say } from './progress.ts';
import { TemplateDatabase } from './template-database.ts';

/** What the figures depend on; printed with them. */
export interface Settings {
  readonly postgres: string;
  readonly shared_buffers: string;
  readonly max_wal_size: string;
  readonly fsync: string;
  readonly synchronous_commit: string;
  readonly full_page_writes: string;
  readonly autovacuum: string;
  readonly redis: string;
  readonly node: string;
  readonly cores: number;
}

/** The servers that the benchmarks run on. */
export interface Servers {
  readonly settings: Settings;
  readonly redisUrl: string;
  /** A database that is filled once and then copied for every run. Drop it when done. */
  template(fill: (url: string) => Promise<void>): Promise<TemplateDatabase>;
  /** Empties the Redis that was empty when the benchmarks began, and gives a connection to it. */
  withEmptyRedis<Result>(use: (redis: Redis) => Promise<Result>): Promise<Result>;
  stop(): Promise<void>;
}

const DATA_DIR = '.data/bench';
const GIB = 2 ** 30;

/** A big tenant must fit, so that memory and not the disk's cache is measured. */
const OWN_SETTINGS: PostgresSettings = {
  shared_buffers: totalmem() >= 8 * GIB ? '2GB' : '512MB',
  max_wal_size: '8GB',
};

/** Durability that a figure may not be bought with. */
const MUST_BE_ON = ['fsync', 'synchronous_commit', 'full_page_writes'] as const;

/**
 * Servers of our own, gone afterwards, or those of DATABASE_URL and REDIS_URL.
 * @throws Error where durability is off, or where the given Redis is not empty
 */
export async function openServers(): Promise<Servers> {
  const services = await resolveServices({
    dataDir: DATA_DIR,
    fresh: true,
    ephemeral: true,
    postgres: { settings: OWN_SETTINGS },
  });
  try {
    const redis = await readRedis(services.redisUrl);
    const settings = { ...(await readPostgres(services.databaseUrl)), redis, ...MACHINE };
    return {
      settings,
      redisUrl: services.redisUrl,
      template: (fill) => TemplateDatabase.create(services.databaseUrl, fill),
      withEmptyRedis: (use) =>
        withRedis(services.redisUrl, async (connected) => {
          await connected.flushdb();
          return use(connected);
        }),
      stop: async () => {
        // It was empty when we came.
        await withRedis(services.redisUrl, (connected) => connected.flushdb());
        say('stopping the servers');
        await services.stop();
      },
    };
  } catch (error) {
    await services.stop();
    throw error;
  }
}

const MACHINE = { node: process.version, cores: cpus().length };

async function readPostgres(url: string): Promise<Omit<Settings, 'redis' | 'node' | 'cores'>> {
  const client = new Client(url);
  await client.connect();
  try {
    const { rows } = await client.query(
      `select current_setting('server_version') as postgres,
         current_setting('shared_buffers') as shared_buffers,
         current_setting('max_wal_size') as max_wal_size,
         current_setting('fsync') as fsync,
         current_setting('synchronous_commit') as synchronous_commit,
         current_setting('full_page_writes') as full_page_writes,
         current_setting('autovacuum') as autovacuum`,
    );
    const off = MUST_BE_ON.filter((name) => rows[0][name] !== 'on');
    if (off.length === 0) return rows[0];
    throw new Error(
      `The server has ${off.join(', ')} off: what it does then is not a durable delete. Switch it on.`,
    );
  } finally {
    await client.end();
  }
}

async function readRedis(url: string): Promise<string> {
  return withRedis(url, async (redis) => {
    const keys = await redis.dbsize();
    if (keys > 0) {
      throw new Error(
        `The Redis database of REDIS_URL holds ${keys} keys, and the benchmarks empty it. ` +
          'Name an empty database (redis://host:6379/9), or unset REDIS_URL.',
      );
    }
    return (/redis_version:(\S+)/.exec(await redis.info('server')) ?? [])[1] ?? 'unknown';
  });
}

async function withRedis<Result>(
  url: string,
  use: (redis: Redis) => Promise<Result>,
): Promise<Result> {
  const redis = await connectRedis(url, { name: 'tenant-purge-bench' });
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}
