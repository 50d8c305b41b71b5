import type { Config } from '../config/config.ts';
import { PurgeError } from '../domain/errors.ts';
import type { RestoreReport } from '../domain/restore.ts';
import type { Failpoint } from '../engine/failpoints.ts';
import { openRestoreArchive } from '../engine/restore/chunk-source.ts';
import type { RestoreKeyspace } from '../engine/restore/keys-phase.ts';
import type { RestoreRequest } from '../engine/restore/restore-request.ts';
import { runRestore } from '../engine/restore/run-restore.ts';
import { type Database, openDatabase } from '../postgres/database.ts';
import { readDatabaseIdentity } from '../postgres/database-identity.ts';
import { migrateLedger } from '../postgres/migrate.ts';
import { connectRedis, type Redis } from '../redis/connect.ts';
import { lookAtKeys, putKeysBack } from '../redis/restore-keys.ts';
import { archiveParts } from './archive-parts.ts';

export interface RestoreCommand
  extends Pick<
    RestoreRequest,
    'purge' | 'rules' | 'operator' | 'dryRun' | 'confirm' | 'signal' | 'onState'
  > {
  /** URL of the database to restore into; null: the purge's own. */
  readonly into: string | null;
  readonly holder: string;
  readonly failpoint: Failpoint;
  readonly onWarning: (warning: string) => void;
}

/** Heartbeats, the ledger, a look; besides those of the batches. */
const CONNECTIONS_BESIDES = 2;

/**
 * Restores a purge with this configuration's archive, database and Redis.
 * @param database the purge's own, with its ledger
 * @throws PurgeError as `runRestore` and `openRestoreArchive`; DATABASE_UNREACHABLE (of `into`), REDIS_UNREACHABLE
 */
export async function restorePurge(
  config: Config,
  database: Database,
  command: RestoreCommand,
): Promise<RestoreReport> {
  const archive = await openRestoreArchive(archiveParts(config, database), command.purge);
  const { into } = command;
  const target = into === null ? null : await openTarget(into, config, command);
  let redis: Redis | null = null;
  try {
    // Another role's way into the purge's own database is no other database.
    const elsewhere =
      target !== null &&
      (await readDatabaseIdentity(target.pool)) !== (await readDatabaseIdentity(database.pool));
    const omitted = keysOmitted(archive.keyChunks.length, elsewhere);
    if (omitted === null)
      redis = await connectRedis(config.redisUrl, { name: 'tenant-purge-restore' });
    return await runRestore(
      {
        database: target ?? database,
        archive,
        keyspace: redis === null ? null : keyspaceOf(redis),
        keysOmitted: omitted,
        limits: config.batch,
        failpoint: command.failpoint,
      },
      { ...command, movesPurge: !elsewhere },
    );
  } finally {
    redis?.disconnect();
    await target?.close();
  }
}

/** Keys go back to where they came from only: another database has another application before it. */
function keysOmitted(keyChunks: number, elsewhere: boolean): string | null {
  if (keyChunks === 0) return 'no Redis key was archived';
  return elsewhere ? 'with --into the Redis keys stay in the archive' : null;
}

const keyspaceOf = (redis: Redis): RestoreKeyspace => ({
  look: (keys) => lookAtKeys(redis, keys),
  putBack: (keys, onTaken) => putKeysBack(redis, keys, onTaken),
});

async function openTarget(
  url: string,
  config: Config,
  { onWarning }: RestoreCommand,
): Promise<Database> {
  if (!URL.canParse(url) || !/^postgres(ql)?:$/.test(new URL(url).protocol)) {
    throw new PurgeError('USAGE', '--into takes the URL of a PostgreSQL database.');
  }
  const database = await openDatabase({
    url,
    connectionsMax: config.batch.connections + CONNECTIONS_BESIDES,
    applicationName: 'tenant-purge restore',
    onWarning,
  });
  try {
    await migrateLedger(database);
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}
