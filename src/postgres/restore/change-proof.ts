import { column, literal } from '../rows/row-predicate.ts';
import { changesOf, matchKey } from './probe-stage.ts';
import type { RestoreSession } from './restore-session.ts';
import type { TargetTable } from './target.ts';

export interface ChangeProof {
  /** Of the stage that `makeChangeStage` made; it is filled. */
  readonly number: number;
  readonly target: TargetTable;
  /** Types as archived, of columns that have another one now. */
  readonly retyped: ReadonlyMap<string, string>;
  /** Transactions that changed rows of the table back. */
  readonly xids: readonly string[];
  /** Whether the keys of rows that came back are staged, by `makeKeyStage`: all of these have to hold. */
  readonly cameBackStaged: boolean;
}

/** Rows of one column, of those that were to be changed back. */
export interface ProvenColumn {
  readonly column: string;
  readonly rows: number;
  /** Of them those that hold another value than before the purge's first change to it. */
  readonly other: number;
  /** Of these those that the restore wrote last, or that came back. */
  readonly wrong: number;
}

/**
 * Compares the columns that a purge had changed with what they held before its first change. A row that
 * had stayed and that somebody else has written to since bears another transaction, and is theirs.
 */
export async function proveChanges(
  session: RestoreSession,
  { number, target, retyped, xids, cameBackStaged }: ChangeProof,
): Promise<readonly ProvenColumn[]> {
  const key = target.primaryKey.map(column).join(', ');
  await session.run(
    `drop table if exists ${firstOf(number)};
     create temp table ${firstOf(number)} on commit drop as
       select distinct on ("#col", ${key}) * from ${changesOf(number)}
       order by "#col", ${key}, "#seq";
     analyze ${firstOf(number)}`,
  );
  const names = await session.ask<{ name: string }>(
    `select distinct "#col" as name from ${firstOf(number)} order by 1`,
  );
  const ids = xids.map((xid) => String(BigInt(xid) & 0xffff_ffffn));
  const isOurs = `t.xmin = any(${literal(`{${ids.join(',')}}`)}::xid[])`;
  const cameBack = `exists (select from pg_temp."#verify" d where ${matchKey(target, 'd', 'l')})`;
  const live = `${target.partitioned ? '' : 'only '}${target.name}`;
  const proven: ProvenColumn[] = [];
  for (const { name } of names) {
    if (!target.columns.some((each) => each.name === name && !each.generated)) continue;
    const type = retyped.get(name);
    const value = `t.${column(name)}${type === undefined ? '' : `::${type}`}`;
    const [row] = await session.ask<{ rows: string; other: string; wrong: string }>(`
      with l as (
        select l.*, coalesce(${isOurs}, false) as "#ours",
          case when t.${column(name)} is not null then format('%s', ${value}) end
            is distinct from l."#before" as "#other"
        from ${firstOf(number)} l left join ${live} t on ${matchKey(target, 't', 'l')}
        where l."#col" = ${literal(name)})
      select count(*)::text as rows, count(*) filter (where "#other")::text as other,
        count(*) filter (where "#other" and ("#ours" or ${cameBackStaged ? cameBack : 'false'}))::text
          as wrong
      from l`);
    proven.push({
      column: name,
      rows: Number(row?.rows ?? 0),
      other: Number(row?.other ?? 0),
      wrong: Number(row?.wrong ?? 0),
    });
  }
  return proven;
}

const firstOf = (number: number): string => `pg_temp."#f${number}"`;
