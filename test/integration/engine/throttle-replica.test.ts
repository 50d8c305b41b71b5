import { cpSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type DataFolder,
  findServerUser,
  giveTo,
  openDataFolder,
  removeDataFolder,
  type ServerUser,
} from '../../../ops/services/data-folder.ts';
import { postgresPassword, postgresUser } from '../../../ops/services/options.ts';
import { findPostgresBinaries } from '../../../ops/services/postgres-binaries.ts';
import { startPostgres, stopPostgres } from '../../../ops/services/postgres-server.ts';
import type { Progress } from '../../../src/engine/parts.ts';
import { openWorld, type PurgeWorld } from '../../support/purge-world.ts';
import { claimRedisDatabase } from '../../support/redis.ts';
import { addTenant, createSmallApplication } from '../../support/small-application.ts';
import { until } from '../../support/until.ts';

const SETTINGS = { fsync: 'off', shared_buffers: '64MB', max_connections: 50 };

type Running = Awaited<ReturnType<typeof startPostgres>>;

let primary: Running | null = null;
let standby: Running | null = null;
let folders: DataFolder[] = [];
let world: PurgeWorld;

const request = (folder: DataFolder, user: ServerUser, settings: object = {}) => ({
  binaries: findPostgresBinaries(undefined, user),
  folder,
  user,
  settings: { ...SETTINGS, ...settings },
  fresh: false,
  port: undefined,
});

/** A primary with a streaming replica `app-2`: its data folder is a copy, made while it was stopped. */
beforeEach(async () => {
  const user = findServerUser();
  folders = ['primary', 'standby'].map((name) =>
    openDataFolder(mkdtempSync(join(tmpdir(), `${name}-`)), user),
  );
  const [home, copy] = folders;
  if (home === undefined || copy === undefined) throw new Error('no folders');
  const first = await startPostgres(request(home, user));
  await stopPostgres(first.server);
  for (const name of readdirSync(home.room)) {
    if (!name.startsWith('pgdata-')) continue;
    cpSync(join(home.room, name), join(copy.room, name), { recursive: true });
    for (const entry of ['', ...readdirSync(join(copy.room, name), { recursive: true })]) {
      giveTo(join(copy.room, name, String(entry)), user);
    }
    writeFileSync(join(copy.room, name, 'standby.signal'), '');
  }
  primary = await startPostgres(request(home, user));
  standby = await startPostgres(
    request(copy, user, {
      primary_conninfo: `host=127.0.0.1 port=${new URL(primary.url).port} user=${postgresUser} password=${postgresPassword} application_name=app-2`,
      wal_receiver_status_interval: '1s',
    }),
  );
  await createSmallApplication(primary.url);
  await addTenant(primary.url, 'a', 10);
  const redis = await claimRedisDatabase();
  world = await openWorld(
    { databaseUrl: primary.url, redisUrl: redis.url, drop: () => redis.release() },
    { config: { throttle: { replicaLagMsMax: 500 }, batch: { maxRows: 8 } } },
  );
}, 60_000);

afterEach(async () => {
  await world?.close();
  for (const running of [standby, primary])
    if (running !== null) await stopPostgres(running.server);
  for (const { dataDir } of folders) removeDataFolder(dataDir);
}, 60_000);

test('30. holds while a streaming replica lags, and goes on when it has caught up', async () => {
  const replica = new Client({ connectionString: standby?.url });
  await replica.connect();
  try {
    const purge = await world.enqueueOne('a');
    await replica.query('select pg_wal_replay_pause()');
    await until('the replica lags', 20_000, async () => {
      await world.pool.query("update public.countries set code = code where code = 'DE'");
      const lags = await world.value(
        `select replay_lag > interval '600 ms' and replay_lsn < pg_current_wal_lsn()
         from pg_stat_replication where application_name = 'app-2'`,
      );
      return lags === true ? true : null;
    });
    const seen: Progress[] = [];
    const outcome = world.run(purge.id, {
      control: { onProgress: (progress) => seen.push(progress) },
    });
    const reason = await until('the purge holds', 10_000, () => seen.at(-1)?.holding ?? null);
    expect(reason).toMatch(/^replica app-2 lags [\d.,]+ s \(limit 0\.5 s\)$/);
    expect(await world.batches(purge.id)).toBe(0);
    await replica.query('select pg_wal_replay_resume()');
    expect(await outcome).toMatchObject({ kind: 'awaiting-sweep' });
  } finally {
    await replica.end();
  }
}, 60_000);
