import { column, literal } from '../rows/row-predicate.ts';
import type { RestoreSession } from './restore-session.ts';
import type { TargetTable } from './target.ts';

/** Key columns of an archived table's lines, in a temporary table with the types of today. */
export interface StagedTable {
  readonly number: number;
  readonly target: TargetTable;
  readonly columns: readonly string[];
  /** Generated columns that are computed of them. */
  readonly computed: readonly string[];
  /** Types as archived of those staged columns that have another one now. */
  readonly retyped: ReadonlyMap<string, string>;
}

/** Of a key as people are told it. */
export const KEY_TEXT_MAX = 200;

/** Makes the table of findings. All of this lives in temporary tables of one transaction. */
export const openFindings = async (session: RestoreSession): Promise<void> => {
  await session.run(
    `create temp table "#found" (kind text not null, tbl int not null, seq bigint, line bigint,
       object text, key text) on commit drop;
     create index on pg_temp."#found" (tbl, seq, line)`,
  );
};

/** Whether the stage has this column, as archived or computed. */
export const isStaged = ({ columns, computed }: StagedTable, name: string): boolean =>
  columns.includes(name) || computed.includes(name);

export const keysOf = ({ number }: StagedTable): string => `pg_temp."#k${number}"`;
export const wholeOf = ({ number }: StagedTable): string => `pg_temp."#w${number}"`;
export const changesOf = (number: number): string => `pg_temp."#c${number}"`;
export const latestOf = (number: number): string => `pg_temp."#l${number}"`;
export const rawOf = (name: string): string => column(`#raw ${name}`);

export const live = (target: TargetTable): string =>
  `${target.partitioned ? '' : 'only '}${target.name}`;

/**
 * Makes the staging table of a table's keys.
 * @returns COPY … FROM STDIN into it: place, columns, then the retyped ones once more as text
 */
export async function makeStage(session: RestoreSession, staged: StagedTable): Promise<string> {
  return makeCopy(session, staged, keysOf(staged));
}

async function makeCopy(
  session: RestoreSession,
  { target, columns, computed, retyped }: StagedTable,
  name: string,
): Promise<string> {
  const names = columns.map(column);
  const raw = columns.filter((each) => retyped.has(each)).map(rawOf);
  await session.run(
    `create temp table ${name} on commit drop as
       select 0::bigint as "#seq", 0::bigint as "#line"${names.map((each) => `, ${each}`).join('')}${raw.map((each) => `, ''::text as ${each}`).join('')}
       from ${target.name} with no data`,
  );
  for (const { name: own, type, expression } of target.columns) {
    if (expression === null || !computed.includes(own)) continue;
    await session.run(
      `alter table ${name} add column ${column(own)} ${type} generated always as (${expression}) stored`,
    );
  }
  return `copy ${name} ("#seq", "#line"${[...names, ...raw].map((each) => `, ${each}`).join('')}) from stdin`;
}

export const analyze = async (session: RestoreSession, staged: StagedTable): Promise<void> => {
  await session.run(`analyze ${keysOf(staged)}`);
};

/** As `makeStage`, for whole rows that are to be compared with those that are there. */
export const makeWholeStage = (session: RestoreSession, staged: StagedTable): Promise<string> =>
  makeCopy(session, { ...staged, computed: [], retyped: new Map() }, wholeOf(staged));

/** Makes the table of changed columns: one row a column of a changed line, by the row's primary key. */
export async function makeChangeStage(
  session: RestoreSession,
  number: number,
  target: TargetTable,
): Promise<string> {
  const key = target.primaryKey.map(column);
  await session.run(
    `create temp table ${changesOf(number)} on commit drop as
       select 0::bigint as "#seq", 0::bigint as "#line", ''::text as "#col", ''::text as "#before",
         ''::text as "#after", ${key.join(', ')} from ${target.name} with no data`,
  );
  return `copy ${changesOf(number)} ("#seq", "#line", "#col", "#before", "#after", ${key.join(', ')}) from stdin`;
}

export function matchKey(target: TargetTable, left: string, right: string): string {
  const primary = target.uniques.find((unique) => unique.primary);
  return target.primaryKey
    .map(
      (name, at) =>
        `${left}.${column(name)} ${primary?.elements[at]?.operator ?? '='} ${right}.${column(name)}`,
    )
    .join(' and ');
}

/** The row by its key, for people. */
export function describeKey({ target, columns }: StagedTable, alias: string): string {
  const names = target.primaryKey.length > 0 ? target.primaryKey : [];
  if (names.length === 0 || !names.every((name) => columns.includes(name))) {
    return `'line ' || ${alias}"#line" || ' of chunk ' || ${alias}"#seq"`;
  }
  const parts = names.map(
    (name) => `${literal(`${name} = `)} || coalesce(format('%s', ${alias}${column(name)}), 'NULL')`,
  );
  return `left(concat_ws(', ', ${parts.join(', ')}), ${KEY_TEXT_MAX})`;
}
