import { Pool } from 'pg';
import { countTestTenants, type DemoSize, readSeed } from './identities.ts';
import { listTableFills, type TableFill } from './rows.ts';
import { readForeignKeys, readIndexes, replaceTables } from './tables.ts';

export { DEMO, type DemoSize, listTestTenantIds } from './identities.ts';
export { type RedisSeedReport, seedRedis } from './redis-keys.ts';

/** Two cores build indexes; the third connection keeps them busy while another waits for the log. */
const CONNECTIONS = 3;

/** Dates in UTC, rows in the order of the statements, no wait for the log; for these sessions only. */
const SESSION = Object.entries({
  TimeZone: 'UTC',
  synchronous_commit: 'off',
  synchronize_seqscans: 'off',
  max_parallel_workers_per_gather: '0',
  max_parallel_maintenance_workers: '0',
  maintenance_work_mem: '128MB',
  work_mem: '64MB',
  jit: 'off',
})
  .map(([name, value]) => `-c ${name}=${value}`)
  .join(' ');

interface SeedReport {
  readonly tenants: number;
  readonly rows: number;
  readonly tables: number;
  readonly durationMs: number;
}

/**
 * Creates the demo application, complete and empty, in schema public. Drops an earlier demo's tables;
 * touches no other table and no other schema. Idempotent.
 * @throws Error if public has tables of these names that the demo did not create.
 */
export async function createApplication(databaseUrl: string): Promise<void> {
  await withPool(databaseUrl, async (pool) => {
    const tables = await replaceTables(pool);
    await buildConstraints(pool, tables);
  });
}

/**
 * Creates the demo application and fills it. Replaces what an earlier call left, so that calling it
 * twice gives the same as once. Not one transaction: after a failure, call it again.
 * @throws Error as createApplication does; RangeError for a bad scale or seed.
 */
export async function seedApplication(
  databaseUrl: string,
  size: DemoSize = {},
): Promise<SeedReport> {
  const startedAt = performance.now();
  const fills = listTableFills({ seed: readSeed(size), testTenants: countTestTenants(size) });
  return withPool(databaseUrl, async (pool) => {
    const tables = await replaceTables(pool);
    const rowsByTable = await fillTables(pool, fills);
    const largestFirst = tables.toSorted(
      (left, right) => (rowsByTable.get(right) ?? 0) - (rowsByTable.get(left) ?? 0),
    );
    await buildConstraints(pool, largestFirst);
    return {
      tenants: rowsByTable.get('tenants') ?? 0,
      rows: [...rowsByTable.values()].reduce((sum, rows) => sum + rows, 0),
      tables: tables.length,
      durationMs: Math.round(performance.now() - startedAt),
    };
  });
}

/** Fills side by side, each table once its parents are committed. Resolves to the rows per table. */
async function fillTables(pool: Pool, fills: readonly TableFill[]): Promise<Map<string, number>> {
  const columns = await readColumns(pool);
  const filled = new Map<string, Promise<number>>();
  const fill = async ({ table, after, sql }: TableFill): Promise<number> => {
    for (const parent of after) await filled.get(parent);
    const insert = `INSERT INTO public.${table} (${columns.get(table)}) ${sql}`;
    return (await pool.query(insert)).rowCount ?? 0;
  };
  for (const entry of fills) filled.set(entry.table, fill(entry));
  return new Map(
    await Promise.all([...filled].map(async ([table, fill]) => [table, await fill] as const)),
  );
}

/** Columns of each table without identities, which number the rows in the order of the insert. */
async function readColumns(pool: Pool): Promise<Map<string, string>> {
  const { rows } = await pool.query<{ table_name: string; columns: string }>(
    `SELECT table_name, string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) AS columns
     FROM information_schema.columns
     WHERE table_schema = 'public' AND is_identity = 'NO' GROUP BY table_name`,
  );
  return new Map(rows.map((row) => [row.table_name, row.columns]));
}

/**
 * Indexes, then foreign keys. The keys are added NOT VALID in one go and validated afterwards, because
 * ADD FOREIGN KEY locks both of its tables, so that no two of them could run side by side.
 */
async function buildConstraints(pool: Pool, tables: readonly string[]): Promise<void> {
  const indexes = await readIndexes();
  await Promise.all(tables.map((table) => pool.query((indexes.get(table) ?? []).join(';\n'))));
  const foreignKeys = await readForeignKeys();
  await pool.query(foreignKeys.map((statement) => `${statement} NOT VALID`).join(';\n'));
  const unvalidated = await readUnvalidated(pool);
  await Promise.all(
    tables.map(async (table) => {
      await pool.query((unvalidated.get(table) ?? []).join(';\n'));
      await pool.query(`VACUUM (ANALYZE) public.${table}`);
    }),
  );
}

async function readUnvalidated(pool: Pool): Promise<Map<string, string[]>> {
  const { rows } = await pool.query<{ table: string; statements: string[] }>(
    `SELECT c.relname AS table,
       array_agg(format('ALTER TABLE public.%I VALIDATE CONSTRAINT %I', c.relname, k.conname) ORDER BY k.conname) AS statements
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
     WHERE k.contype = 'f' AND NOT k.convalidated AND c.relnamespace = 'public'::regnamespace
     GROUP BY c.relname`,
  );
  return new Map(rows.map((row) => [row.table, row.statements]));
}

async function withPool<T>(databaseUrl: string, use: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = new Pool({ connectionString: databaseUrl, max: CONNECTIONS, options: SESSION });
  // A lost server fails the query in hand, which reports it; idle connections have nothing to add.
  pool.on('error', () => undefined);
  try {
    return await use(pool);
  } finally {
    await pool.end();
  }
}
