import type pg from 'pg';
import { PurgeError } from '../domain/errors.ts';
import type { TableName } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';
import { makePlan } from '../planner/make-plan.ts';
import type { PlanRules } from '../planner/rules.ts';
import { readCatalogue } from './catalogue/catalogue-reader.ts';
import { refuseQuiesceSql } from './quiesce-trial.ts';
import { withActingKeys } from './rows/acting-keys.ts';
import { column, literal } from './rows/row-predicate.ts';
import { readFault } from './sqlstate.ts';

/**
 * The plan that the live catalogue and the rules give; the operator's own SQL in the rules is tried.
 * Reads only. One connection in a READ ONLY, REPEATABLE READ transaction sees all at one moment.
 * @throws PurgeError TABLE_MISSING, COLUMN_MISSING, CONFIG_INVALID; driver errors
 */
export async function readPlan(client: pg.ClientBase, rules: PlanRules): Promise<Plan> {
  const plan = makePlan(await readCatalogue(client), rules);
  await tryOperatorSql(client, plan);
  return await withActingKeys(client, plan);
}

/** A piece of SQL or a value from the configuration, and the statement that tries it. */
interface Trial {
  readonly setting: string;
  readonly sql: string;
  /** Statements that must be refused: one accepted shows a `{tenantId}` that PostgreSQL does not read. */
  readonly probes: readonly string[];
  /** The same with a tenant's key, which must fit what it is compared with; null where none is. */
  readonly typed: ((key: string) => string) | null;
}

/** Every condition and every value is parsed by PostgreSQL, without reading a row. */
async function tryOperatorSql(client: pg.ClientBase, plan: Plan): Promise<void> {
  const problems = await refuseQuiesceSql(client, plan);
  const trials = trialsOf(plan);
  const key = trials.length === 0 ? 'null' : await someKey(client, plan);
  for (const { setting, sql, probes, typed } of trials) {
    const refusal = await refusalOf(client, sql);
    if (refusal !== null) {
      problems.push(`${setting}: ${refusal}.`);
      continue;
    }
    let isBare = true;
    for (const probe of probes) isBare &&= (await refusalOf(client, probe)) !== null;
    if (!isBare) {
      problems.push(
        `${setting}: a {tenantId} stands in quotes or in a comment: write it bare, it becomes the quoted key.`,
      );
      continue;
    }
    const misfit = typed === null ? null : await refusalOf(client, typed(key));
    if (misfit !== null) problems.push(`${setting}: with the key of a tenant, ${misfit}.`);
  }
  if (problems.length === 0) return;
  throw new PurgeError('CONFIG_INVALID', problems.join('\n'), { details: { problems } });
}

/** Why PostgreSQL refuses the statement, or null; the transaction goes on either way. */
async function refusalOf(client: pg.ClientBase, sql: string): Promise<string | null> {
  await client.query('savepoint operator_sql');
  try {
    // With a parameter it goes by the extended protocol, which takes one statement only.
    await client.query(sql, [0]);
    await client.query('release savepoint operator_sql');
    return null;
  } catch (error) {
    const { sqlState, message } = readFault(error);
    if (sqlState === null) throw error;
    await client.query('rollback to savepoint operator_sql');
    return message;
  }
}

/** The key of some tenant as SQL: what a condition compares it with must be of its type. */
async function someKey(client: pg.ClientBase, { tenant }: Plan): Promise<string> {
  const key = column(tenant.key);
  const { rows } = await client.query(`select ${key}::text as key from ${tenant.table} limit 1`);
  return rows[0] === undefined ? 'null' : literal(rows[0].key);
}

function trialsOf(plan: Plan): Trial[] {
  const trials = new Map<string, Trial>();
  for (const step of plan.levels.flatMap((level) => level.steps)) {
    const paths = step.kind === 'component' ? step.deletes.map(({ path }) => path) : [step.path];
    for (const path of paths) {
      for (const way of path.ways) {
        if (way.kind === 'condition') {
          trials.set(`where ${path.table}`, conditionTrial(path.table, way.sql));
        }
      }
    }
    if (step.kind === 'clear' && step.values !== undefined) {
      trials.set(`set ${step.table}`, valuesTrial(step.table, step.columns, step.values));
    }
  }
  return [...trials.values()];
}

/** A column that no table has. */
const NO_COLUMN = 't.tenant_purge_no_such_column';

function conditionTrial(table: TableName, sql: string): Trial {
  const parts = sql.split('{tenantId}');
  const withKeys = (keyOf: (place: number) => string): string =>
    parts.map((part, place) => (place === 0 ? part : `${keyOf(place)}${part}`)).join('');
  // Not in parentheses: `a) or (b` must not pass for a condition.
  const trial = (condition: string): string =>
    `select from ${table} t where case when ${condition}\n then true end limit $1::bigint`;
  return {
    setting: `tables["${table}"].where`,
    sql: trial(withKeys(() => 'null')),
    typed: (key) => trial(withKeys(() => key)),
    probes: parts
      .slice(1)
      .map((_, index) => trial(withKeys((place) => (place === index + 1 ? NO_COLUMN : 'null')))),
  };
}

/** Each value takes its column's type, as it would in the update. */
function valuesTrial(
  table: TableName,
  names: readonly string[],
  values: readonly (string | null)[],
): Trial {
  const compared = names.map((name, index) => {
    const value = values[index] ?? null;
    return value === null
      ? `t.${column(name)} is null`
      : `t.${column(name)} is not distinct from ${literal(value)}`;
  });
  return {
    setting: `tables["${table}"].set`,
    sql: `select from ${table} t where ${compared.join(' and ')} limit $1::bigint`,
    typed: null,
    probes: [],
  };
}
