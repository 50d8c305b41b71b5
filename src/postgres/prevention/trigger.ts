import type pg from 'pg';
import { PurgeError } from '../../domain/errors.ts';
import { quoteIdentifier } from '../../domain/identifier.ts';
import {
  type EmailDomainLists,
  RESERVED_DOMAINS,
  RESERVED_TLDS,
} from '../../domain/test-data/email-domains.ts';
import { wordKey } from '../../domain/test-data/suspicious-words.ts';
import { type Database, inTransaction } from '../database.ts';
import { lockInstallation } from './install.ts';
import { triggerFunctions } from './trigger-function.ts';

/** Triggers of one table fire by name; a row that others refuse needs no judgement. */
const TRIGGER = 'zz_tenant_purge_prevention';

/** An application that writes tenants all the time must not wait behind us for long. */
const LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'";

interface TriggerSettings {
  /** `schema.table` as the configuration has it. */
  readonly table: string;
  /** Null: there is no such column. */
  readonly columns: {
    readonly name: string;
    readonly subdomain: string | null;
    readonly email: string | null;
  };
  readonly words: readonly string[];
  readonly domains: EmailDomainLists;
}

/**
 * Sets the trigger on the tenant table, or brings its lists and columns up to date; applications may
 * write meanwhile, for at most 5 s they wait. Idempotent; one transaction.
 * @throws PurgeError TABLE_MISSING, COLUMN_MISSING, PRIVILEGE_MISSING
 */
export async function installTrigger(database: Database, settings: TriggerSettings): Promise<void> {
  await inOneTransaction(database, async (client) => {
    const table = await findTable(client, settings);
    await client.query(triggerFunctions(await findCollation(client)));
    await fillLists(client, settings);
    const { name, subdomain, email } = settings.columns;
    const columns = [name, subdomain ?? '', email ?? ''].map(literal).join(', ');
    await client.query(`DROP TRIGGER IF EXISTS ${TRIGGER} ON ${table}`);
    await client.query(
      // AFTER: rows as they are kept, with generated columns and what other triggers have made of them,
      // and no row of an upsert that only updates a tenant who is there.
      `CREATE TRIGGER ${TRIGGER} AFTER INSERT ON ${table}
         FOR EACH ROW EXECUTE FUNCTION tenant_purge.refuse_test_tenant(${columns})`,
    );
  });
}

/** Takes trigger, functions and lists away; the log stays. Idempotent. @returns whether there was one */
export async function uninstallTrigger(database: Database): Promise<boolean> {
  return inOneTransaction(database, async (client) => {
    const { rows } = await client.query(
      `SELECT format('%I.%I', n.nspname, c.relname) AS "table"
       FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE t.tgname = $1 AND t.tgparentid = 0
         AND t.tgfoid = to_regproc('tenant_purge.refuse_test_tenant')`,
      [TRIGGER],
    );
    for (const { table } of rows) await client.query(`DROP TRIGGER ${TRIGGER} ON ${table}`);
    await client.query(`
      DROP FUNCTION IF EXISTS tenant_purge.refuse_test_tenant();
      DROP FUNCTION IF EXISTS tenant_purge.prevention_word(text);
      DROP FUNCTION IF EXISTS tenant_purge.prevention_domain(text);
      DROP TABLE IF EXISTS tenant_purge.prevention_list`);
    return rows.length > 0;
  });
}

async function inOneTransaction<Result>(
  database: Database,
  work: (client: pg.ClientBase) => Promise<Result>,
): Promise<Result> {
  try {
    return await inTransaction(database.pool, 'BEGIN', async (client) => {
      await client.query(LOCK_TIMEOUT);
      await lockInstallation(client);
      return work(client);
    });
  } catch (error) {
    throw readable(error);
  }
}

const LOCK_NOT_AVAILABLE = '55P03';
const INSUFFICIENT_PRIVILEGE = '42501';

/** What an operator can mend, in words. */
function readable(error: unknown): unknown {
  const code = (error as { code?: unknown } | null)?.code;
  const message = error instanceof Error ? error.message : String(error);
  switch (code) {
    case LOCK_NOT_AVAILABLE:
      return new PurgeError('TIMED_OUT', `The tenant table stayed locked: ${message}.`, {
        cause: error,
        remedy: 'Nothing was changed. Run it again when no long transaction holds the table.',
      });
    case INSUFFICIENT_PRIVILEGE:
      return new PurgeError('PRIVILEGE_MISSING', `The trigger needs more: ${message}.`, {
        cause: error,
        remedy: 'Run it with a DATABASE_URL of the role that owns the tenant table.',
      });
    default:
      return error;
  }
}

/** The table's name as SQL takes it. */
async function findTable(
  client: pg.ClientBase,
  { table, columns }: TriggerSettings,
): Promise<string> {
  const [schema = '', relation = ''] = table.split('.');
  const { rows } = await client.query(
    `SELECT array_agg(a.attname::text) AS columns FROM pg_class c
     JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') GROUP BY c.oid`,
    [schema, relation],
  );
  const present: unknown = rows[0]?.columns;
  if (!Array.isArray(present)) {
    throw new PurgeError('TABLE_MISSING', `There is no table ${table} to put the trigger on.`, {
      details: { table },
    });
  }
  const missing = Object.entries(columns).filter(
    ([, column]) => column !== null && !present.includes(column),
  );
  if (missing.length > 0) {
    const problems = missing.map(([what, column]) => `prevention.columns.${what}: "${column}"`);
    throw new PurgeError(
      'COLUMN_MISSING',
      `${table} has no such columns: ${problems.join(', ')}.`,
      { details: { table, problems, present } },
    );
  }
  return `${quoteIdentifier(schema)}.${quoteIdentifier(relation)}`;
}

/** The built-in one of PostgreSQL 17 on, or ICU's; without either, the database's own. */
async function findCollation(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query(
    `SELECT format('pg_catalog.%I', collname) AS name FROM pg_collation
     WHERE collname IN ('pg_c_utf8', 'und-x-icu') AND collnamespace = 'pg_catalog'::regnamespace
       AND collencoding IN (-1, pg_char_to_encoding(getdatabaseencoding()))
     ORDER BY collname LIMIT 1`,
  );
  return String(rows[0]?.name ?? 'pg_catalog."default"');
}

async function fillLists(
  client: pg.ClientBase,
  { words, domains }: TriggerSettings,
): Promise<void> {
  const listed = [...RESERVED_TLDS, ...RESERVED_DOMAINS, ...domains.listed, ...domains.disposable];
  await client.query('DELETE FROM tenant_purge.prevention_list');
  for (const [kind, values] of [
    // As the guard compares them, without accents: texts are compared so.
    ['word', words.map(wordKey)],
    ['email-domain', listed],
    ['allowed-email-domain', [...domains.allowed]],
  ] as const) {
    await client.query(
      `INSERT INTO tenant_purge.prevention_list (kind, value)
       SELECT DISTINCT $1, value FROM unnest($2::text[]) AS value`,
      [kind, values],
    );
  }
}

/** A trigger's arguments are literals: CREATE TRIGGER takes no parameters. */
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
