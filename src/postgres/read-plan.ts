import type pg from 'pg';
import { PurgeError } from '../domain/errors.ts';
import type { TableName } from '../domain/ids.ts';
import { deleteSteps, type Guard, type Plan } from '../domain/plan.ts';
import type { Catalogue } from '../planner/catalogue.ts';
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
  const catalogue = await readCatalogue(client);
  const plan = makePlan(catalogue, rules);
  // What is asked of a table that the role may not read would end in 42501, and not in the hazard.
  const isReadable = plan.hazards.every(({ type }) => type !== 'MISSING_PRIVILEGE');
  if (isReadable) await tryOperatorSql(client, plan);
  return namesAllowed(catalogue, plan) ? await withActingKeys(client, plan) : plan;
}

/** False where a table's schema is closed to the role: not even its name can be looked up there. */
function namesAllowed({ tables }: Catalogue, plan: Plan): boolean {
  const deleted = new Set(deleteSteps(plan).map(({ table }) => table));
  return tables.every(
    ({ name, missingPrivileges }) => !deleted.has(name) || !missingPrivileges.includes('USAGE'),
  );
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
        for (const guard of 'when' in way ? way.when : []) {
          trials.set(`when ${path.table} ${JSON.stringify(guard)}`, guardTrial(path.table, guard));
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

/** A guard's value must be one that its column can have. */
const guardTrial = (table: TableName, { column: name, value }: Guard): Trial => ({
  setting: `tables["${table}"].ownedBy.when.${name}`,
  sql: `select from ${table} t where t.${column(name)} = ${literal(value)} limit $1::bigint`,
  typed: null,
  probes: [],
});

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
