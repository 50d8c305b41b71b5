import type pg from 'pg';
import { PurgeError } from '../../domain/errors.ts';
import { quoteIdentifier } from '../../domain/identifier.ts';
import { type Database, inTransaction } from '../database.ts';
import { privilegeError } from '../sqlstate.ts';
import { PREVENTION_MIGRATIONS } from './migrations.ts';

/** Version of the log table that this program writes. */
const PREVENTION_VERSION = PREVENTION_MIGRATIONS.length;

/** The ledger's lock is another number of the same key: neither waits for the other. */
const INSTALL_LOCK = '1953525092, 1';

interface Installed {
  readonly table: string;
  readonly version: number;
  /** Migrations that this call applied; none: everything was there. */
  readonly applied: readonly string[];
  readonly grantedTo: string | null;
}

/**
 * Brings the log table to this program's version, apart from the ledger, which it does not need.
 * Idempotent; one transaction; programs that start together wait for each other.
 * @param grantTo role of the host application, which writes rows and reads none; null: nobody new
 * @throws PurgeError LEDGER_NEWER, PRIVILEGE_MISSING, NOT_FOUND (the role)
 */
export async function installPrevention(
  database: Database,
  grantTo: string | null,
): Promise<Installed> {
  try {
    return await inTransaction(database.pool, 'BEGIN', async (client) => {
      await lockInstallation(client);
      const applied = await migrate(client);
      if (grantTo !== null) await grant(client, grantTo);
      return {
        table: 'tenant_purge.test_data_prevention_logs',
        version: PREVENTION_VERSION,
        applied,
        grantedTo: grantTo,
      };
    });
  } catch (error) {
    throw privilegeError(error);
  }
}

/** Two operators at once: the second waits. */
export async function lockInstallation(client: pg.ClientBase): Promise<void> {
  await client.query(`SELECT pg_advisory_xact_lock(${INSTALL_LOCK})`);
}

async function migrate(client: pg.ClientBase): Promise<string[]> {
  const { rows: schemas } = await client.query(
    "SELECT to_regnamespace('tenant_purge') IS NOT NULL AS present",
  );
  if (schemas[0]?.present !== true) await client.query('CREATE SCHEMA tenant_purge');
  await client.query(
    `CREATE TABLE IF NOT EXISTS tenant_purge.prevention_migration (
       version integer PRIMARY KEY, name text NOT NULL,
       applied_at timestamptz NOT NULL DEFAULT now())`,
  );
  const { rows } = await client.query(
    'SELECT max(version) AS version FROM tenant_purge.prevention_migration',
  );
  const current = Number(rows[0]?.version ?? 0);
  if (current > PREVENTION_VERSION) {
    throw new PurgeError(
      'LEDGER_NEWER',
      `The prevention log in schema tenant_purge has version ${current}; this program knows ${PREVENTION_VERSION}.`,
      { details: { current, programVersion: PREVENTION_VERSION } },
    );
  }
  const missing = PREVENTION_MIGRATIONS.filter(({ version }) => version > current);
  for (const { version, name, sql } of missing) {
    await client.query(sql);
    await client.query(
      'INSERT INTO tenant_purge.prevention_migration (version, name) VALUES ($1, $2)',
      [version, name],
    );
  }
  return missing.map(({ name }) => name);
}

async function grant(client: pg.ClientBase, role: string): Promise<void> {
  const { rows } = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
  if (rows.length === 0) {
    throw new PurgeError('NOT_FOUND', `There is no role "${role}" to grant to.`, {
      details: { role },
      remedy: 'Name the role that the host application connects as.',
    });
  }
  const to = quoteIdentifier(role);
  await client.query(`GRANT USAGE ON SCHEMA tenant_purge TO ${to}`);
  await client.query(`GRANT INSERT ON tenant_purge.test_data_prevention_logs TO ${to}`);
}
