import { PurgeError } from '../domain/errors.ts';
import { type Database, inTransaction, READ_COMMITTED } from './database.ts';
import { sql0001 } from './migrations/0001-ledger.ts';
import { sql0002 } from './migrations/0002-remembered-parents.ts';
import { sql0003 } from './migrations/0003-tenant-tree.ts';
import { sql0004 } from './migrations/0004-durable-commands.ts';
import { sql0005 } from './migrations/0005-throttle.ts';
import { sql0006 } from './migrations/0006-quiesce.ts';
import { sql0007 } from './migrations/0007-archive.ts';
import { privilegeError } from './sqlstate.ts';

/** Numbered, in order, never edited once released. */
export const MIGRATIONS: readonly {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}[] = [
  { version: 1, name: 'ledger', sql: sql0001 },
  { version: 2, name: 'remembered parents', sql: sql0002 },
  { version: 3, name: 'tenant tree', sql: sql0003 },
  { version: 4, name: 'durable commands', sql: sql0004 },
  { version: 5, name: 'throttle', sql: sql0005 },
  { version: 6, name: 'quiesce', sql: sql0006 },
  { version: 7, name: 'archive', sql: sql0007 },
];

/** Version of the ledger this program writes. */
export const LEDGER_VERSION = MIGRATIONS.length;

/** Any number; the same in every process, so that two programs never migrate at once. */
const MIGRATION_LOCK = '1953525092, 0';

/**
 * Brings the ledger to this program's version. Idempotent; one transaction; programs that start
 * together wait for each other.
 * @throws PurgeError LEDGER_NEWER, PRIVILEGE_MISSING
 */
export async function migrateLedger(database: Database): Promise<void> {
  if ((await ledgerVersion(database)) === LEDGER_VERSION) return;
  try {
    await inTransaction(database.pool, READ_COMMITTED, async (client) => {
      await client.query(`SELECT pg_advisory_xact_lock(${MIGRATION_LOCK})`);
      // IF NOT EXISTS would want CREATE on the database even where an administrator made the schema.
      const { rows: schemas } = await client.query(
        "SELECT to_regnamespace('tenant_purge') IS NOT NULL AS present",
      );
      if (schemas[0]?.present !== true) await client.query('CREATE SCHEMA tenant_purge');
      await client.query(
        `CREATE TABLE IF NOT EXISTS tenant_purge.migration (
           version integer PRIMARY KEY, name text NOT NULL,
           applied_at timestamptz NOT NULL DEFAULT now())`,
      );
      const { rows } = await client.query(
        'SELECT max(version) AS version FROM tenant_purge.migration',
      );
      const current = Number(rows[0]?.version ?? 0);
      refuseNewer(current);
      for (const migration of MIGRATIONS.filter(({ version }) => version > current)) {
        await client.query(migration.sql);
        await client.query('INSERT INTO tenant_purge.migration (version, name) VALUES ($1, $2)', [
          migration.version,
          migration.name,
        ]);
      }
    });
  } catch (error) {
    throw privilegeError(error);
  }
}

/**
 * Version of the ledger in the database, null where there is none yet. Only reads.
 * @throws PurgeError LEDGER_NEWER
 */
export async function ledgerVersion(database: Database): Promise<number | null> {
  const { rows } = await database.pool.query(
    "SELECT to_regclass('tenant_purge.migration') IS NOT NULL AS present",
  );
  if (rows[0]?.present !== true) return null;
  try {
    const found = await database.pool.query(
      'SELECT max(version) AS version FROM tenant_purge.migration',
    );
    const version = Number(found.rows[0]?.version ?? 0);
    refuseNewer(version);
    return version;
  } catch (error) {
    throw privilegeError(error);
  }
}

function refuseNewer(version: number): void {
  if (version <= LEDGER_VERSION) return;
  throw new PurgeError(
    'LEDGER_NEWER',
    `The ledger in schema tenant_purge has version ${version}; this program knows ${LEDGER_VERSION}.`,
    { details: { ledgerVersion: version, programVersion: LEDGER_VERSION } },
  );
}
