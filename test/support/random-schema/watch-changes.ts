import type { ClientBase } from 'pg';
import type { ClearedRow, ExpectedPurge } from './expected-purge.ts';
import { type Model, qualified, type Row } from './model.ts';

/** A row that a statement deleted or updated, as it was before. */
export interface Change {
  readonly table: string;
  readonly operation: 'DELETE' | 'UPDATE';
  /** 1: by a statement of a client; more: from within a trigger, such as the action of a key. */
  readonly depth: number;
  /** The client's statement, also where a trigger did it. */
  readonly statement: string;
  readonly row: Row;
}

/**
 * Writes down every row that is deleted or updated from now on, in the schema `watch`. By BEFORE ROW
 * triggers, since only these run inside the action of a key: AFTER triggers of what it did are put off
 * to the end of the client's statement, where `pg_trigger_depth()` is 1 again.
 */
export async function watchChanges(client: ClientBase, model: Model): Promise<void> {
  await forgetWatch(client);
  await client.query(
    `create schema watch;
     create table watch.change (
       at bigint generated always as identity, table_name text, operation text, depth int,
       statement text, row_before jsonb
     );
     create function watch.note() returns trigger language plpgsql as $$
     begin
       insert into watch.change (table_name, operation, depth, statement, row_before)
       values (tg_table_name, tg_op, pg_trigger_depth(), current_query(), to_jsonb(old));
       if tg_op = 'DELETE' then return old; end if;
       return new;
     end $$;
     ${model.tables.map(({ name }) => trigger(name)).join('\n')}`,
  );
}

/** Removes what `watchChanges` made, triggers included; idempotent. */
export async function forgetWatch(client: ClientBase): Promise<void> {
  await client.query(`set client_min_messages = warning; drop schema if exists watch cascade;`);
}

const trigger = (table: string): string =>
  `create trigger watch before delete or update on ${qualified(table)}
     for each row execute function watch.note();`;

/** What was written down since `watchChanges`, in the order of the statements. */
export async function readChanges(client: ClientBase): Promise<Change[]> {
  const { rows } = await client.query<{
    readonly table_name: string;
    readonly operation: Change['operation'];
    readonly depth: number;
    readonly statement: string;
    readonly row_before: Readonly<Record<string, string | number | null>>;
  }>('select * from watch.change order by at');
  return rows.map(({ table_name: table, operation, depth, statement, row_before: before }) => ({
    table,
    operation,
    depth,
    statement,
    row: Object.fromEntries(
      Object.entries(before).map(([name, value]) => [name, value === null ? null : String(value)]),
    ),
  }));
}

/**
 * Changes that the expected purge does not explain, and expected ones that did not happen, in words;
 * empty where every row that went, and every reference that was cleared, was so by a statement of the
 * purge's own. Pure.
 */
export function unexplainedChanges(expected: ExpectedPurge, changes: readonly Change[]): string[] {
  const problems: string[] = [];
  const left = new Map([...expected.deleted].map(([table, rows]) => [table, [...rows]]));
  const uncleared = new Set(expected.cleared);
  for (const change of changes) {
    const where = `${change.operation} in ${change.table} of ${JSON.stringify(change.row)}`;
    if (change.depth !== 1) problems.push(`${where} by a trigger, in: ${change.statement}`);
    const doomed = left.get(change.table) ?? [];
    const at = doomed.findIndex((row) => isSameButCleared(row, change.row));
    const isOf = ({ table, before }: ClearedRow): boolean =>
      table === change.table && isSameButCleared(before, change.row);
    if (change.operation === 'DELETE') {
      if (at < 0) problems.push(`${where} was not expected`);
      else doomed.splice(at, 1);
    } else {
      // Two rows may be equal, and one may be cleared of one reference after the other.
      if (at < 0 && !expected.cleared.some(isOf)) problems.push(`${where} was not expected`);
      const [cleared] = [...uncleared].filter(isOf);
      if (cleared !== undefined) uncleared.delete(cleared);
    }
  }
  for (const [table, rows] of left) {
    for (const row of rows) problems.push(`no DELETE in ${table} of ${JSON.stringify(row)}`);
  }
  for (const { table, before } of uncleared) {
    problems.push(`no UPDATE in ${table} of ${JSON.stringify(before)}`);
  }
  return problems;
}

/** A row's own references may have been cleared before it was deleted. */
const isSameButCleared = (before: Row, now: Row): boolean =>
  Object.entries(before).every(([name, value]) => now[name] === value || now[name] === null);
