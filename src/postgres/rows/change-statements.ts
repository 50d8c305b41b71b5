import type { ChunkKind } from '../../domain/archive.ts';
import type { TableName, TenantId } from '../../domain/ids.ts';
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
import { stepKey } from './step-key.ts';

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
  /**
   * Where these numbers stand: in the command's tag, in the columns of its only row, or nowhere: the
   * archived lines are counted.
   */
  readonly rows: 'tag' | 'columns' | 'lines';
  /** What it streams out for the archive, one for each step; empty where it returns no rows. */
  readonly copies: readonly Copied[];
}

/**
 * Rows that a statement streams out. Those of several tables come in tagged lines: the number of the
 * table in `copies`, and the row as a record.
 */
export interface Copied {
  readonly kind: ChunkKind;
  readonly table: TableName;
  /** Where the rows lie: the table, or one leaf of it. */
  readonly relation: TableName;
  /** The plan's step, as in the checkpoint. */
  readonly step: string;
  /** True for changed rows that only wait to be deleted. */
  readonly goesLater: boolean;
}

/** Whose rows, and under which purge what is remembered of them is written down. */
export interface Who {
  readonly tenantId: TenantId;
  readonly fence: Fence;
  /** True where every row that is deleted or changed is streamed out as it was. */
  readonly archived: boolean;
}

/** The statements of one batch: the change, and a look whether a trigger has kept a row. */
export function batchChanges(
  step: TableStep,
  part: { readonly leaf: TableName; readonly range: BatchRange },
  who: Who,
): Change[] {
  const doomed = `${rowsByAddress(step, who)} and ${rangeCondition(part.range)}`;
  return tableChanges(step, { from: `only ${part.leaf}`, relation: part.leaf }, doomed, who);
}

/** The statements for all rows of a step at once. */
export function wholeChanges(step: TableStep | ComponentStep, who: Who): Change[] {
  if (step.kind === 'component') return componentChanges(step, who);
  const target = { from: fromTable(step), relation: step.table };
  return tableChanges(step, target, wholeRows(step, who), who);
}

/** What a statement changes, as it stands in FROM, and its name. */
interface Target {
  readonly from: string;
  readonly relation: TableName;
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
      copies: [],
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
  const ctes = parts.flatMap((part) => part.ctes).join(', ');
  if (who.archived) {
    const tagged = [
      ...parts.map(({ gone }, index) => `select ${index}, ${gone}.${ROW}::text from ${gone}`),
      ...step.deletes
        .map((part, index) => lookBeside(part, `gone${index}`, who))
        .filter((look) => look !== 'null')
        .map((look) => `select null::int, case when (${look}) is null then '' end`),
    ];
    const sql = copyOut(`with ${ctes} ${tagged.join(' union all ')}`);
    const copies = step.deletes.map((part) => copiedRows(part, part.table));
    return [{ sql, steps: step.deletes, rows: 'lines', copies }];
  }
  const answers = [
    ...parts.map(({ gone }) => `(select count(*) from ${gone})`),
    ...step.deletes.map((part, index) => lookBeside(part, `gone${index}`, who)),
  ];
  const sql = `with ${ctes} select ${answers.join(', ')}`;
  return [{ sql, steps: step.deletes, rows: 'columns', copies: [] }];
}

function tableChanges(step: TableStep, target: Target, doomed: string, who: Who): Change[] {
  const { from } = target;
  const steps = [step];
  const copies = who.archived ? [copiedRows(step, target.relation)] : [];
  if (step.kind === 'clear') {
    const sql = who.archived
      ? copyOut(keepingSql(step, target, doomed))
      : clearSql(step, from, doomed);
    return [{ sql, steps, rows: 'tag', copies }];
  }
  return [deleteChange(step, from, doomed, { who, copies }), ...looks(step, from, doomed)];
}

function deleteChange(
  step: DeleteStep,
  from: string,
  doomed: string,
  { who, copies }: { readonly who: Who; readonly copies: Change['copies'] },
): Change {
  const steps = [step];
  const remembers = step.remembers.length > 0;
  if (!who.archived) {
    return remembers
      ? { sql: rememberingSql(step, from, doomed, who), steps, rows: 'columns', copies }
      : { sql: `delete from ${from} t where ${doomed}`, steps, rows: 'tag', copies };
  }
  const goneRows = `delete from ${from} t where ${doomed} returning t.*`;
  const kept = step.remembers.map(
    (parent, each) => `kept${each} as (${rememberSql(parent, 'gone', who)})`,
  );
  const sql = remembers
    ? `with gone as (${goneRows}), ${kept.join(', ')} select * from gone`
    : goneRows;
  return { sql: copyOut(sql), steps, rows: 'tag', copies };
}

const copyOut = (sql: string): string => `copy (${sql}) to stdout`;

const copiedRows = (step: TableStep, relation: TableName): Copied => ({
  kind: step.kind === 'delete' ? 'deleted' : 'changed',
  table: step.table,
  relation,
  step: stepKey(step),
  goesLater: step.kind === 'clear' && (step.reason === 'cycle' || step.reason === 'self'),
});

function rememberingSql(step: DeleteStep, target: string, doomed: string, who: Who): string {
  const { ctes, gone } = deleteParts(step, target, doomed, { who, index: 0 });
  return `with ${ctes.join(', ')} select count(*) from ${gone}`;
}

/** No column of an application's can have these names. */
const ADDRESS = ['tableoid', 'ctid'];
const ROW = '"tenant_purge row"';

/** The row `t` as one value; plain `t` would be the column of that name where there is one. */
const wholeRow = (relation: TableName): string => `(t.*)::${relation}`;

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
  const values = names.map((name) => `t.${column(name)}`);
  const returning = [
    ...values,
    ...(who.archived ? [`${wholeRow(step.table)} as ${ROW}`] : []),
  ].join(', ');
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
const clearSql = (step: ClearStep, target: string, doomed: string): string =>
  `update ${target} t set ${assignments(step)} where ${doomed}`;

/**
 * The same, returning each row as it was and as it is then. A row that another session changes
 * meanwhile has a new address once its lock is had: it is left to the next pass, unchanged and
 * unarchived.
 */
function keepingSql(step: ClearStep, target: Target, doomed: string): string {
  const [oid, tid] = ['"tenant_purge oid"', '"tenant_purge tid"'];
  return `with was as materialized (
      select t.tableoid as ${oid}, t.ctid as ${tid}, ${wholeRow(target.relation)} as ${ROW} from ${target.from} t
      where ${doomed} for update of t)
    update ${target.from} t set ${assignments(step)} from was
    where t.ctid = was.${tid} and t.tableoid = was.${oid} returning (was.${ROW}).*, t.*`;
}

const assignments = (step: ClearStep): string =>
  step.columns
    .map((name, index) => {
      const value = step.values?.[index] ?? null;
      // A bare literal takes the type of the column it is assigned to.
      return `${column(name)} = ${value === null ? 'null' : literal(value)}`;
    })
    .join(', ');

/** Raises TP007 with the name of a row that is still there, before a later statement stumbles on it. */
function looks(step: DeleteStep, target: string, doomed: string): Change[] {
  if (!step.mayKeepRows) return [];
  const sql = `select ${refuseKept(step, target, doomed)}`;
  return [{ sql, steps: [], rows: 'tag', copies: [] }];
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
