import type { ClientBase } from 'pg';
import { type Data, type Model, qualified, type RandomCase, type Row } from './model.ts';
import { literal, renderApplication } from './render-sql.ts';

/** Puts the case's application in the place of whatever schema `public` holds; one round trip. */
export async function loadCase(client: ClientBase, found: RandomCase): Promise<void> {
  await client.query(
    `begin; drop schema if exists public cascade; create schema public;
     ${renderApplication(found)}
     commit;`,
  );
}

/** The rows of each table as lines of text in sorted order, so that two states can be compared. */
export type TableLines = Readonly<Record<string, readonly string[]>>;

/** What the database holds now, every value as PostgreSQL prints it. */
export async function readLines(client: ClientBase, model: Model): Promise<TableLines> {
  const selects = model.tables.map(({ name, columns }) => {
    const values = columns.map((column) => `${column.name}::text`).join(', ');
    return `select ${literal(name)} as name,
      coalesce(json_agg(json_build_array(${values})), '[]') as rows from only ${qualified(name)}`;
  });
  const { rows } = await client.query<{
    readonly name: string;
    readonly rows: readonly (readonly (string | null)[])[];
  }>(selects.join(' union all '));
  return Object.fromEntries(
    rows.map(({ name, rows: found }) => [
      name,
      found.map((values) => JSON.stringify(values)).sort(),
    ]),
  );
}

/** The same of rows in memory. */
export const toLines = (model: Model, data: Data): TableLines =>
  Object.fromEntries(
    model.tables.map((table) => [
      table.name,
      (data.get(table.name) ?? [])
        .map((row) => JSON.stringify(table.columns.map(({ name }) => row[name] ?? null)))
        .sort(),
    ]),
  );

/** A condition that is true for exactly this row and those equal to it. */
export const rowCondition = (row: Row): string =>
  Object.entries(row)
    .map(([name, value]) => (value === null ? `${name} is null` : `${name} = ${literal(value)}`))
    .join(' and ');
