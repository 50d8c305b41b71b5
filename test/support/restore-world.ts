import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, escapeIdentifier, type Pool } from 'pg';
import { expect } from 'vitest';
import { PurgeError } from '../../src/domain/errors.ts';
import type { PurgeRecord } from '../../src/domain/records.ts';
import {
  type Conflict,
  NO_RULES,
  type RestoreReport,
  type RestoreRules,
} from '../../src/domain/restore.ts';
import { noFailpoint } from '../../src/engine/failpoints.ts';
import { type RestoreCommand, restorePurge } from '../../src/runtime/restore.ts';
import { catalogueChecksum } from './catalogue-checksum.ts';
import { createDatabase } from './postgres.ts';
import { openWorld, type PurgeWorld, type WorldOptions } from './purge-world.ts';
import { claimRedisDatabase } from './redis.ts';

/** A world with an archive of its own. */
export interface RestoreWorld extends AsyncDisposable {
  readonly world: PurgeWorld;
  readonly archiveDir: string;
  /** The world's configuration as a file, for commands. */
  configFile(): Promise<string>;
  /** Purges a tenant with an archive, to the end. */
  purge(tenantId: string): Promise<PurgeRecord>;
  /** Restores as the command does. */
  restore(purge: PurgeRecord, options?: Partial<RestoreCommand>): Promise<RestoreReport>;
}

/** Restores in a world as the command does, into the same database and with no rules but `changes`. */
export const restoreIn = (
  world: PurgeWorld,
  purge: PurgeRecord,
  changes: Partial<RestoreCommand> = {},
): Promise<RestoreReport> =>
  restorePurge(world.config, world.actor.database, {
    purge,
    rules: null,
    operator: 'test',
    holder: 'test:1',
    dryRun: false,
    confirm: () => Promise.resolve(),
    signal: new AbortController().signal,
    onState: () => undefined,
    into: null,
    failpoint: noFailpoint,
    onWarning: () => undefined,
    ...changes,
  });

export async function createRestoreWorld(
  options: WorldOptions & {
    readonly template: string;
    /** What every role that connects has set, as by ALTER ROLE … SET. */
    readonly settings?: Readonly<Record<string, string>>;
  },
): Promise<RestoreWorld> {
  const [archiveDir, database, redis] = await Promise.all([
    mkdtemp(join(tmpdir(), 'restore-')),
    createDatabase({ name: 'world', template: options.template }),
    claimRedisDatabase(),
  ]);
  const drop = async (): Promise<void> => {
    await Promise.all([
      database.drop(),
      redis.release(),
      rm(archiveDir, { recursive: true, force: true }),
    ]);
  };
  await setForAll(database, options.settings ?? {});
  const place = { databaseUrl: database.url, redisUrl: redis.url, drop };
  const world = await openWorld(place, {
    ...options,
    config: { ...options.config, archive: { dir: archiveDir } },
  }).catch(async (error: unknown) => {
    await drop();
    throw error;
  });
  const restore: RestoreWorld['restore'] = (purge, changes) => restoreIn(world, purge, changes);
  return {
    world,
    archiveDir,
    restore,
    async configFile() {
      const file = join(archiveDir, 'purge.config.json');
      await writeFile(
        file,
        JSON.stringify({
          tenant: { table: 'public.tenants', key: 'id' },
          ...options.config,
          archive: { dir: archiveDir },
        }),
      );
      return file;
    },
    async purge(tenantId) {
      const purge = await world.enqueueOne(tenantId, { archive: true });
      const worker = world.startWorker();
      const ended = await world.untilStatus(purge.id, 'completed');
      await worker.stop();
      return ended;
    },
    async [Symbol.asyncDispose]() {
      await world.close();
    },
  };
}

/**
 * What a restore by these rules finds in the way; it must have changed nothing.
 * @throws Error where it ends otherwise than by RESTORE_CONFLICTS
 */
export async function conflictsOf(
  restoring: RestoreWorld,
  purge: PurgeRecord,
  rules: Partial<RestoreRules> = {},
): Promise<readonly Conflict[]> {
  const { world } = restoring;
  const rows = await catalogueChecksum(world.pool, { except: [] });
  const error = await restoring.restore(purge, { rules: rulesOf(rules) }).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PurgeError) || error.code !== 'RESTORE_CONFLICTS') {
    throw new Error(`no conflict: ${String(error)}`, { cause: error });
  }
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(rows);
  expect(await world.find(purge.id)).toMatchObject({ status: purge.status });
  return error.details['conflicts'] as readonly Conflict[];
}

/** Rules as `--settle` and `--trigger` give them. */
export const rulesOf = (rules: Partial<RestoreRules>): RestoreRules => ({ ...NO_RULES, ...rules });

async function setForAll(
  { name, url }: { readonly name: string; readonly url: string },
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    for (const [setting, value] of Object.entries(settings)) {
      await client.query(
        `alter role all in database ${escapeIdentifier(name)} set ${setting} = ${value}`,
      );
    }
  } finally {
    await client.end();
  }
}

/** Where the application's sequences stand. */
export async function readSequences(pool: Pool): Promise<unknown[]> {
  const { rows } = await pool.query(
    `select schemaname, sequencename, last_value from pg_sequences
     where schemaname <> 'tenant_purge' order by 1, 2`,
  );
  return rows;
}
