import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { ArchivedColumn, ArchiveLayout } from '../../domain/archive.ts';
import type { TableName } from '../../domain/ids.ts';
import { literal } from './row-predicate.ts';

/** A relation that rows come from, and the table they belong to. */
export interface RowSource {
  readonly table: TableName;
  /** The table itself, or one of its leaves. */
  readonly relation: TableName;
}

/** Digests remembered at once; a worker meets a handful. */
const REMEMBERED_MAX = 10_000;

/**
 * The columns that `t.*` stood for in a transaction. Its locks keep the tables as they are until it
 * ends; so a look afterwards, in the same transaction, tells what the rows in the archive have.
 * Reading all columns of 27 tables for each small tenant would cost as much as deleting its rows: a
 * digest of them is compared, and what it stands for is read once.
 */
export class LayoutReader {
  readonly #known = new Map<string, readonly ArchiveLayout[]>();

  /** SELECT of one value, the digest, as a column of another SELECT. */
  static digestOf(sources: readonly RowSource[]): string {
    return `(select sum(hash_record_extended(row(a.attrelid, a.attnum, a.attname, a.atttypid,
        a.atttypmod, a.attgenerated, a.attidentity), 0))::text
      from pg_attribute a where a.attrelid = any(array[${sources.map(oidOf).join(', ')}])
        and a.attnum > 0 and not a.attisdropped)`;
  }

  /** In the transaction that the digest was read in; one round trip more when it is a new one. */
  async read(
    client: pg.ClientBase,
    sources: readonly RowSource[],
    digest: string,
  ): Promise<readonly ArchiveLayout[]> {
    const key = `${digest} ${sources.map(({ relation }) => relation).join(' ')}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const { rows } = await client.query(
      sources.map((source) => columnsOf(source)).join('\nunion all '),
    );
    const layouts = sources.map((source, index) => layoutOf(source, rows[index]));
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
    this.#known.set(key, layouts);
    return layouts;
  }
}

const oidOf = ({ relation }: RowSource): string => `${literal(relation)}::regclass::oid`;

const columnsOf = (source: RowSource): string => `select
    (select jsonb_agg(jsonb_build_object('name', a.attname,
        'type', format_type(a.atttypid, a.atttypmod), 'generated', a.attgenerated <> '',
        'identity', case a.attidentity when 'a' then 'always' when 'd' then 'by default' end)
      order by a.attnum)
     from pg_attribute a
     where a.attrelid = ${oidOf(source)} and a.attnum > 0 and not a.attisdropped) as columns,
    (select array_agg(a.attname::text order by k.place)
     from pg_index i cross join unnest(i.indkey) with ordinality as k (attnum, place)
     join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
     where i.indrelid = ${oidOf(source)} and i.indisprimary) as primary_key`;

function layoutOf(
  { table, relation }: RowSource,
  row: { columns: ArchivedColumn[] | null; primary_key: string[] | null } | undefined,
): ArchiveLayout {
  const columns = row?.columns ?? [];
  const primaryKey = row?.primary_key ?? [];
  const text = JSON.stringify([table, relation, columns, primaryKey]);
  const id = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return { id, table, relation, columns, primaryKey };
}
