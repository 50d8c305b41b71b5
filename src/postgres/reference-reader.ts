import type pg from 'pg';
import type { TenantId } from '../domain/ids.ts';
import {
  type ClearStep,
  type DeleteStep,
  deleteSteps,
  hasCondition,
  type Plan,
  type ReferenceCheck,
  type TenantPath,
} from '../domain/plan.ts';
import type { DataFinding, ReferenceFinding, ReferringRow } from '../planner/data-hazards.ts';
import { hasSameOwner } from '../planner/same-owner.ts';
import { asksOneByOne } from './row-counts.ts';
import { type Owner, ownerOf } from './row-owner.ts';
import { arrayLiteral, column, equal, fromRelation, literal, ownedRows } from './row-predicate.ts';

type Queryable = pg.Pool | pg.ClientBase;

/** Rows named for each finding. */
const ROWS_SHOWN = 5;

/** A question about rows `c` of the child that refer to rows `p` of the parent. */
interface Question {
  readonly kind: ReferenceFinding['kind'];
  readonly check: ReferenceCheck;
  readonly byRule: boolean;
  /** The side by whose owner the rows are picked: the tenants' own. */
  readonly picked: Side;
  /** The same rows by another path: of these a row must not be the same tenant's. */
  readonly unless: readonly Side[];
  /** Whom the other end must belong to somebody, too. */
  readonly somebody: Side | null;
}

/** Whom the questions are about, and what is known of the columns that name owners. */
interface Scope {
  readonly tenantIds: readonly TenantId[];
  readonly types: OwnerTypes;
}

interface Side {
  readonly alias: 'c' | 'p';
  readonly path: TenantPath;
}

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
  const scope: Scope = { tenantIds, types: await readOwnerTypes(client, plan) };
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

function questionsOf(plan: Plan, check: ReferenceCheck, crossings: boolean): Question[] {
  const isProven = hasSameOwner(check);
  const parent: Side = { alias: 'p', path: check.parent };
  const own: readonly Side[] =
    check.childPath === null ? [] : [{ alias: 'c', path: check.childPath }];
  const questions: Question[] = [];
  const outside = { kind: 'outside', check, somebody: null } as const;
  if (!isProven && check.parent.ways.length > 0) {
    // What a `delete` rule takes along is what it is asked about.
    const unless = check.rule === 'delete' ? own : [...own, ...leavingOtherwise(plan, check)];
    questions.push({ ...outside, byRule: false, picked: parent, unless });
  }
  for (const path of check.parentAlso) {
    const unless = [...own, ...leavingOtherwise(plan, check), parent];
    questions.push({ ...outside, byRule: true, picked: { alias: 'p', path }, unless });
  }
  const [mine] = own;
  if (crossings && !isProven && mine !== undefined && check.childDeleted) {
    questions.push({
      kind: 'crossing',
      check,
      byRule: false,
      picked: mine,
      unless: [parent],
      somebody: parent,
    });
  }
  return questions;
}

/** Rows of the child that go by a rule for one of its keys, or whose reference is overwritten before. */
function leavingOtherwise(plan: Plan, check: ReferenceCheck): Side[] {
  const also = deleteSteps(plan)
    .filter((step: DeleteStep) => step.table === check.child)
    .flatMap((step) => step.also);
  const overwritten = plan.levels
    .flatMap(({ steps }) => steps)
    .filter((step): step is ClearStep => step.kind === 'clear' && step.table === check.child)
    .filter(({ reason }) => reason === 'table' || reason === 'operator')
    .filter(({ columns }) => columns.some((name) => check.columns.includes(name)))
    .map(({ path }) => path);
  return [...also, ...overwritten].map((path) => ({ alias: 'c', path }));
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

/** FROM and WHERE of a question, for all of the tenants or for one of them. */
interface Asking {
  readonly from: string;
  readonly where: string;
  /** Owners as text. */
  readonly childOwner: string;
  readonly parentOwner: string;
}

function askings(question: Question, { tenantIds, types }: Scope): Asking[] {
  const paths = [question.picked, ...question.unless].map(({ path }) => path);
  return asksOneByOne(paths, tenantIds)
    ? tenantIds.map((tenantId) => askOne(question, tenantId))
    : [askTogether(question, tenantIds, types)];
}

/** Joined from the tenants' own rows on, which is the order that serves a small tenant. */
function askTogether(
  question: Question,
  tenantIds: readonly TenantId[],
  types: OwnerTypes,
): Asking {
  const { check, picked, unless, somebody } = question;
  const mine = ownerOf(picked.path, picked.alias);
  const others = unless.map((side, at) => ({
    ...side,
    ...ownerOf(side.path, side.alias, `${side.alias}u${at}`),
  }));
  const textOf = (alias: Side['alias'], path: TenantPath | null): string => {
    const key =
      picked.alias === alias
        ? mine.key
        : others.find((other) => other.alias === alias && other.path === path)?.key;
    return `(${key ?? 'null'})::text`;
  };
  const where = [
    `${mine.key} = any(${arrayLiteral(tenantIds)})`,
    ...others.map((other) => differ(types, other, mine)),
    ...(somebody === null ? [] : [`${textOf(somebody.alias, somebody.path)} is not null`]),
  ];
  return {
    from: `${fromSide(check, picked.alias)}${mine.joins}
      join ${fromSide(check, otherEnd(picked))} on ${matching(check)}${others.map(({ joins }) => joins).join('')}`,
    where: where.join(' and '),
    childOwner: textOf('c', check.childPath),
    parentOwner: textOf('p', check.parent),
  };
}

function askOne(question: Question, tenantId: TenantId): Asking {
  const { check, picked, unless, somebody } = question;
  const other = otherEnd(picked);
  const path = other === 'c' ? check.childPath : check.parent;
  const shown = path === null || hasCondition(path) ? null : ownerOf(path, other);
  const theirs = `(${shown?.key ?? 'null'})::text`;
  const where = [
    ...(hasOwnCondition(picked.path) ? [] : [ownedRows(picked.path, picked.alias, tenantId)]),
    ...unless.map((side) => `(${ownedElsewhere(side, tenantId)}) is not true`),
    ...(somebody === null || shown === null ? [] : [`${theirs} is not null`]),
  ];
  const mine = hasOwnCondition(picked.path)
    ? `(select t.*, t.ctid, t.tableoid from ${relationOf(check, picked.alias)} t
        where ${ownedRows(picked.path, 't', tenantId)}) ${picked.alias}`
    : fromSide(check, picked.alias);
  const ours = literal(tenantId);
  return {
    from: `${mine} join ${fromSide(check, other)} on ${matching(check)}${shown?.joins ?? ''}`,
    where: where.length === 0 ? 'true' : where.join(' and '),
    childOwner: other === 'c' ? theirs : ours,
    parentOwner: other === 'p' ? theirs : ours,
  };
}

/** As text where the types differ, which the server would not compare; uuids as text cost twice as much. */
function differ(types: OwnerTypes, left: Owner, right: Owner): string {
  const isComparable = typeOf(types, left) === typeOf(types, right);
  const cast = isComparable ? '' : '::text';
  return `(${left.key})${cast} is distinct from (${right.key})${cast}`;
}

/** Types of the columns in which paths end, by `table column`. */
type OwnerTypes = ReadonlyMap<string, string>;

const TEXT = 'text';

const typeOf = (types: OwnerTypes, { column: owning }: Owner): string =>
  owning === null ? TEXT : (types.get(`${owning.table} ${owning.name}`) ?? '');

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

const otherEnd = ({ alias }: Side): Side['alias'] => (alias === 'p' ? 'c' : 'p');

/** The operator's SQL names columns without their table: it must see no other one. */
const hasOwnCondition = ({ ways }: TenantPath): boolean =>
  ways.some((way) => way.kind === 'condition');

function ownedElsewhere({ path, alias }: Side, tenantId: TenantId): string {
  if (!hasOwnCondition(path)) return ownedRows(path, alias, tenantId);
  const alone = `${alias}s`;
  return `exists (select from (select ${alias}.*) ${alone} where ${ownedRows(path, alone, tenantId)})`;
}

const fromSide = (check: ReferenceCheck, alias: Side['alias']): string =>
  `${relationOf(check, alias)} ${alias}`;

const relationOf = (check: ReferenceCheck, alias: Side['alias']): string =>
  alias === 'p'
    ? fromRelation(check.parentRelation, check.parent)
    : fromRelation(check.childRelation, {
        table: check.child,
        partitioned: check.childPartitioned,
      });

function matching({ columns, referencedColumns, period }: ReferenceCheck): string {
  if (!period) return equal('c', columns, 'p', referencedColumns);
  const last = columns.length - 1;
  const overlap = `c.${column(columns[last] ?? '')} && p.${column(referencedColumns[last] ?? '')}`;
  return last === 0
    ? overlap
    : `${equal('c', columns.slice(0, last), 'p', referencedColumns.slice(0, last))} and ${overlap}`;
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
