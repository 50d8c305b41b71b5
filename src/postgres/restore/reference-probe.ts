import { arrayLiteral, column, literal } from '../rows/row-predicate.ts';
import {
  changesOf,
  describeKey,
  isStaged,
  KEY_TEXT_MAX,
  keysOf,
  latestOf,
  live,
  matchKey,
  type StagedTable,
} from './probe-stage.ts';
import type { RestoreSession } from './restore-session.ts';
import type { TargetKey, TargetTable } from './target.ts';

export interface KeyProbe {
  readonly key: TargetKey;
  readonly child: StagedTable;
  /** Null where the parent's table is not in the archive, or its rows are back. */
  readonly parent: StagedTable | null;
  /** Chunks of the child to which the key applies; null: all. */
  readonly chunks: readonly number[] | null;
}

/** Rows that refer to what is neither in the archive nor in the database. */
export async function findGoneParents(session: RestoreSession, probe: KeyProbe): Promise<void> {
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

export interface ReferenceProbe {
  readonly key: TargetKey;
  readonly number: number;
  readonly target: TargetTable;
  /** Null where none of its rows come back. */
  readonly child: StagedTable | null;
  /** Null where the parent's table is not in the archive, or its rows are back. */
  readonly parent: StagedTable | null;
  /** Of the key's columns those that the purge has changed. */
  readonly changed: readonly string[];
  readonly cleared: readonly string[];
}

/**
 * Changed references whose parent is gone meanwhile. Of a key of several columns the others are those of
 * the row, as it is or as it comes back.
 */
export async function findLostParents(
  session: RestoreSession,
  { key, number, target, child, parent, changed, cleared }: ReferenceProbe,
): Promise<void> {
  const names = target.primaryKey.map(column).join(', ');
  const typeOf = (name: string): string =>
    target.columns.find((each) => each.name === name)?.type ?? 'text';
  const columns = key.columns.map((name, at) => {
    const sources = [
      `b.${column(name)}`,
      ...(child !== null && isStaged(child, name) ? [`d.${column(name)}`] : []),
    ];
    const own = sources.length === 1 ? (sources[0] ?? '') : `coalesce(${sources.join(', ')})`;
    const isChanged = changed.includes(name);
    return {
      value: isChanged
        ? `case when l${at}."#seq" is not null then l${at}."#before"::${typeOf(name)} else ${own} end`
        : own,
      join: isChanged
        ? `left join ${latestOf(number)} l${at} on l${at}."#col" = ${literal(name)}
             and ${matchKey(target, `l${at}`, 'l')}`
        : '',
      match: (alias: string): string =>
        `${alias}.${column(key.referenced[at] ?? name)} ${key.operators[at] ?? '='} v."#v${at}"`,
      told: `${literal(`${name} was `)} || format('%s', v."#v${at}")`,
    };
  });
  const match = (alias: string): string => columns.map((each) => each.match(alias)).join(' and ');
  const isThere = `exists (select from ${key.parentRelation} p where ${match('p')})`;
  const comesBack = (staged: StagedTable): string =>
    `exists (select from ${keysOf(staged)} q where ${match('q')})`;
  const staysAway = (staged: StagedTable): string =>
    `exists (select from ${keysOf(staged)} q join pg_temp."#found" f
       on f.tbl = ${staged.number} and f.seq = q."#seq" and f.line = q."#line"
       where ${match('q')} and ${isSkipped(cleared, 'f.')})`;
  await session.run(`
    with l as materialized (
      select distinct on (${names}) * from ${latestOf(number)}
      where "#col" = any(${arrayLiteral(changed)}::text[]) order by ${names}, "#seq" desc
    ), v as materialized (
      select l."#seq", l."#line", ${columns.map(({ value }, at) => `${value} as "#v${at}"`).join(', ')}
      from l ${columns.map(({ join }) => join).join(' ')}
      left join ${live(target)} b on ${matchKey(target, 'b', 'l')}
      ${child === null ? '' : `left join ${keysOf(child)} d on ${matchKey(target, 'd', 'l')}`}
    )
    insert into pg_temp."#found"
    select 'PARENT_GONE', ${number}, v."#seq", v."#line", ${literal(key.name)},
      left(concat_ws(', ', ${columns.map(({ told }) => told).join(', ')}), ${KEY_TEXT_MAX})
    from v
    where ${columns.map((_, at) => `v."#v${at}" is not null`).join(' and ')}
      and not exists (select from pg_temp."#found" f where f.kind = '${SKIPPED_CHANGE}'
        and f.tbl = ${number} and f.seq = v."#seq" and f.line = v."#line")
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
