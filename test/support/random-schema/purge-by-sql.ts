import type { ClientBase } from 'pg';
import { rowCondition } from './database-rows.ts';
import type { ExpectedPurge } from './expected-purge.ts';
import { type Model, qualified } from './model.ts';

/**
 * The expected purge without the product: clears what is to be cleared, then deletes everything in
 * one statement. Whatever rows PostgreSQL then has, no constraint of its own speaks against them.
 */
export async function purgeBySql(
  client: ClientBase,
  model: Model,
  { cleared, deleted }: ExpectedPurge,
): Promise<void> {
  await client.query('begin');
  for (const { table, columns, before } of cleared) {
    if (columns.length === 0) continue; // not clearable: PostgreSQL shall say so
    const nulls = columns.map((column) => `${column} = null`).join(', ');
    await client.query(`update ${qualified(table)} set ${nulls} where ${rowCondition(before)}`);
  }
  const deletes = model.tables.flatMap(({ name }) => {
    const rows = deleted.get(name) ?? [];
    if (rows.length === 0) return [];
    const condition = rows.map((row) => `(${rowCondition(row)})`).join(' or ');
    return [`d_${name} as (delete from ${qualified(name)} where ${condition})`];
  });
  if (deletes.length > 0) await client.query(`with ${deletes.join(', ')} select 1`);
  await client.query('commit');
}
