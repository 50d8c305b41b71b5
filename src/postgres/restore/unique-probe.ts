import { column, literal } from '../rows/row-predicate.ts';
import {
  changesOf,
  KEY_TEXT_MAX,
  keysOf,
  live,
  matchKey,
  type StagedTable,
  wholeOf,
} from './probe-stage.ts';
import type { RestoreSession } from './restore-session.ts';
import type { UniqueRule } from './target.ts';

/** Rows in whose way another row of a unique index or an exclusion constraint stands. */
export async function findTaken(
  session: RestoreSession,
  staged: StagedTable,
  unique: UniqueRule,
): Promise<void> {
  const expressions = elementsOf(unique);
  const where = unique.predicate === null ? '' : `where ${unique.predicate}`;
  const match = matchElements(unique, 't', 's');
  await session.run(`
    insert into pg_temp."#found"
    select ${unique.exclusion ? `distinct on (s."#seq", s."#line")` : ''} 'ROW_TAKEN',
      ${staged.number}, s."#seq", s."#line", ${literal(unique.name)}, ${describeElements(unique)}
    from (select "#seq", "#line", ${expressions} from ${keysOf(staged)} ${where}) s
    join (select ${expressions} from ${live(staged.target)} ${where}) t on ${match}`);
}

/**
 * Archived rows that may not be together, as where a unique index was added since: all but the first of
 * them stand in its way. Of an exclusion constraint every pair is looked at: bound their number.
 */
export async function findRivals(
  session: RestoreSession,
  staged: StagedTable,
  unique: UniqueRule,
): Promise<void> {
  const names = unique.elements.map((_, at) => `"#e${at}"`);
  const where = unique.predicate === null ? '' : `where ${unique.predicate}`;
  const rows = `(select "#seq", "#line", ${elementsOf(unique)} from ${keysOf(staged)} ${where})`;
  const insert = `insert into pg_temp."#found"
    select ${unique.exclusion ? 'distinct on (s."#seq", s."#line")' : ''} 'ROW_TAKEN',
      ${staged.number}, s."#seq", s."#line", ${literal(unique.name)}, ${describeElements(unique)}`;
  if (unique.exclusion) {
    await session.run(`${insert} from ${rows} s join ${rows} t
      on ${matchElements(unique, 't', 's')} and (t."#seq", t."#line") < (s."#seq", s."#line")`);
    return;
  }
  const known = unique.nullsEqual
    ? 'true'
    : names.map((name) => `${name} is not null`).join(' and ');
  await session.run(`
    with twice as materialized (
      select ${names.join(', ')} from ${rows} k where ${known}
      group by ${names.join(', ')} having count(*) > 1)
    ${insert}
    from (
      select k.*, row_number() over (partition by ${names.map((name) => `k.${name}`).join(', ')}
        order by k."#seq", k."#line") as "#place"
      from ${rows} k join twice t on ${matchElements(unique, 't', 'k')}
    ) s where s."#place" > 1`);
}

const elementsOf = ({ elements }: UniqueRule): string =>
  elements
    .map(
      ({ sql, collation }, at) =>
        `(${sql})${collation === null ? '' : ` collate ${collation}`} as "#e${at}"`,
    )
    .join(', ');

const matchElements = ({ elements, nullsEqual }: UniqueRule, left: string, right: string): string =>
  elements
    .map(({ operator }, at) => {
      const equal = `${left}."#e${at}" ${operator} ${right}."#e${at}"`;
      return nullsEqual
        ? `(${equal} or (${left}."#e${at}" is null and ${right}."#e${at}" is null))`
        : equal;
    })
    .join(' and ');

const describeElements = ({ elements }: UniqueRule): string =>
  `left(concat_ws(', ', ${elements
    .map(({ sql }, at) => `${literal(`${sql} = `)} || coalesce(format('%s', s."#e${at}"), 'NULL')`)
    .join(', ')}), ${KEY_TEXT_MAX})`;

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

/**
 * Of the rows whose primary key is taken those that are the very same are no strangers: as the purge
 * deleted them, or as they were before it first changed them.
 * @param hasChanges whether the table's changes are staged
 */
export async function tellPresent(
  session: RestoreSession,
  staged: StagedTable,
  hasChanges: boolean,
): Promise<void> {
  const primary = staged.target.uniques.find((unique) => unique.primary);
  if (primary === undefined) return;
  const changes = changesOf(staged.number);
  const changed = hasChanges
    ? await session.ask<{ name: string }>(`select distinct "#col" as name from ${changes}`)
    : [];
  const key = staged.target.primaryKey.map(column).join(', ');
  const firsts = changed.map(({ name }, at) => ({
    name,
    alias: `c${at}`,
    join: `left join (
        select distinct on (${key}) * from ${changes} where "#col" = ${literal(name)}
        order by ${key}, "#seq"
      ) c${at} on ${matchKey(staged.target, `c${at}`, 's')}`,
  }));
  const same = staged.columns.map((name) => {
    const [own, archived] = [`t.${column(name)}`, `s.${column(name)}`];
    const first = firsts.find((each) => each.name === name);
    if (first === undefined) return sameText(own, archived);
    const before = `case when ${own} is not null then format('%s', ${own}) end
      is not distinct from ${first.alias}."#before"`;
    return `(${sameText(own, archived)} or (${first.alias}."#seq" is not null and ${before}))`;
  });
  await session.run(`
    with present as materialized (
      select s."#seq", s."#line" from ${wholeOf(staged)} s
      join ${live(staged.target)} t on ${matchKey(staged.target, 't', 's')}
      ${firsts.map(({ join }) => join).join(' ')}
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
