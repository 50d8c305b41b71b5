import type { CataloguePartitions } from '../../planner/catalogue.ts';
import { tableName } from '../table-name.ts';
import { LISTED } from './catalogue-scope.ts';
import { groupBy } from './group-by.ts';

export interface PartitionRow {
  readonly root_oid: string;
  readonly oid: string;
  /** The root, or the partition that this one is a part of. */
  readonly parent_oid: string;
  readonly schema: string;
  readonly relation: string;
  /** It has rows of its own, rather than partitions. */
  readonly is_leaf: boolean;
  /** As PostgreSQL prints it; null but directly below a root that is divided by LIST. */
  readonly bound: string | null;
}

/** Every partition at any depth. */
export const PARTITIONS = `${LISTED}
  SELECT m.root::text AS root_oid, m.oid::text AS oid, i.inhparent::text AS parent_oid,
    m.nspname::text AS schema, m.relname::text AS relation, m.relkind <> 'p' AS is_leaf,
    CASE WHEN pt.partstrat = 'l' THEN (
      SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid)
      FROM pg_catalog.pg_class c WHERE c.oid = m.oid) END AS bound
  FROM member m
  JOIN pg_catalog.pg_inherits i ON i.inhrelid = m.oid
  LEFT JOIN pg_catalog.pg_partitioned_table pt ON pt.partrelid = i.inhparent AND i.inhparent = m.root
  WHERE m.relispartition
  ORDER BY m.nspname, m.relname`;

export type Leaf = CataloguePartitions['leaves'][number] & {
  readonly oid: string;
  /** Oids of the leaf and of the partitions that it is a part of, the root left out. */
  readonly lineage: readonly string[];
};

/** The leaves of each partitioned table, by the oid of the root; a root without leaves is absent. Pure. */
export function leavesByRoot(rows: readonly PartitionRow[]): ReadonlyMap<string, readonly Leaf[]> {
  const byOid = new Map(rows.map((row) => [row.oid, row]));
  const leaves = rows
    .filter((row) => row.is_leaf)
    .map((row) => ({ row, leaf: toLeaf(row, byOid) }));
  const groups = groupBy(leaves, ({ row }) => row.root_oid);
  return new Map([...groups].map(([root, group]) => [root, group.map(({ leaf }) => leaf)]));
}

function toLeaf(row: PartitionRow, byOid: ReadonlyMap<string, PartitionRow>): Leaf {
  const lineage: PartitionRow[] = [];
  for (let at: PartitionRow | undefined = row; at !== undefined; at = byOid.get(at.parent_oid)) {
    lineage.push(at);
  }
  const top = lineage.at(-1) ?? row;
  return {
    oid: row.oid,
    lineage: lineage.map(({ oid }) => oid),
    name: tableName(row.schema, row.relation),
    // Whatever lies below a partition of the root lies within that one's bound.
    ...parseListBound(top.bound),
    ...(top === row ? {} : { within: tableName(top.schema, top.relation) }),
  };
}

const LIST_BOUND = /^FOR VALUES IN \((?<values>.*)\)$/s;

/** A string, a bit string, or a word such as a number, `true` or NULL. */
const VALUE = /B?'(?<quoted>(?:[^']|'')*)'|(?<word>[^\s,']+)/gs;

/**
 * The values of `FOR VALUES IN (…)`, as text. Of any other bound (DEFAULT, or null for a table that
 * is not divided by LIST) there are none, and `onlyValues` is false. Pure.
 */
export function parseListBound(bound: string | null): {
  readonly values: readonly string[];
  readonly onlyValues: boolean;
} {
  const list = LIST_BOUND.exec(bound ?? '')?.groups?.['values'];
  if (list === undefined) return { values: [], onlyValues: false };
  const values: string[] = [];
  let onlyValues = true;
  for (const { groups } of list.matchAll(VALUE)) {
    const quoted = groups?.['quoted'];
    if (quoted !== undefined) values.push(quoted.replaceAll("''", "'"));
    else if (groups?.['word'] === 'NULL') onlyValues = false;
    else values.push(groups?.['word'] ?? '');
  }
  return { values, onlyValues };
}
