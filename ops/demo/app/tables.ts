import { readFile } from 'node:fs/promises';
import type { Pool } from 'pg';

/** Every table that the demo creates carries this comment, and only tables that carry it are dropped. */
const MARK = 'tenant-purge demo application';

/**
 * Drops the demo's tables and creates them bare: without keys, indexes and references. Idempotent,
 * one transaction. Other schemas are left alone.
 * @throws Error, with nothing changed, if a table of one of these names is somebody else's.
 */
export async function replaceTables(pool: Pool): Promise<string[]> {
  const schema = await readSql('schema.sql');
  const tables = schema.map(readTableName).filter((table) => table !== undefined);
  await refuseForeignTables(pool, tables);
  const names = tables.map((table) => `public.${table}`);
  await pool.query(
    [
      'BEGIN',
      `DROP TABLE IF EXISTS ${names.join(', ')} CASCADE`,
      ...schema,
      ...names.map((name) => `COMMENT ON TABLE ${name} IS '${MARK}'`),
      'COMMIT',
    ].join(';\n'),
  );
  return tables;
}

/** Primary keys and indexes, table by table: a table's statements must run one after the other. */
export async function readIndexes(): Promise<Map<string, string[]>> {
  const byTable = new Map<string, string[]>();
  for (const statement of await readSql('indexes.sql')) {
    const table = readTableName(statement) ?? '';
    byTable.set(table, [...(byTable.get(table) ?? []), statement]);
  }
  return byTable;
}

/** Foreign keys, in the order of the file. */
export async function readForeignKeys(): Promise<string[]> {
  return readSql('foreign-keys.sql');
}

async function refuseForeignTables(pool: Pool, tables: readonly string[]): Promise<void> {
  const { rows } = await pool.query<{ relname: string }>(
    `SELECT relname FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relname = ANY ($1)
       AND obj_description(oid, 'pg_class') IS DISTINCT FROM $2
     ORDER BY relname`,
    [tables, MARK],
  );
  if (rows.length > 0) {
    const names = rows.map((row) => `public.${row.relname}`).join(', ');
    throw new Error(
      `The demo would replace tables that it did not create: ${names}. Nothing was changed. ` +
        'Give the demo an empty database (unset DATABASE_URL, and it starts its own PostgreSQL).',
    );
  }
}

/** The statements of a file of ours, which has no semicolon but at the end of a statement. */
async function readSql(file: string): Promise<string[]> {
  const text = await readFile(new URL(file, import.meta.url), 'utf8');
  return text
    .replaceAll(/^--.*$/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}

function readTableName(statement: string): string | undefined {
  return /^(?:CREATE TABLE|ALTER TABLE|CREATE INDEX \w+ ON) public\.(\w+)/.exec(statement)?.[1];
}
