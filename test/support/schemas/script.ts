import { escapeIdentifier, type Pool, type QueryArrayResult } from 'pg';

/**
 * Runs the statements in one message and one transaction: all or none of them happen.
 * Answers with a result for each, columns in order, every value as PostgreSQL's text.
 */
export async function runScript(
  pool: Pool,
  statements: readonly string[],
): Promise<QueryArrayResult<(string | null)[]>[]> {
  const client = await pool.connect();
  let failure: Error | undefined;
  try {
    const text = ['begin', ...settings, ...statements, 'commit'].join(';\n');
    const results: unknown = await client.query({ text, rowMode: 'array', types: asText });
    // The driver answers several statements with several results; its types know only one.
    const all = results as QueryArrayResult<(string | null)[]>[];
    return all.slice(1 + settings.length, -1);
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
    throw failure;
  } finally {
    client.release(failure); // a transaction left open must not go back to the pool
  }
}

/** `"schema"."table"`. */
export function quoteTable(schema: string, table: string): string {
  return `${escapeIdentifier(schema)}.${escapeIdentifier(table)}`;
}

export function quoteList(columns: readonly string[]): string {
  return columns.map((column) => escapeIdentifier(column)).join(', ');
}

const asText = { getTypeParser: () => (value: string) => value };

/** Types are read and values written alike, whatever the role's own settings are. */
const settings = [
  'set local search_path = pg_catalog',
  'set local check_function_bodies = off',
  'set local client_min_messages = error',
  `set local timezone = 'UTC'`,
  `set local datestyle = 'ISO, YMD'`,
  `set local intervalstyle = 'postgres'`,
  `set local bytea_output = 'hex'`,
  'set local extra_float_digits = 1',
];
