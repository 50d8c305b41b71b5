import type pg from 'pg';
import type { TenantId } from '../../domain/ids.ts';
import type { Plan, ReferenceCheck } from '../../domain/plan.ts';
import type {
  DataFinding,
  ReferenceFinding,
  ReferringRow,
} from '../../planner/hazards/data-hazards.ts';
import {
  askings,
  type OwnerTypes,
  type Question,
  questionsOf,
  type Scope,
} from './reference-questions.ts';
import { ownerOf } from './row-owner.ts';
import { arrayLiteral, column, literal } from './row-predicate.ts';

type Queryable = pg.Pool | pg.ClientBase;

/** Rows named for each finding. */
const ROWS_SHOWN = 5;

/**
 * What the rows say about every foreign key of the plan: references into what goes from rows that
 * stay, and (with `crossings`) from what goes to rows of other tenants. Each tenant stands alone: a
 * reference from another tenant of the same campaign is one from outside. A few queries a key, for
 * one tenant by its indexes, for many set by set. Changes nothing.
 * @param client a connection in a read-only transaction, so that all tables are seen at one moment
 */
export async function readReferences(
  client: Queryable,
  plan: Plan,
  tenantIds: readonly TenantId[],
  options: { readonly crossings: boolean },
): Promise<DataFinding[]> {
  const found: DataFinding[] = [];
  if (tenantIds.length === 0) return found;
  const scope: Scope = {
    tenantIds,
    types: await readOwnerTypes(client, plan),
    keyType: plan.tenant.keyType,
  };
  for (const check of plan.references) {
    for (const question of questionsOf(plan, check, options.crossings)) {
      const finding = await ask(client, question, scope);
      if (finding === null) continue;
      found.push(finding);
      if (question.kind === 'outside' && !question.byRule && check.rule === 'set-null') {
        found.push(...(await brokenChecks(client, question, scope)));
      }
    }
  }
  return found;
}

async function ask(
  client: Queryable,
  question: Question,
  scope: Scope,
): Promise<ReferenceFinding | null> {
  const { kind, check, byRule } = question;
  // A row may refer to several periods.
  const once = check.period ? 'distinct on (c.tableoid, c.ctid)' : '';
  let count = 0;
  const rows: ReferringRow[] = [];
  for (const asked of askings(question, scope)) {
    const { rows: found } = await client.query(
      `select key, owner, parent, count(*) over () as total from (
         select ${once} ${rowKey(check)} as key, ${asked.childOwner} as owner,
           ${asked.parentOwner} as parent
         from ${asked.from} where ${asked.where}) found
       order by key limit ${ROWS_SHOWN}`,
    );
    count += Number(found[0]?.total ?? 0);
    rows.push(...found.map((row) => ({ key: row.key, owner: row.owner, refersTo: row.parent })));
  }
  if (count === 0) return null;
  const clearable = kind === 'outside' ? await clearableColumns(client, check) : [];
  return { kind, check, byRule, count, rows: rows.slice(0, ROWS_SHOWN), clearable };
}

async function readOwnerTypes(client: Queryable, plan: Plan): Promise<OwnerTypes> {
  const paths = plan.references.flatMap(({ childPath, parent, parentAlso }) => [
    ...(childPath === null ? [] : [childPath]),
    parent,
    ...parentAlso,
  ]);
  const owning = paths.flatMap((path) => ownerOf(path, 't').column ?? []);
  const { rows } = await client.query(
    `select distinct o.relation, o.name, a.atttypid::regtype::text as type
     from unnest($1::text[], $2::text[]) o (relation, name)
     join pg_attribute a on a.attrelid = o.relation::regclass and a.attname = o.name`,
    [owning.map(({ table }) => table), owning.map(({ name }) => name)],
  );
  return new Map(rows.map(({ relation, name, type }) => [`${relation} ${name}`, type]));
}

const rowKey = ({ childPrimaryKey }: ReferenceCheck): string =>
  childPrimaryKey.length === 0
    ? `'ctid = ' || c.ctid || ' of ' || c.tableoid::regclass`
    : `concat_ws(', ', ${childPrimaryKey
        .map((name) => `${literal(`${name} = `)} || c.${column(name)}::text`)
        .join(', ')})`;

/** What a `set-null` rule could clear: not what is NOT NULL or computed, or says who owns the row. */
async function clearableColumns(client: Queryable, check: ReferenceCheck): Promise<string[]> {
  const { rows } = await client.query(
    `select attname as name from pg_attribute where attrelid = ${literal(check.child)}::regclass
       and attname = any(${arrayLiteral(check.columns)}) and not attnotnull and attgenerated = ''
     order by attnum`,
  );
  const owning = (check.childPath?.ways ?? []).flatMap((way) =>
    way.kind === 'column' ? [way.column] : way.kind === 'parent' ? way.columns : [],
  );
  return rows.map(({ name }) => String(name)).filter((name) => !owning.includes(name));
}

/** `CHECK (…)` as `pg_get_constraintdef` prints it; one that is not enforced breaks nothing. */
const CHECK_EXPRESSION = /^CHECK (\(.*\))(?: NO INHERIT)?(?: NOT VALID)?$/s;

/** Reads the CHECK over the row as it would be; false fails, unknown passes. */
async function brokenChecks(
  client: Queryable,
  question: Question,
  scope: Scope,
): Promise<DataFinding[]> {
  const { check } = question;
  const cleared = Object.fromEntries(check.clearColumns.map((name) => [name, null]));
  const found: DataFinding[] = [];
  for (const { name, definition } of check.clearChecks) {
    const expression = CHECK_EXPRESSION.exec(definition)?.[1];
    if (expression === undefined) continue;
    let count = 0;
    for (const asked of askings(question, scope)) {
      const { rows } = await client.query(
        `select count(*) as rows from (
           select r.* from ${asked.from}
           cross join lateral jsonb_populate_record(c.*, ${literal(JSON.stringify(cleared))}) r
           where ${asked.where}) t
         where ${expression} is false`,
      );
      count += Number(rows[0]?.rows ?? 0);
    }
    if (count > 0) found.push({ kind: 'breaks-check', check, constraint: name, count });
  }
  return found;
}
