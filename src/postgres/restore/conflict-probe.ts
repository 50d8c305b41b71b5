import type { ConflictKind } from '../../domain/restore.ts';
import { arrayLiteral, column, literal } from '../rows/row-predicate.ts';
import { readFault } from '../sqlstate.ts';
import {
  changesOf,
  describeKey,
  isStaged,
  KEY_TEXT_MAX,
  keysOf,
  latestOf,
  live,
  matchKey,
  rawOf,
  type StagedTable,
} from './probe-stage.ts';
import { SKIPPED_CHANGE } from './reference-probe.ts';
import type { RestoreSession } from './restore-session.ts';
import type { TargetTable } from './target.ts';

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

/** Rows of one kind whose lines are kept in memory at once. */
const FETCH_ROWS = 50_000;

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
  const has = (name: string): boolean => isStaged(staged, name);
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
