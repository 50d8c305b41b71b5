import type { ConflictKind } from '../../domain/restore.ts';
import { arrayLiteral, column, literal } from '../rows/row-predicate.ts';
import { readFault } from '../sqlstate.ts';
import type { RestoreSession } from './restore-session.ts';
import type { TargetKey, TargetTable, UniqueRule } from './target.ts';

/** Key columns of an archived table's lines, in a temporary table with the types of today. */
export interface StagedTable {
  readonly number: number;
  readonly target: TargetTable;
  readonly columns: readonly string[];
  /** Types as archived of those staged columns that have another one now. */
  readonly retyped: ReadonlyMap<string, string>;
}

/** A conflict of a single line, or of a column of a row that was only changed. */
export interface FoundConflict {
  readonly kind: ConflictKind;
  readonly table: number;
  readonly object: string | null;
  readonly count: number;
  readonly rows: readonly string[];
}

export interface FoundLine {
  readonly kind: ConflictKind | typeof SKIPPED_CHANGE;
  readonly table: number;
  readonly seq: number;
  readonly line: number;
  readonly object: string | null;
}

const KEY_TEXT_MAX = 200;
/** Rows of one kind whose lines are kept in memory at once. */
const FETCH_ROWS = 50_000;

/** Makes the table of findings. All of this lives in temporary tables of one transaction. */
export const openFindings = async (session: RestoreSession): Promise<void> => {
  await session.run(
    `create temp table "#found" (kind text not null, tbl int not null, seq bigint, line bigint,
       object text, key text) on commit drop;
     create index on pg_temp."#found" (tbl, seq, line)`,
  );
};

export const keysOf = ({ number }: StagedTable): string => `pg_temp."#k${number}"`;
const wholeOf = ({ number }: StagedTable): string => `pg_temp."#w${number}"`;
const changesOf = (number: number): string => `pg_temp."#c${number}"`;
const latestOf = (number: number): string => `pg_temp."#l${number}"`;
const rawOf = (name: string): string => column(`#raw ${name}`);

const live = (target: TargetTable): string => `${target.partitioned ? '' : 'only '}${target.name}`;

/**
 * Makes the staging table of a table's keys.
 * @returns COPY … FROM STDIN into it: place, columns, then the retyped ones once more as text
 */
export async function makeStage(session: RestoreSession, staged: StagedTable): Promise<string> {
  return makeCopy(session, staged, keysOf(staged));
}

async function makeCopy(
  session: RestoreSession,
  { target, columns, retyped }: StagedTable,
  name: string,
): Promise<string> {
  const names = columns.map(column);
  const raw = columns.filter((each) => retyped.has(each)).map(rawOf);
  await session.run(
    `create temp table ${name} on commit drop as
       select 0::bigint as "#seq", 0::bigint as "#line"${names.map((each) => `, ${each}`).join('')}${raw.map((each) => `, ''::text as ${each}`).join('')}
       from ${target.name} with no data`,
  );
  return `copy ${name} ("#seq", "#line"${[...names, ...raw].map((each) => `, ${each}`).join('')}) from stdin`;
}

export const analyze = async (session: RestoreSession, staged: StagedTable): Promise<void> => {
  await session.run(`analyze ${keysOf(staged)}`);
};

/** Rows in whose way another row of a unique index or an exclusion constraint stands. */
export async function findTaken(
  session: RestoreSession,
  staged: StagedTable,
  unique: UniqueRule,
): Promise<void> {
  const expressions = unique.elements.map(({ sql }, at) => `(${sql}) as "#e${at}"`).join(', ');
  const where = unique.predicate === null ? '' : `where ${unique.predicate}`;
  const match = unique.elements.map(({ operator }, at) => {
    const equal = `t."#e${at}" ${operator} s."#e${at}"`;
    return unique.nullsEqual
      ? `(${equal} or (t."#e${at}" is null and s."#e${at}" is null))`
      : equal;
  });
  const named = unique.elements.map(
    ({ sql }, at) => `${literal(`${sql} = `)} || coalesce(format('%s', s."#e${at}"), 'NULL')`,
  );
  await session.run(`
    insert into pg_temp."#found"
    select ${unique.exclusion ? `distinct on (s."#seq", s."#line")` : ''} 'ROW_TAKEN',
      ${staged.number}, s."#seq", s."#line", ${literal(unique.name)},
      left(concat_ws(', ', ${named.join(', ')}), ${KEY_TEXT_MAX})
    from (select "#seq", "#line", ${expressions} from ${keysOf(staged)} ${where}) s
    join (select ${expressions} from ${live(staged.target)} ${where}) t on ${match.join(' and ')}`);
}

/** Lines of a table whose primary key is taken. */
export async function takenLines(
  session: RestoreSession,
  staged: StagedTable,
): Promise<Map<number, Set<number>>> {
  const primary = staged.target.uniques.find((unique) => unique.primary);
  const rows = await session.ask<{ seq: number; line: number }>(
    `select distinct seq, line from pg_temp."#found"
     where tbl = ${staged.number} and kind = 'ROW_TAKEN' and object = ${literal(primary?.name ?? '')}`,
  );
  const lines = new Map<number, Set<number>>();
  for (const { seq, line } of rows) {
    const known = lines.get(Number(seq));
    if (known === undefined) lines.set(Number(seq), new Set([Number(line)]));
    else known.add(Number(line));
  }
  return lines;
}

/** As `makeStage`, for whole rows that are to be compared with those that are there. */
export const makeWholeStage = (session: RestoreSession, staged: StagedTable): Promise<string> =>
  makeCopy(session, { ...staged, retyped: new Map() }, wholeOf(staged));

/** Of the rows whose primary key is taken those that are the very same are no strangers. */
export async function tellPresent(session: RestoreSession, staged: StagedTable): Promise<void> {
  const primary = staged.target.uniques.find((unique) => unique.primary);
  if (primary === undefined) return;
  const same = staged.columns.map((name) => sameText(`t.${column(name)}`, `s.${column(name)}`));
  await session.run(`
    with present as materialized (
      select s."#seq", s."#line" from ${wholeOf(staged)} s
      join ${live(staged.target)} t on ${matchKey(staged.target, 't', 's')}
      where ${same.join(' and ') || 'true'}
    ), others as (
      delete from pg_temp."#found" f using present p
      where f.tbl = ${staged.number} and f.seq = p."#seq" and f.line = p."#line"
        and f.object is distinct from ${literal(primary.name)}
    )
    update pg_temp."#found" f set kind = 'ROW_PRESENT' from present p
    where f.tbl = ${staged.number} and f.seq = p."#seq" and f.line = p."#line"
      and f.object = ${literal(primary.name)}`);
}

/** By what the types print: some have no equality, as json and xml. */
const sameText = (left: string, right: string): string =>
  `((${left} is null) = (${right} is null) and format('%s', ${left}) = format('%s', ${right}))`;

export function matchKey(target: TargetTable, left: string, right: string): string {
  const primary = target.uniques.find((unique) => unique.primary);
  return target.primaryKey
    .map(
      (name, at) =>
        `${left}.${column(name)} ${primary?.elements[at]?.operator ?? '='} ${right}.${column(name)}`,
    )
    .join(' and ');
}

/** Columns whose archived text does not come back from the type of today. */
export async function findRetyped(session: RestoreSession, staged: StagedTable): Promise<void> {
  for (const [name, type] of staged.retyped) {
    if (!staged.columns.includes(name)) continue;
    const [known] = await session.ask<{ known: boolean }>(
      `select to_regtype(${literal(type.replace(/\(.*?\)/, ''))}) is not null as known`,
    );
    const back = known?.known === true ? `${column(name)}::${type}` : column(name);
    await session.attempt(() =>
      session.run(`
        insert into pg_temp."#found"
        select 'COLUMN_RETYPED', ${staged.number}, "#seq", "#line", ${literal(name)},
          ${describeKey(staged, '')}
        from ${keysOf(staged)}
        where case when ${column(name)} is not null then format('%s', ${back}) end
          is distinct from ${rawOf(name)}`),
    );
  }
}

/** Rows that a NOT NULL or a CHECK refuses, as far as their columns are staged. */
export async function findRefused(session: RestoreSession, staged: StagedTable): Promise<void> {
  const { target } = staged;
  const has = (name: string): boolean => staged.columns.includes(name);
  const rules = [
    ...target.columns
      .filter(({ name, notNull }) => notNull && has(name))
      .map(({ name }) => ({ name, refuses: `${column(name)} is null` })),
    ...target.checks
      .filter(({ columns }) => columns.every(has))
      .map(({ name, sql }) => ({ name, refuses: `(${sql}) is false` })),
  ];
  for (const { name, refuses } of rules)
    await findWhere(session, staged, 'VALUE_REFUSED', name, refuses);
}

/** Rows that no partition takes. */
export async function findUnrouted(session: RestoreSession, staged: StagedTable): Promise<void> {
  const { leafConditions } = staged.target;
  if (leafConditions === null) return;
  const taken = leafConditions.map((condition) => `(${condition})`).join(' or ') || 'false';
  await findWhere(session, staged, 'PARTITION_MISSING', null, `(${taken}) is not true`);
}

async function findWhere(
  session: RestoreSession,
  staged: StagedTable,
  kind: ConflictKind,
  object: string | null,
  condition: string,
): Promise<void> {
  await session.run(`
    insert into pg_temp."#found"
    select ${literal(kind)}, ${staged.number}, "#seq", "#line",
      ${object === null ? 'null' : literal(object)}, ${describeKey(staged, '')}
    from ${keysOf(staged)} where ${condition}`);
}

/** The row by its key, for people. */
function describeKey({ target, columns }: StagedTable, alias: string): string {
  const names = target.primaryKey.length > 0 ? target.primaryKey : [];
  if (names.length === 0 || !names.every((name) => columns.includes(name))) {
    return `'line ' || ${alias}"#line" || ' of chunk ' || ${alias}"#seq"`;
  }
  const parts = names.map(
    (name) => `${literal(`${name} = `)} || coalesce(format('%s', ${alias}${column(name)}), 'NULL')`,
  );
  return `left(concat_ws(', ', ${parts.join(', ')}), ${KEY_TEXT_MAX})`;
}

export interface KeyProbe {
  readonly key: TargetKey;
  readonly child: StagedTable;
  /** Null where the parent's table is not in the archive, or its rows are back. */
  readonly parent: StagedTable | null;
  /** Chunks of the child to which the key applies; null: all. */
  readonly chunks: readonly number[] | null;
}

/** Rows that refer to what is neither in the archive nor in the database. */
export async function findOrphans(session: RestoreSession, probe: KeyProbe): Promise<void> {
  const { key, child, parent } = probe;
  const own = key.columns.map(column);
  const match = (alias: string): string => matchParent(key, alias, 'v');
  const archived =
    parent === null ? 'true' : `not exists (select from ${keysOf(parent)} q where ${match('q')})`;
  await session.run(`
    with v as materialized (
      select distinct ${own.join(', ')} from ${keysOf(child)} where ${applies(probe, '')}
    ), unarchived as materialized (select * from v where ${archived}),
    gone as materialized (
      select * from unarchived v
      where not exists (select from ${key.parentRelation} p where ${match('p')})
    )
    insert into pg_temp."#found"
    select 'PARENT_GONE', ${child.number}, s."#seq", s."#line", ${literal(key.name)},
      ${describeReference(probe)}
    from ${keysOf(child)} s join gone g on ${own.map((name) => `g.${name} = s.${name}`).join(' and ')}
    where ${applies(probe, 's.')}`);
}

/**
 * Rows that refer to rows which are left out: another row may bear that key now, and they must not
 * become its children. @returns how many were found
 */
export async function findChildrenOfSkipped(
  session: RestoreSession,
  probe: KeyProbe & { readonly parent: StagedTable },
  cleared: readonly string[],
): Promise<number> {
  const { key, child, parent } = probe;
  const { rowCount } = await session.run(`
    insert into pg_temp."#found"
    select distinct on (s."#seq", s."#line") 'PARENT_GONE', ${child.number}, s."#seq", s."#line",
      ${literal(key.name)}, ${describeReference(probe)}
    from (select distinct seq, line from pg_temp."#found"
          where tbl = ${parent.number} and ${isSkipped(cleared)}) f
    join ${keysOf(parent)} q on q."#seq" = f.seq and q."#line" = f.line
    join ${keysOf(child)} s on ${matchParent(key, 'q', 's')}
    where ${applies(probe, 's.')} and not exists (
      select from pg_temp."#found" o where o.tbl = ${child.number} and o.seq = s."#seq"
        and o.line = s."#line" and (o.kind <> 'PARENT_GONE' or o.object = ${literal(key.name)}))`);
  return rowCount ?? 0;
}

/** Of the findings those whose rows stay away: not the ones whose reference is cleared by rule. */
const isSkipped = (cleared: readonly string[], alias = ''): string =>
  `(${alias}kind = 'ROW_TAKEN' or ${alias}kind = 'PARENT_GONE'
    and not (${alias}object = any(${arrayLiteral(cleared)}::text[])))`;

const applies = ({ key, chunks }: KeyProbe, alias: string): string =>
  [
    ...key.columns.map((name) => `${alias}${column(name)} is not null`),
    ...(chunks === null
      ? []
      : [`${alias}"#seq" = any(${literal(`{${chunks.join(',')}}`)}::bigint[])`]),
  ].join(' and ');

const matchParent = (key: TargetKey, parent: string, child: string): string =>
  key.columns
    .map(
      (name, at) =>
        `${parent}.${column(key.referenced[at] ?? name)} ${key.operators[at] ?? '='} ${child}.${column(name)}`,
    )
    .join(' and ');

const describeReference = ({ key, child }: KeyProbe): string =>
  `left(${describeKey(child, 's.')} || ' refers to ' || concat_ws(', ', ${key.columns
    .map(
      (name, at) =>
        `${literal(`${key.referenced[at] ?? name} = `)} || format('%s', s.${column(name)})`,
    )
    .join(', ')}), ${KEY_TEXT_MAX})`;

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

/**
 * Changed rows that are gone, or whose value was changed again since. Rows that the archive brings
 * back come as the purge left them. One whose value is already what it was before is no conflict.
 */
export async function findChangedSince(
  session: RestoreSession,
  number: number,
  target: TargetTable,
  staged: StagedTable | null,
): Promise<string[]> {
  const key = target.primaryKey.map(column).join(', ');
  await session.run(
    `create temp table ${latestOf(number)} on commit drop as
       select distinct on ("#col", ${key}) * from ${changesOf(number)}
       order by "#col", ${key}, "#seq" desc;
     analyze ${latestOf(number)}`,
  );
  const names = await session.ask<{ name: string }>(
    `select distinct "#col" as name from ${latestOf(number)} order by 1`,
  );
  const present = names
    .map(({ name }) => name)
    .filter((name) => target.columns.some((each) => each.name === name && !each.generated));
  const first = column(target.primaryKey[0] ?? '');
  const comesBack =
    staged === null
      ? 'false'
      : `exists (select from ${keysOf(staged)} d where ${matchKey(target, 'd', 'l')})`;
  const rowText = target.primaryKey.map(
    (name) => `${literal(`${name} = `)} || format('%s', l.${column(name)})`,
  );
  for (const name of present) {
    const value = `case when t.${column(name)} is not null then format('%s', t.${column(name)}) end`;
    await session.run(`
      insert into pg_temp."#found"
      select case when t.${first} is null then 'ROW_GONE' else 'CHANGED_SINCE' end, ${number},
        l."#seq", l."#line", ${literal(name)},
        left(concat_ws(', ', ${rowText.join(', ')}), ${KEY_TEXT_MAX})
      from ${latestOf(number)} l left join ${live(target)} t on ${matchKey(target, 't', 'l')}
      where l."#col" = ${literal(name)} and not ${comesBack}
        and (t.${first} is null or (${value} is distinct from l."#after"
          and ${value} is distinct from l."#before"))`);
  }
  return present;
}

/** Changed references of one column whose parent is gone meanwhile. */
export async function findLostParents(
  session: RestoreSession,
  number: number,
  {
    key,
    parent,
    type,
    cleared,
  }: {
    readonly key: TargetKey;
    readonly parent: StagedTable | null;
    /** The column's. */
    readonly type: string;
    readonly cleared: readonly string[];
  },
): Promise<void> {
  const [name = '', referenced = ''] = [key.columns[0], key.referenced[0]];
  const match = (alias: string): string =>
    `${alias}.${column(referenced)} ${key.operators[0] ?? '='} l."#before"::${type}`;
  const isThere = `exists (select from ${key.parentRelation} p where ${match('p')})`;
  const comesBack = (staged: StagedTable): string =>
    `exists (select from ${keysOf(staged)} q where ${match('q')})`;
  const staysAway = (staged: StagedTable): string =>
    `exists (select from ${keysOf(staged)} q join pg_temp."#found" f
       on f.tbl = ${staged.number} and f.seq = q."#seq" and f.line = q."#line"
       where ${match('q')} and ${isSkipped(cleared, 'f.')})`;
  await session.run(`
    insert into pg_temp."#found"
    select 'PARENT_GONE', ${number}, l."#seq", l."#line", ${literal(key.name)},
      left(${literal(`${name} was `)} || l."#before", ${KEY_TEXT_MAX})
    from ${latestOf(number)} l
    where l."#col" = ${literal(name)} and l."#before" is not null
      and not exists (select from pg_temp."#found" f where f.kind = '${SKIPPED_CHANGE}'
        and f.tbl = ${number} and f.seq = l."#seq" and f.line = l."#line")
      and ${parent === null ? `not ${isThere}` : `(not (${isThere} or ${comesBack(parent)}) or ${staysAway(parent)})`}`);
}

/** A line of a changed row that itself is left out: whoever bears its key now is none of our business. */
export const SKIPPED_CHANGE = 'SKIPPED_CHANGE';

/** Marks changes of rows that are left out. */
export async function findChangesOfSkipped(
  session: RestoreSession,
  staged: StagedTable,
  cleared: readonly string[],
): Promise<void> {
  await session.run(`
    insert into pg_temp."#found"
    select distinct '${SKIPPED_CHANGE}', ${staged.number}, c."#seq", c."#line", null, null
    from (select distinct seq, line from pg_temp."#found"
          where tbl = ${staged.number} and ${isSkipped(cleared)}) f
    join ${keysOf(staged)} k on k."#seq" = f.seq and k."#line" = f.line
    join ${changesOf(staged.number)} c on ${matchKey(staged.target, 'k', 'c')}`);
}

/** What was found, with the first rows of each. */
export async function readFindings(
  session: RestoreSession,
  rowsListed: number,
): Promise<FoundConflict[]> {
  const rows = await session.ask<{
    kind: ConflictKind;
    tbl: number;
    object: string | null;
    count: number;
    keys: string[];
  }>(`
    select kind, tbl, object, count(*) as count,
      (array_agg(key order by seq, line))[1:${rowsListed}] as keys
    from pg_temp."#found" where kind <> '${SKIPPED_CHANGE}'
    group by kind, tbl, object order by kind, tbl, object`);
  return rows.map((row) => ({
    kind: row.kind,
    table: row.tbl,
    object: row.object,
    count: Number(row.count),
    rows: row.keys,
  }));
}

/** Lines of these kinds. */
export async function readLines(
  session: RestoreSession,
  kinds: readonly (ConflictKind | typeof SKIPPED_CHANGE)[],
): Promise<FoundLine[]> {
  await session.run(
    `declare "#lines" no scroll cursor for
       select kind, tbl, seq, line, object from pg_temp."#found"
       where kind = any(${arrayLiteral(kinds)}::text[]) order by tbl, seq, line`,
  );
  const lines: FoundLine[] = [];
  for (;;) {
    const rows = await session.ask<{
      kind: FoundLine['kind'];
      tbl: number;
      seq: number;
      line: number;
      object: string | null;
    }>(`fetch ${FETCH_ROWS} from "#lines"`);
    for (const row of rows) {
      lines.push({
        kind: row.kind,
        table: row.tbl,
        seq: Number(row.seq),
        line: Number(row.line),
        object: row.object,
      });
    }
    if (rows.length < FETCH_ROWS) break;
  }
  await session.run('close "#lines"');
  return lines;
}

/** Data that a type or a domain refuses: what PostgreSQL says, where it is no failure of the server. */
export function refusalOf(error: unknown): string | null {
  const { sqlState, message } = readFault(error);
  return sqlState !== null && /^(22|23)/.test(sqlState) ? message : null;
}
