import type pg from 'pg';

/**
 * What tells this database from every other: the cluster's system identifier, the database's oid and
 * name. A dump restored elsewhere differs in the first; a physical copy differs only in ENVIRONMENT,
 * to which a campaign is bound as well.
 */
export async function readDatabaseIdentity(db: pg.Pool | pg.ClientBase): Promise<string> {
  const { rows } = await db.query(
    `select (select system_identifier from pg_control_system())::text || '/' || oid || '/' || datname
       as identity from pg_database where datname = current_database()`,
  );
  return String(rows[0]?.identity);
}
