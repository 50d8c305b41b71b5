import type { TenantId } from '../../domain/ids.ts';
import {
  type ClearStep,
  deleteSteps,
  hasCondition,
  type Plan,
  type ReferenceCheck,
  type TenantPath,
} from '../../domain/plan.ts';
import type { ReferenceFinding } from '../../planner/hazards/data-hazards.ts';
import { hasSameOwner } from '../../planner/ownership/same-owner.ts';
import { asksOneByOne } from './row-counts.ts';
import { belongsToOneOf, type Owner, ownerOf, textType } from './row-owner.ts';
import { column, equal, fromRelation, literal, ownedRows } from './row-predicate.ts';

/** A question about rows `c` of the child that refer to rows `p` of the parent. */
export interface Question {
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
export interface Scope {
  readonly tenantIds: readonly TenantId[];
  readonly types: OwnerTypes;
  /** Type of the tenant's key. */
  readonly keyType: string;
}

interface Side {
  readonly alias: 'c' | 'p';
  readonly path: TenantPath;
}

/** Types of the columns in which paths end, by `table column`. */
export type OwnerTypes = ReadonlyMap<string, string>;

/** What to ask about one key; nothing where the key itself says that there is nothing to find. */
export function questionsOf(plan: Plan, check: ReferenceCheck, crossings: boolean): Question[] {
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
    .filter((step) => step.table === check.child)
    .flatMap((step) => step.also);
  const overwritten = plan.levels
    .flatMap(({ steps }) => steps)
    .filter((step): step is ClearStep => step.kind === 'clear' && step.table === check.child)
    .filter(({ reason }) => reason === 'table' || reason === 'operator')
    .filter(({ columns }) => columns.some((name) => check.columns.includes(name)))
    .map(({ path }) => path);
  return [...also, ...overwritten].map((path) => ({ alias: 'c', path }));
}

/** FROM and WHERE of a question, `c` the referring row and `p` the one referred to, for all of the tenants or for one of them. */
export interface Asking {
  readonly from: string;
  readonly where: string;
  /** Owners as text. */
  readonly childOwner: string;
  readonly parentOwner: string;
}

/** One asking for all tenants, or one for each where that serves better or nothing else does. */
export function askings(question: Question, scope: Scope): Asking[] {
  const { tenantIds } = scope;
  const paths = [question.picked, ...question.unless].map(({ path }) => path);
  return asksOneByOne(paths, tenantIds)
    ? tenantIds.map((tenantId) => askOne(question, tenantId))
    : [askTogether(question, scope)];
}

/** Joined from the tenants' own rows on, which is the order that serves a small tenant. */
function askTogether(question: Question, scope: Scope): Asking {
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
    belongsToOneOf(mine, scope.tenantIds, scope.keyType),
    ...others.map((other) => differ(scope, other, mine)),
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
function differ({ types, keyType }: Scope, left: Owner, right: Owner): string {
  const type = typeOf(types, left);
  const isPlain = type !== null && type !== 'text' && type === typeOf(types, right);
  const cast = isPlain ? '' : `::${textType(keyType)}`;
  return `(${left.key})${cast} is distinct from (${right.key})${cast}`;
}

const typeOf = (types: OwnerTypes, { column: owning }: Owner): string | null =>
  owning === null ? 'text' : (types.get(`${owning.table} ${owning.name}`) ?? null);

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
