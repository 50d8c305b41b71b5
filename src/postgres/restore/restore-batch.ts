import { quoteIdentifier } from '../../domain/identifier.ts';
import { digestText, type LineDigest } from '../../domain/line-digest.ts';
import type { RestoreHold } from '../../domain/restore.ts';
import { column, literal } from '../rows/row-predicate.ts';
import { matchKey } from './probe-stage.ts';
import type { RestoreSession } from './restore-session.ts';
import type { TargetTable, TargetTrigger } from './target.ts';

/** A piece of work as it is booked in the transaction that does it. */
export interface Piece {
  readonly piece: string;
  readonly fromLine: number;
  readonly toLine: number;
  readonly rows: number;
  readonly skipped: number;
  readonly digest: LineDigest | null;
  /** Whether its rows are rows that came back. */
  readonly counts: boolean;
}

/** Books what this transaction has done. */
export async function bookPieces(
  session: RestoreSession,
  hold: RestoreHold,
  pieces: readonly Piece[],
): Promise<void> {
  const values = pieces.map(
    ({ piece, fromLine, toLine, rows, digest }) =>
      `(${literal(hold.purgeId)}, ${literal(piece)}, ${fromLine}, ${toLine}, ${rows},
        ${digest === null ? 'null' : literal(digestText(digest))})`,
  );
  const counted = pieces.filter(({ counts }) => counts);
  const sum = (of: (piece: Piece) => number): number =>
    counted.reduce((total, piece) => total + of(piece), 0);
  await session.run(`
    insert into tenant_purge.restore_done (purge_id, piece, from_line, to_line, rows, digest)
    values ${values.join(', ')};
    update tenant_purge.restore set heartbeat_at = clock_timestamp(),
      rows_restored = rows_restored + ${sum(({ rows }) => rows)},
      rows_skipped = rows_skipped + ${sum(({ skipped }) => skipped)}
    where purge_id = ${literal(hold.purgeId)} and epoch = ${hold.epoch}`);
}

/**
 * Runs `work` while these triggers do not fire. Only this transaction sees them disabled, and it locks
 * the tables against other writers meanwhile: nobody's write goes without its triggers.
 */
export async function withTriggersDisabled<Result>(
  session: RestoreSession,
  triggers: readonly TargetTrigger[],
  work: () => Promise<Result>,
): Promise<Result> {
  if (triggers.length === 0) return work();
  const each = (verb: (trigger: TargetTrigger) => string): string =>
    triggers
      .map(
        (trigger) =>
          `alter table ${trigger.relation} ${verb(trigger)} trigger ${quoteIdentifier(trigger.trigger)}`,
      )
      .join(';\n');
  await session.run(each(() => 'disable'));
  const result = await work();
  // ALTER TABLE refuses while checks of deferred keys are pending.
  await session.run('set constraints all immediate');
  await session.run(each(({ always }) => (always ? 'enable always' : 'enable')));
  return result;
}

const list = (names: readonly string[]): string => names.map(column).join(', ');
const live = (target: TargetTable): string => `${target.partitioned ? '' : 'only '}${target.name}`;

/** COPY takes values for columns GENERATED ALWAYS AS IDENTITY as they are. @returns rows */
export const copyRows = (
  session: RestoreSession,
  target: TargetTable,
  columns: readonly string[],
  lines: AsyncIterable<Buffer>,
): Promise<number> => session.copyIn(`copy ${target.name} (${list(columns)}) from stdin`, lines);

export interface RowStage {
  readonly number: number;
  readonly target: TargetTable;
  readonly columns: readonly string[];
}

const stageOf = ({ number }: Pick<RowStage, 'number'>): string => `pg_temp."#s${number}"`;

/** A temporary table of these columns, for one transaction, filled with the lines. @returns rows */
export async function stageRows(
  session: RestoreSession,
  stage: RowStage,
  lines: AsyncIterable<Buffer>,
): Promise<number> {
  const { target, columns } = stage;
  await session.run(
    `create temp table if not exists ${stageOf(stage)} on commit drop as
       select ${list(columns)} from ${target.name} with no data`,
  );
  return session.copyIn(`copy ${stageOf(stage)} (${list(columns)}) from stdin`, lines);
}

/**
 * Inserts all staged rows of all these tables in one statement: keys are checked at its end, when each
 * row finds those it refers to.
 * @returns rows per table, in their order
 */
export async function insertTogether(
  session: RestoreSession,
  stages: readonly RowStage[],
): Promise<number[]> {
  await session.run('set constraints all deferred');
  const inserts = stages.map(
    ({ number, target, columns }) => `"#i${number}" as (
      insert into ${target.name} (${list(columns)}) overriding system value
      select ${list(columns)} from ${stageOf({ number })} returning 1)`,
  );
  const counts = stages.map(({ number }) => `(select count(*) from "#i${number}") as "n${number}"`);
  const [row] = await session.ask<Record<string, number>>(
    `with ${inserts.join(', ')} select ${counts.join(', ')}`,
  );
  return stages.map(({ number }) => Number(row?.[`n${number}`] ?? 0));
}

/** Sets the staged columns in the rows with the staged primary keys. @returns rows */
export async function linkRows(
  session: RestoreSession,
  stage: RowStage,
  links: readonly string[],
): Promise<number> {
  const set = links.map((name) => `${column(name)} = s.${column(name)}`);
  const { rowCount } = await session
    .run(`
    analyze ${stageOf(stage)};
    update ${live(stage.target)} t set ${set.join(', ')} from ${stageOf(stage)} s
    where ${matchKey(stage.target, 't', 's')}`)
    .then(lastOf);
  return rowCount ?? 0;
}

const lastOf = <Result>(results: Result | Result[]): Result =>
  (Array.isArray(results) ? results.at(-1) : results) as Result;

/** Rows changed in the same columns. */
export interface ChangeStage {
  readonly target: TargetTable;
  /** Columns that tell the row; by their values after the change. */
  readonly identity: readonly string[];
  readonly isKey: boolean;
  readonly changed: readonly string[];
}

const beforeOf = (name: string): string => column(`#before ${name}`);
const afterOf = (name: string): string => column(`#after ${name}`);

/**
 * Gives rows the values they had before, where the changed columns still hold what the purge left.
 * Lines hold the identity, the values before, the values after.
 * @returns rows changed back, rows that had their values already, and how many there were
 */
export async function changeBack(
  session: RestoreSession,
  { target, identity, isKey, changed }: ChangeStage,
  lines: AsyncIterable<Buffer>,
): Promise<{ readonly changed: number; readonly already: number; readonly rows: number }> {
  const name = 'pg_temp."#change"';
  const columns = [
    ...identity.map((each) => [column(each), column(each)] as const),
    ...changed.map((each) => [column(each), beforeOf(each)] as const),
    ...changed.map((each) => [column(each), afterOf(each)] as const),
  ];
  await session.run(
    `create temp table ${name} on commit drop as
       select 0::bigint as "#line", ${columns.map(([from, as]) => `${from} as ${as}`).join(', ')}
       from ${target.name} with no data;
     alter table ${name} alter "#line" set not null,
       alter "#line" add generated always as identity`,
  );
  const rows = await session.copyIn(
    `copy ${name} (${columns.map(([, as]) => as).join(', ')}) from stdin`,
    lines,
  );
  await session.run(`analyze ${name}`);
  const holds = (of: (each: string) => string): string =>
    changed.map((each) => sameText(`t.${column(each)}`, `s.${of(each)}`)).join(' and ');
  const set = changed.map((each) => `${column(each)} = s.${beforeOf(each)}`).join(', ');
  const [done] = isKey
    ? await session.ask<{ done: number }>(`
        with u as (
          update ${live(target)} t set ${set} from ${name} s
          where ${matchKey(target, 't', 's')} and ${holds(afterOf)} returning s."#line")
        select count(*) as done from u`)
    : await session.ask<{ done: number }>(
        changeBackByValues({ target, identity, changed }, name, set),
      );
  const [same] = await session.ask<{ same: number }>(`
    select count(*) as same from ${name} s where exists (
      select from ${live(target)} t where ${
        isKey ? matchKey(target, 't', 's') : unchangedIdentity(identity, changed)
      } and ${holds(beforeOf)})`);
  await session.run(`drop table ${name}`);
  const changedBack = Number(done?.done ?? 0);
  return { changed: changedBack, already: Number(same?.same ?? 0) - changedBack, rows };
}

const unchangedIdentity = (identity: readonly string[], changed: readonly string[]): string =>
  identity
    .filter((name) => !changed.includes(name))
    .map((name) => sameText(`t.${column(name)}`, `s.${column(name)}`))
    .join(' and ') || 'true';

/**
 * Of a table without a primary key: rows that look alike are as good as each other, and each line
 * changes one of them.
 */
function changeBackByValues(
  { target, identity, changed }: Omit<ChangeStage, 'isKey'>,
  name: string,
  set: string,
): string {
  const text = (alias: string, of: (each: string) => string): string =>
    `array[${identity.map((each) => `case when ${alias}.${of(each)} is not null then format('%s', ${alias}.${of(each)}) end`).join(', ')}]::text[]`;
  const after = (each: string): string => (changed.includes(each) ? afterOf(each) : column(each));
  return `
    with wanted as materialized (
      select s.*, ${text('s', after)} as "#text" from ${name} s
    ), numbered as materialized (
      select w.*, row_number() over (partition by "#text" order by "#line") as "#copy" from wanted w
    ), found as materialized (
      select t.tableoid as "#table", t.ctid as "#place", ${text('t', column)} as "#text"
      from ${live(target)} t
      where ${text('t', column)} in (select "#text" from wanted)
    ), placed as materialized (
      select f.*, row_number() over (partition by "#text" order by "#table", "#place") as "#copy"
      from found f
    ), u as (
      update ${live(target)} t set ${set}
      from numbered s join placed p on p."#text" = s."#text" and p."#copy" = s."#copy"
      where t.tableoid = p."#table" and t.ctid = p."#place" returning 1)
    select count(*) as done from u`;
}

const sameText = (left: string, right: string): string =>
  `((${left} is null) = (${right} is null) and format('%s', ${left}) = format('%s', ${right}))`;
