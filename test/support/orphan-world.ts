import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { loadConfig } from '../../src/config/load.ts';
import type { Failpoint } from '../../src/engine/failpoints.ts';
import { IDENTITY_KEY } from '../../src/redis/identity.ts';
import { composeObserver } from '../../src/runtime/observer.ts';
import { lookForOrphans } from '../../src/runtime/orphans.ts';
import { type CliResult, runForJson, runInProcess } from './cli.ts';
import { createDatabase } from './postgres.ts';
import { claimRedisDatabase } from './redis.ts';

/** A tenant table, a Redis and a folder with a configuration, for `redis orphans`. */
export interface OrphanWorld {
  readonly pool: Pool;
  readonly redis: Redis;
  readonly folder: string;
  readonly redisUrl: string;
  run(...argv: string[]): Promise<CliResult>;
  json(...argv: string[]): ReturnType<typeof runForJson>;
  /** `redis orphans --delete` with the phrase that its dry run gives. */
  deleteAll(...argv: string[]): ReturnType<typeof runForJson>;
  /** Deletes in this process, with a failpoint. */
  deleteWith(
    failpoint: Failpoint,
    signal?: AbortSignal,
  ): ReturnType<Awaited<ReturnType<typeof lookForOrphans>>['delete']>;
  write(keys: readonly string[], value?: string): Promise<void>;
  /** All keys but the identity marker, sorted. */
  keys(): Promise<string[]>;
  addTenant(id: string): Promise<void>;
  close(): Promise<void>;
}

export const keysOf = (id: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `tenant:${id}:cache:${index}`).sort();

/** Acts at the first pass of the point. */
export const at = (name: Parameters<Failpoint>[0], act: () => Promise<unknown>): Failpoint => {
  let isDone = false;
  return async (reached) => {
    if (reached !== name || isDone) return;
    isDone = true;
    await act();
  };
};

export async function openOrphanWorld(tenants: readonly string[]): Promise<OrphanWorld> {
  const [database, redisDatabase] = await Promise.all([
    createDatabase({ name: 'orphans' }),
    claimRedisDatabase(),
  ]);
  const redis = new Redis(redisDatabase.url);
  const pool = new Pool({ connectionString: database.url, max: 4 });
  // Dropping the database ends connections that are on their way out.
  pool.on('error', () => undefined);
  const folder = mkdtempSync(join(tmpdir(), 'orphan-world-'));
  const file = join(folder, 'purge.config.json');
  writeFileSync(
    file,
    JSON.stringify({
      tenant: { table: 'public.tenants' },
      redis: { keys: ['tenant:{tenantId}:*', 'rate:{tenantId}'] },
      archive: { dir: 'archive' },
    }),
  );
  const env = {
    DATABASE_URL: database.url,
    REDIS_URL: redisDatabase.url,
    ENVIRONMENT: 'test',
    LOG_LEVEL: 'silent',
  };
  await pool.query('create table public.tenants (id uuid primary key)');
  const addTenant = async (id: string): Promise<void> => {
    await pool.query('insert into public.tenants (id) values ($1)', [id]);
  };
  for (const id of tenants) await addTenant(id);

  const json: OrphanWorld['json'] = (...argv) => runForJson([...argv, '--config', file], { env });
  return {
    pool,
    redis,
    folder,
    redisUrl: redisDatabase.url,
    addTenant,
    json,
    run: (...argv) => runInProcess([...argv, '--config', file], { env }),
    async deleteAll(...argv) {
      const { document } = await json('redis', 'orphans');
      const phrase = String(document['phrase']);
      return json('redis', 'orphans', '--delete', '--confirm', phrase, ...argv);
    },
    async deleteWith(failpoint, signal) {
      const config = await loadConfig({ cwd: folder, env, file });
      const observer = await composeObserver(config, { role: 'test' });
      try {
        const look = await lookForOrphans(observer);
        return await look.delete({ operator: 'test', failpoint, signal, note: () => undefined });
      } finally {
        await observer.close();
      }
    },
    async write(keys, value = 'x') {
      const pipeline = redis.pipeline();
      for (const key of keys) pipeline.set(key, value);
      await pipeline.exec();
    },
    keys: async () => (await redis.keys('*')).filter((key) => key !== IDENTITY_KEY).sort(),
    async close() {
      redis.disconnect();
      await pool.end();
      await Promise.all([database.drop(), redisDatabase.release()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
