import type pg from 'pg';

interface DatabaseFitness {
  /** Privileges the role lacks for creating or using the ledger, in words. */
  readonly missing: readonly string[];
  /** How far the server's clock is ahead of this host's. */
  readonly clockAheadMs: number;
}

/** The ledger's tables and what is done in each. */
const LEDGER_TABLES: readonly (readonly [table: string, privileges: string])[] = [
  ['migration', 'SELECT'],
  ['identity', 'SELECT'],
  ['control', 'SELECT, UPDATE'],
  ['transition', 'SELECT'],
  ['plan', 'SELECT, INSERT'],
  ['campaign', 'SELECT, INSERT'],
  ['purge', 'SELECT, INSERT, UPDATE'],
  ['checkpoint', 'SELECT, INSERT, UPDATE'],
  ['batch', 'SELECT, INSERT'],
  ['event', 'SELECT, INSERT'],
  ['sweep', 'SELECT, INSERT, UPDATE'],
  ['remembered', 'SELECT, INSERT, UPDATE, DELETE'],
  ['tuning', 'SELECT, INSERT, UPDATE, DELETE'],
  ['throttled', 'SELECT, INSERT, UPDATE, DELETE'],
];

/** May this role keep a ledger here, and do the clocks agree? Reads only. */
export async function readDatabaseFitness(pool: pg.Pool): Promise<DatabaseFitness> {
  const askedAt = Date.now();
  const { rows } = await pool.query<{
    now: number;
    may_create: boolean;
    schema_exists: boolean;
    schema_create: boolean;
    schema_usage: boolean;
    identity: boolean;
  }>(
    `select extract(epoch from clock_timestamp())::float8 * 1000 as now,
            has_database_privilege(current_database(), 'CREATE') as may_create,
            to_regnamespace('tenant_purge') is not null as schema_exists,
            coalesce(has_schema_privilege(to_regnamespace('tenant_purge')::oid, 'CREATE'), false) as schema_create,
            coalesce(has_schema_privilege(to_regnamespace('tenant_purge')::oid, 'USAGE'), false) as schema_usage,
            has_function_privilege('pg_control_system()', 'EXECUTE') as identity`,
  );
  const answeredAt = Date.now();
  const found = rows[0];
  if (found === undefined) return { missing: [], clockAheadMs: 0 };
  const missing: string[] = [];
  if (!found.identity) missing.push('EXECUTE on function pg_control_system()');
  if (!found.schema_exists && !found.may_create) missing.push('CREATE on the database');
  if (found.schema_exists && !found.schema_usage) missing.push('USAGE on schema tenant_purge');
  if (found.schema_exists && found.schema_usage) {
    missing.push(...(await missingInLedger(pool, found.schema_create)));
  }
  return { missing, clockAheadMs: found.now - (askedAt + answeredAt) / 2 };
}

async function missingInLedger(pool: pg.Pool, mayCreate: boolean): Promise<string[]> {
  const { rows } = await pool.query<{ table: string; exists: boolean; missing: string[] }>(
    `select t.name as table, c.oid is not null as exists,
            coalesce((select array_agg(p) from unnest(string_to_array(t.privileges, ', ')) as p
                      where c.oid is not null and not has_table_privilege(c.oid, p)), '{}') as missing
     from unnest($1::text[], $2::text[]) as t (name, privileges)
     left join pg_class c on c.relname = t.name and c.relnamespace = to_regnamespace('tenant_purge')`,
    [LEDGER_TABLES.map(([table]) => table), LEDGER_TABLES.map(([, privileges]) => privileges)],
  );
  const lacking = rows
    .filter(({ missing }) => missing.length > 0)
    .map(({ table, missing }) => `${missing.join(', ')} on tenant_purge.${table}`);
  // Tables that are not there yet have to be created.
  const incomplete = rows.some(({ exists }) => !exists);
  return incomplete && !mayCreate ? [...lacking, 'CREATE on schema tenant_purge'] : lacking;
}
