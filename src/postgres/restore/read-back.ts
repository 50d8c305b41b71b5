import { type LineDigest, LineHasher } from '../../domain/line-digest.ts';
import { column, literal } from '../rows/row-predicate.ts';
import { matchKey } from './probe-stage.ts';
import type { RestoreSession } from './restore-session.ts';
import type { TargetTable } from './target.ts';

export interface ReadBack {
  readonly target: TargetTable;
  readonly columns: readonly string[];
  /** Type as archived, of columns that have another one now. */
  readonly retyped: ReadonlyMap<string, string>;
}

/**
 * Digest of the rows that these transactions wrote last, by one pass over the table: what a row bears
 * as its xmin tells who wrote it. Fit for tables of which a good part came back.
 */
export function digestByTransaction(
  session: RestoreSession,
  table: ReadBack,
  xids: readonly string[],
): Promise<LineDigest> {
  const ids = xids.map((xid) => String(BigInt(xid) & 0xffff_ffffn));
  return digestOf(
    session,
    `select ${values(table)} from ${live(table.target)} t
     where t.xmin = any(${literal(`{${ids.join(',')}}`)}::xid[])`,
  );
}

/** Makes a temporary table of primary keys. @returns COPY … FROM STDIN into it */
export async function makeKeyStage(session: RestoreSession, target: TargetTable): Promise<string> {
  const key = target.primaryKey.map(column).join(', ');
  await session.run(
    `create temp table "#verify" on commit drop as select ${key} from ${target.name} with no data`,
  );
  return `copy pg_temp."#verify" (${key}) from stdin`;
}

/** Digest of the rows with the staged primary keys. Fit for few rows of a large table. */
export async function digestByKey(session: RestoreSession, table: ReadBack): Promise<LineDigest> {
  await session.run('analyze pg_temp."#verify"');
  return digestOf(
    session,
    `select ${values(table)} from pg_temp."#verify" s
     join ${live(table.target)} t on ${matchKey(table.target, 't', 's')}`,
  );
}

/** Of the types as archived those that are still there: the others are read as the type of today. */
export async function knownTypes(
  session: RestoreSession,
  retyped: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, string>> {
  const known = new Map<string, string>();
  for (const [name, type] of retyped) {
    const [row] = await session.ask<{ known: boolean }>(
      `select to_regtype(${literal(type.replace(/\(.*?\)/, ''))}) is not null as known`,
    );
    if (row?.known === true) known.set(name, type);
  }
  return known;
}

async function digestOf(session: RestoreSession, query: string): Promise<LineDigest> {
  const hasher = new LineHasher();
  await session.copyOut(`copy (${query}) to stdout`, (block) => hasher.update(block));
  return hasher.digest();
}

const live = (target: TargetTable): string => `${target.partitioned ? '' : 'only '}${target.name}`;

const values = ({ columns, retyped }: ReadBack): string =>
  columns
    .map((name) => {
      const type = retyped.get(name);
      return `t.${column(name)}${type === undefined ? '' : `::${type}`}`;
    })
    .join(', ');
