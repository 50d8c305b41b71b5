import { escapeIdentifier, type Pool, type PoolClient } from 'pg';
import { MIGRATIONS } from '../../src/postgres/migrate.ts';

/** Tables whose rows the migrations themselves write. */
const OF_MIGRATIONS = ['migration', 'transition'];

/**
 * Takes the ledger back to an older version: its tables as the migrations up to `version` made them,
 * its rows as far as those tables have columns for them. Programs of that version wrote no archive.
 * @param edit what is changed before, e.g. statuses in which a program of that version was killed; the
 *   rows stand in the schema `later`
 */
export async function takeLedgerBack(pool: Pool, version: number, edit: string): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('create schema later');
    // In the order of their making: a table that is referred to comes first.
    const { rows: tables } = await client.query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'tenant_purge'::regnamespace
         and relkind = 'r' and relname <> all($1) order by oid`,
      [OF_MIGRATIONS],
    );
    for (const { name } of tables) {
      const table = escapeIdentifier(name);
      await client.query(`create table later.${table} as table tenant_purge.${table}`);
    }
    await client.query('update later.campaign set archive = false');
    await client.query(edit);

    await client.query('drop schema tenant_purge cascade; create schema tenant_purge');
    await client.query(`create table tenant_purge.migration (version integer primary key,
      name text not null, applied_at timestamptz not null default now())`);
    for (const migration of MIGRATIONS.filter((each) => each.version <= version)) {
      await client.query(migration.sql);
      await client.query('insert into tenant_purge.migration (version, name) values ($1, $2)', [
        migration.version,
        migration.name,
      ]);
    }
    for (const { name } of tables) await copyBack(client, name);
    await client.query('drop schema later cascade');
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}

async function copyBack(client: PoolClient, name: string): Promise<void> {
  const { rows } = await client.query<{ column: string; identity: boolean }>(
    `select o.attname as column, o.attidentity <> '' as identity
     from pg_attribute o
     join pg_attribute l on l.attname = o.attname and l.attrelid = to_regclass('later.' || quote_ident($1))
     where o.attrelid = to_regclass('tenant_purge.' || quote_ident($1)) and o.attnum > 0
       and not o.attisdropped and o.attgenerated = '' order by o.attnum`,
    [name],
  );
  // A table that came later.
  if (rows.length === 0) return;
  const table = escapeIdentifier(name);
  const columns = rows.map(({ column }) => escapeIdentifier(column)).join(', ');
  // Rows of which a ledger has one, and its first migration wrote it.
  await client.query(`do $$ begin
    if (select count(*) from tenant_purge.${table}) = 1 then delete from tenant_purge.${table}; end if;
  end $$`);
  await client.query(
    `insert into tenant_purge.${table} (${columns}) overriding system value
     select ${columns} from later.${table}`,
  );
  for (const { column } of rows.filter(({ identity }) => identity)) {
    await client.query(
      `select setval(pg_get_serial_sequence('tenant_purge.' || quote_ident($1), $2),
         (select coalesce(max(${escapeIdentifier(column)}), 0) + 1 from tenant_purge.${table}), false)`,
      [name, column],
    );
  }
}
