import type { CatalogueIndex } from '../../planner/catalogue.ts';
import type { Leaf } from './catalogue-partitions.ts';
import { LISTED } from './catalogue-scope.ts';
import { groupBy } from './group-by.ts';

export interface IndexRow {
  /** The root, also of an index that only a leaf has. */
  readonly table_oid: string;
  readonly relation_oid: string;
  readonly name: string;
  readonly columns: string[];
  readonly is_primary: boolean;
  readonly is_unique: boolean;
  /** Valid and ready. */
  readonly is_valid: boolean;
  /** Of a kind that serves equality. */
  readonly serves_equality: boolean;
  /** What a partial index is restricted to, as PostgreSQL prints it. */
  readonly predicate: string | null;
  /** It keeps rows apart: unique, or an exclusion. */
  readonly keeps_apart: boolean;
  /** NULLS NOT DISTINCT: two rows without a value are the same to it. */
  readonly nulls_equal: boolean;
  /** Its key columns as such, without those in expressions. */
  readonly plain_columns: string[];
  /** Every column that an expression or the predicate of it reads; plain ones may stand among them. */
  readonly read_columns: string[];
}

/**
 * Indexes of the tables themselves, and of leaves those that are not parts of a valid index of the
 * root. An expression has column number 0 and ends the list of columns that can lead a look-up.
 */
export const INDEXES = `${LISTED}
  SELECT m.root::text AS table_oid, m.oid::text AS relation_oid, ic.relname::text AS name,
    i.indisprimary AS is_primary, (i.indisunique AND i.indimmediate) AS is_unique,
    (i.indisvalid AND i.indisready) AS is_valid, am.amname IN ('btree', 'hash') AS serves_equality,
    CASE WHEN i.indpred IS NOT NULL THEN pg_catalog.pg_get_expr(i.indpred, i.indrelid) END AS predicate,
    coalesce((
      SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.position)
      FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (number, position)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
      WHERE k.position <= i.indnkeyatts AND k.position < coalesce(
        pg_catalog.array_position(i.indkey::pg_catalog.int2[], 0::pg_catalog.int2) + 1, 32767)
    ), '{}') AS columns,
    kind.keeps_apart,
    CASE WHEN kind.keeps_apart
      THEN coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::pg_catalog.bool, false)
      ELSE false END AS nulls_equal,
    CASE WHEN kind.keeps_apart THEN coalesce((
      SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.position)
      FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (number, position)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
      WHERE k.position <= i.indnkeyatts), '{}') ELSE '{}' END AS plain_columns,
    CASE WHEN kind.keeps_apart AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL) THEN coalesce((
      SELECT pg_catalog.array_agg(DISTINCT a.attname::text)
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.refobjid = i.indrelid AND d.refobjsubid > 0), '{}') ELSE '{}' END AS read_columns
  FROM member m
  JOIN pg_catalog.pg_index i ON i.indrelid = m.oid
  JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
  JOIN pg_catalog.pg_am am ON am.oid = ic.relam
  CROSS JOIN LATERAL (SELECT i.indisunique OR i.indisexclusion AS keeps_apart OFFSET 0) AS kind
  LEFT JOIN pg_catalog.pg_index whole ON whole.indrelid = m.root AND whole.indexrelid =
    CASE WHEN ic.relispartition THEN pg_catalog.pg_partition_root(ic.oid)::pg_catalog.oid END
  WHERE m.oid = m.root OR (m.relkind = 'r' AND whole.indisvalid IS NOT TRUE)
  ORDER BY m.root, ic.relname`;

/**
 * The indexes of one table. Those that a partitioned table has only on its leaves count once, by
 * the columns that lead one on every leaf. Pure.
 */
export function toIndexes(
  rows: readonly IndexRow[],
  leaves: readonly Leaf[],
): readonly CatalogueIndex[] {
  const own = rows.filter((row) => row.relation_oid === row.table_oid);
  const onLeaves = rows.filter((row) => row.relation_oid !== row.table_oid && isUsable(row));
  const shared = sharedByLeaves(onLeaves, leaves);
  const onOneLeaf = rows
    .filter((row) => row.relation_oid !== row.table_oid)
    .map((row) => ({
      name: row.name,
      columns: [],
      unique: false,
      usable: false,
      ...colliding(row),
    }))
    .filter((index) => 'nullsCollide' in index);
  const indexes: CatalogueIndex[] = own.map((row) => {
    // Made with ON ONLY and not yet complete: what its would-be parts serve, it serves.
    const isMadeUp =
      !row.is_valid && canServe(row) && shared.some((columns) => leads(row.columns, columns));
    return {
      name: row.name,
      columns: row.columns,
      unique: row.is_unique && !isMadeUp,
      usable: isUsable(row) || isMadeUp,
      ...colliding(row),
    };
  });
  indexes.push(...onOneLeaf);
  for (const columns of shared) {
    if (indexes.some((index) => index.usable && leads(columns, index.columns))) continue;
    const name = onLeaves.find((row) => leads(columns, row.columns))?.name;
    // Unique on each leaf is not unique in the table.
    if (name !== undefined) indexes.push({ name, columns, unique: false, usable: true });
  }
  return indexes;
}

/**
 * Columns whose loss may make two rows the same to the index. A plain key column that is NULL sets a
 * row apart; one that only the predicate or an expression reads may bring it in.
 */
function colliding(row: IndexRow): Pick<CatalogueIndex, 'nullsCollide'> {
  if (!row.keeps_apart) return {};
  const plain = new Set(row.plain_columns);
  const read = row.read_columns.filter((name) => !plain.has(name));
  const columns = [...(row.nulls_equal ? row.plain_columns : []), ...read].filter(
    (name) => !wantsValue(row.predicate, name),
  );
  return columns.length === 0 ? {} : { nullsCollide: columns };
}

/** True where a row without a value of the column is out of the index whatever else it has. */
function wantsValue(predicate: string | null, column: string): boolean {
  if (predicate === null || /\bOR\b/.test(predicate)) return false;
  const wanted = [column, `"${column.replaceAll('"', '""')}"`].map((name) => `${name} IS NOT NULL`);
  return predicate
    .split(/\bAND\b/)
    .some((part) => wanted.includes(part.replaceAll(/^[\s(]+|[\s)]+$/g, '')));
}

const isUsable = (row: IndexRow): boolean => row.is_valid && canServe(row);

const canServe = (row: IndexRow): boolean =>
  row.serves_equality && (row.predicate === null || isNotNullOf(row.predicate, row.columns));

/** A part of a conjunction of `column IS NOT NULL`, as PostgreSQL prints it. */
const CONJUNCT =
  /\s*(?:[()]|AND\b|(?:"(?<quoted>(?:[^"]|"")+)"|(?<plain>[a-z_][a-z0-9_]*)) IS NOT NULL)/y;

/** Look-ups by equality find no NULL, so that they need no row which such an index leaves out. */
function isNotNullOf(predicate: string, columns: readonly string[]): boolean {
  CONJUNCT.lastIndex = 0;
  while (CONJUNCT.lastIndex < predicate.length) {
    const conjunct = CONJUNCT.exec(predicate);
    if (conjunct === null) return false;
    const { quoted, plain } = conjunct.groups ?? {};
    const column = quoted?.replaceAll('""', '"') ?? plain;
    if (column !== undefined && !columns.includes(column)) return false;
  }
  return true;
}

const leads = (columns: readonly string[], index: readonly string[]): boolean =>
  columns.every((column, at) => index[at] === column);

/** The longest lists of columns that lead a usable index on every leaf. */
function sharedByLeaves(
  rows: readonly IndexRow[],
  leaves: readonly Leaf[],
): readonly (readonly string[])[] {
  const byOid = groupBy(rows, (row) => row.relation_oid);
  const byLeaf = leaves.map((leaf) => byOid.get(leaf.oid) ?? []);
  const prefixes = (byLeaf[0] ?? []).flatMap(({ columns }) =>
    columns.map((_, last) => columns.slice(0, last + 1)),
  );
  const shared = prefixes.filter((prefix) =>
    byLeaf.every((indexes) => indexes.some((index) => leads(prefix, index.columns))),
  );
  return shared
    .sort((a, b) => b.length - a.length)
    .filter((columns, at) => !shared.slice(0, at).some((longer) => leads(columns, longer)));
}
