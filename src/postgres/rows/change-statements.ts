import type { TenantId } from '../../domain/ids.ts';
import type { ClearStep, ComponentStep, DeleteStep, RememberedParent } from '../../domain/plan.ts';
import type { Fence } from '../../domain/records.ts';
import {
  column,
  fromTable,
  literal,
  type StepOwner,
  stepAlternatives,
  stepRows,
} from './row-predicate.ts';

/** A step that changes one table. */
export type TableStep = DeleteStep | ClearStep;

/** Part of one leaf that a batch visits. */
export type BatchRange =
  /** Blocks `from` (inclusive) to `to` (exclusive), read by a TID range scan. */
  | { readonly kind: 'blocks'; readonly from: number; readonly to: number }
  /** These rows by address, as an index gave them. */
  | { readonly kind: 'rows'; readonly tids: readonly string[] };

/** One statement of a transaction. */
export interface Change {
  readonly sql: string;
  /** The steps it carries out; its result tells a number of rows for each, in this order. */
  readonly steps: readonly TableStep[];
  /** Where these numbers stand: in the command's tag, or in the columns of its only row. */
  readonly rows: 'tag' | 'columns';
}

/** Whose rows, and under which purge what is remembered of them is written down. */
export interface Who {
  readonly tenantId: TenantId;
  readonly fence: Fence;
}

/** The statements of one batch: the change, and a look whether a trigger has kept a row. */
export function batchChanges(
  step: TableStep,
  part: { readonly leaf: string; readonly range: BatchRange },
  who: Who,
): Change[] {
  const doomed = `${rowsByAddress(step, who)} and ${rangeCondition(part.range)}`;
  return tableChanges(step, `only ${part.leaf}`, doomed, who);
}

/** The statements for all rows of a step at once. */
export function wholeChanges(step: TableStep | ComponentStep, who: Who): Change[] {
  if (step.kind === 'component') return componentChanges(step, who);
  return tableChanges(step, fromTable(step), wholeRows(step, who), who);
}

/**
 * `one-statement`: every delete finds its rows in the snapshot that the statement began with, and all
 * keys are checked after the last of them, RESTRICT too. `deferred`: checked where they are set
 * immediate again, so that a failure rises before anything is booked.
 */
function componentChanges(step: ComponentStep, who: Who): Change[] {
  if (step.way === 'deferred') {
    // All: a name would also mean a constraint of another table that cannot be deferred.
    const set = (when: string): Change => ({
      sql: `set constraints all ${when}`,
      steps: [],
      rows: 'tag',
    });
    return [
      set('deferred'),
      ...step.deletes.flatMap((part) => wholeChanges(part, who)),
      set('immediate'),
    ];
  }
  const parts = step.deletes.map((part, index) =>
    deleteParts(part, fromTable(part), wholeRows(part, who), { who, index }),
  );
  const answers = [
    ...parts.map(({ gone }) => `(select count(*) from ${gone})`),
    ...step.deletes.map((part, index) => lookBeside(part, `gone${index}`, who)),
  ];
  const sql = `with ${parts.flatMap(({ ctes }) => ctes).join(', ')} select ${answers.join(', ')}`;
  return [{ sql, steps: step.deletes, rows: 'columns' }];
}

function tableChanges(step: TableStep, target: string, doomed: string, who: Who): Change[] {
  const steps = [step];
  if (step.kind === 'clear') return [{ sql: clearSql(step, target, doomed), steps, rows: 'tag' }];
  const change: Change =
    step.remembers.length === 0
      ? { sql: `delete from ${target} t where ${doomed}`, steps, rows: 'tag' }
      : { sql: rememberingSql(step, target, doomed, who), steps, rows: 'columns' };
  return [change, ...looks(step, target, doomed)];
}

function rememberingSql(step: DeleteStep, target: string, doomed: string, who: Who): string {
  const { ctes, gone } = deleteParts(step, target, doomed, { who, index: 0 });
  return `with ${ctes.join(', ')} select count(*) from ${gone}`;
}

/** No column of an application's can have these names. */
const ADDRESS = ['tableoid', 'ctid'];

/** A delete as part of a larger statement, and the keys it remembers of one-to-one parents. */
function deleteParts(
  step: DeleteStep,
  target: string,
  doomed: string,
  { who, index }: { readonly who: Who; readonly index: number },
): { readonly ctes: readonly string[]; readonly gone: string } {
  const gone = `gone${index}`;
  const returned = step.remembers.flatMap((parent) => parent.columns);
  const names = [...new Set([...ADDRESS, ...returned])];
  const returning = names.map((name) => `t.${column(name)}`).join(', ');
  return {
    gone,
    ctes: [
      `${gone} as (delete from ${target} t where ${doomed} returning ${returning})`,
      ...step.remembers.map(
        (parent, each) => `kept${index}_${each} as (${rememberSql(parent, gone, who)})`,
      ),
    ],
  };
}

/** A row that lacks one of the values refers to nothing (MATCH SIMPLE). */
function rememberSql(parent: RememberedParent, gone: string, { fence }: Who): string {
  const key = parent.columns.map((name) => `${column(name)}::text`).join(', ');
  const present = parent.columns.map((name) => `${column(name)} is not null`).join(' and ');
  return `insert into tenant_purge.remembered (purge_id, foreign_key, parent, key)
    select distinct ${literal(fence.purgeId)}::uuid, ${literal(parent.foreignKey)},
      ${literal(parent.parent)}, array[${key}] from ${gone} where ${present}
    on conflict do nothing`;
}

/** `stepRows` leaves out rows that hold the values already: they are not touched again. */
function clearSql(step: ClearStep, target: string, doomed: string): string {
  // A bare literal takes the type of the column it is assigned to.
  const assignments = step.columns.map((name, index) => {
    const value = step.values?.[index] ?? null;
    return `${column(name)} = ${value === null ? 'null' : literal(value)}`;
  });
  return `update ${target} t set ${assignments.join(', ')} where ${doomed}`;
}

/** Raises TP007 with the name of a row that is still there, before a later statement stumbles on it. */
function looks(step: DeleteStep, target: string, doomed: string): Change[] {
  if (!step.mayKeepRows) return [];
  return [{ sql: `select ${refuseKept(step, target, doomed)}`, steps: [], rows: 'tag' }];
}

/**
 * The same inside the statement of a circle: afterwards the rows would be gone by which a row that was
 * kept could be found, and a CASCADE that a trigger stops raises nothing.
 */
function lookBeside(step: DeleteStep, gone: string, who: Who): string {
  if (!step.mayKeepRows) return 'null';
  const isGone = `(t.tableoid, t.ctid) in (select tableoid, ctid from ${gone})`;
  return refuseKept(step, fromTable(step), `(${rowsOf(step, who)}) and not (${isGone})`);
}

function refuseKept(step: DeleteStep, target: string, doomed: string): string {
  const row =
    step.primaryKey.length === 0
      ? `'ctid = ' || t.ctid || ' of ' || t.tableoid::regclass`
      : `concat_ws(', ', ${step.primaryKey
          .map((name) => `${literal(`${name} = `)} || t.${column(name)}::text`)
          .join(', ')})`;
  return `tenant_purge.refuse_kept(${literal(step.table)},
    (select ${row} from ${target} t where ${doomed} limit 1))`;
}

const rowsOf = (step: TableStep, who: Who): string => stepRows(step, 't', ownerOf(who));

const ownerOf = ({ tenantId, fence }: Who): StepOwner => ({ tenantId, purgeId: fence.purgeId });

/**
 * All rows of a step. Rows that go for different reasons are looked up each by its own index; the
 * whole condition stands beside the addresses, so that a row which another session has just given
 * away is checked again. Addresses are unique in a single table only.
 */
function wholeRows(step: TableStep, who: Who): string {
  const rows = rowsOf(step, who);
  const alternatives = stepAlternatives(step, 't', ownerOf(who));
  if (alternatives.length < 2 || step.partitioned) return rows;
  const found = alternatives.map((each) => `select t.ctid from ${fromTable(step)} t where ${each}`);
  return `t.ctid = any(array(${found.join(' union all ')})) and (${rows})`;
}

/**
 * The step's rows, to be found by their addresses. IS TRUE keeps the tenant column's index out of it:
 * for 8,000 of 80,000 addresses the planner preferred the index, and every batch read all that the
 * batches before it had deleted. Around a semi-join it would make a sub-plan for each row.
 */
function rowsByAddress(step: TableStep, who: Who): string {
  const paths = step.kind === 'delete' ? [step.path, ...step.also] : [step.path];
  const byOwnColumns =
    paths.every(({ ways }) => ways.every((way) => way.kind === 'column')) &&
    (step.kind === 'clear' || step.unlessReferenced === null);
  const rows = rowsOf(step, who);
  return byOwnColumns ? `(${rows}) is true` : `(${rows})`;
}

function rangeCondition(range: BatchRange): string {
  switch (range.kind) {
    case 'blocks':
      return `t.ctid >= '(${range.from},0)' and t.ctid < '(${range.to},0)'`;
    case 'rows':
      // The bounds offer a range scan, where so many addresses would make a scan of the table look cheap.
      return `t.ctid >= ${literal(range.tids.at(0) ?? '')} and t.ctid <= ${literal(range.tids.at(-1) ?? '')}
        and t.ctid = any(${literal(`{${range.tids.map((tid) => `"${tid}"`).join(',')}}`)}::tid[])`;
    default:
      return range satisfies never;
  }
}
