import type pg from 'pg';
import type { Plan } from '../domain/plan.ts';
import { column, literal } from './rows/row-predicate.ts';
import { readFault } from './sqlstate.ts';
import { tableName } from './table-name.ts';

/** A column that no table has. */
const NO_COLUMN = 'tenant_purge_no_such_column';

/**
 * What PostgreSQL has against `quiesce`, tried by EXPLAIN: nothing is written, and a READ ONLY
 * transaction admits it. One statement each; the one that marks is an UPDATE of the tenant table.
 * @param client in a transaction, which goes on either way
 */
export async function refuseQuiesceSql(client: pg.ClientBase, plan: Plan): Promise<string[]> {
  const rule = plan.quiesce;
  const { table, key } = plan.tenant;
  switch (rule?.kind) {
    case undefined:
      return [];
    case 'column': {
      const name = column(rule.column);
      const sql = `update ${table} set ${name} = ${literal(rule.value)}
        where ${column(key)} = null and ${name} = ${literal(rule.value)}`;
      return said('quiesce', await explain(client, sql));
    }
    case 'sql': {
      const returning = `\nreturning ${column(key)}::text as id`;
      return [
        ...(await trySql(client, 'quiesce.sql', rule.sql, { suffix: returning, updates: table })),
        ...(await trySql(client, 'quiesce.undo', rule.undo, { suffix: '', updates: null })),
      ];
    }
    default:
      return rule satisfies never;
  }
}

interface Expected {
  /** Appended when it runs. */
  readonly suffix: string;
  /** The table it has to update; null: whichever. */
  readonly updates: string | null;
}

async function trySql(
  client: pg.ClientBase,
  setting: string,
  sql: string,
  { suffix, updates }: Expected,
): Promise<string[]> {
  const parts = sql.split('{tenantId}');
  const withKeys = (keyOf: (place: number) => string): string =>
    parts.map((part, place) => (place === 0 ? part : `${keyOf(place)}${part}`)).join('') + suffix;
  const tried = await explain(
    client,
    withKeys(() => 'null'),
  );
  if (tried.refusal !== null) return said(setting, tried);
  if (updates !== null && tried.updates !== updates) {
    return [`${setting}: must be one UPDATE of ${updates}.`];
  }
  for (let place = 1; place < parts.length; place += 1) {
    const probe = await explain(
      client,
      withKeys((at) => (at === place ? NO_COLUMN : 'null')),
    );
    if (probe.refusal !== null) continue;
    return [
      `${setting}: a {tenantId} stands in quotes or in a comment: write it bare, it becomes the quoted key.`,
    ];
  }
  return [];
}

interface Tried {
  readonly refusal: string | null;
  /** The table that the statement updates, as the plan has names; null where it does another thing. */
  readonly updates: string | null;
}

const said = (setting: string, { refusal }: Tried): string[] =>
  refusal === null ? [] : [`${setting}: ${refusal}.`];

/** The extended protocol takes one statement only. */
type OneStatement = pg.QueryConfig & { readonly queryMode: 'extended' };

async function explain(client: pg.ClientBase, sql: string): Promise<Tried> {
  await client.query('savepoint quiesce_sql');
  try {
    const one: OneStatement = {
      text: `explain (format json, verbose) ${sql}`,
      queryMode: 'extended',
    };
    const { rows } = await client.query(one);
    const updates = updatedTable(rows[0]?.['QUERY PLAN']?.[0]?.Plan);
    await client.query('release savepoint quiesce_sql');
    return { refusal: null, updates };
  } catch (error) {
    const { sqlState, message } = readFault(error);
    if (sqlState === null) throw error;
    await client.query('rollback to savepoint quiesce_sql');
    return { refusal: message, updates: null };
  }
}

function updatedTable(node: Readonly<Record<string, unknown>> | undefined): string | null {
  if (node?.['Node Type'] !== 'ModifyTable' || node['Operation'] !== 'Update') return null;
  return tableName(String(node['Schema']), String(node['Relation Name']));
}
