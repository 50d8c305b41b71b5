import { quoteIdentifier } from '../../domain/identifier.ts';
import type { CatalogueForeignKey, DeleteAction } from '../../planner/catalogue.ts';
import { tableName } from '../table-name.ts';
import type { Leaf } from './catalogue-partitions.ts';
import { namesOf, ofApplication } from './catalogue-scope.ts';
import { groupBy } from './group-by.ts';

export interface ForeignKeyRow {
  readonly name: string;
  /** The table that the key is declared on: the child, or a partition of it. */
  readonly carrier_oid: string;
  readonly carrier_schema: string;
  readonly carrier_relation: string;
  readonly child_oid: string;
  readonly child_schema: string;
  readonly child_relation: string;
  /** The table that the key refers to: the parent, or a partition of it. */
  readonly referenced_oid: string;
  readonly referenced_schema: string;
  readonly referenced_relation: string;
  readonly parent_oid: string;
  readonly parent_schema: string;
  readonly parent_relation: string;
  readonly columns: string[];
  readonly referenced_columns: string[];
  readonly delete_action: string;
  readonly set_columns: string[] | null;
  readonly deferrable: boolean;
  readonly validated: boolean;
  readonly match_full: boolean;
  readonly enforced: boolean;
  readonly period: boolean;
}

/** A relation by its oid as `of`, with its schema, and the root it is a partition of, perhaps itself. */
const related = (of: string, oid: string): string => `
  JOIN pg_catalog.pg_class ${of} ON ${of}.oid = ${oid}
  JOIN pg_catalog.pg_namespace ${of}_schema ON ${of}_schema.oid = ${of}.relnamespace
  JOIN pg_catalog.pg_class ${of}_root ON ${of}_root.oid = CASE WHEN ${of}.relispartition
    THEN pg_catalog.pg_partition_root(${of}.oid)::pg_catalog.oid ELSE ${of}.oid END
  JOIN pg_catalog.pg_namespace ${of}_root_schema ON ${of}_root_schema.oid = ${of}_root.relnamespace`;

/**
 * A key with a parent constraint is what partitioning made of another; that one speaks for it.
 * `confdelsetcols` came with PostgreSQL 15, `conenforced` and `conperiod` with 18: asked for by way of
 * JSON, they are simply absent before.
 *
 * Relations are looked up by oid: where the catalogue was never analysed, PostgreSQL takes the keys
 * for one or two, and joins with a list of all tables went over all pairs (2,000 keys: 360 ms, not 90).
 */
export const FOREIGN_KEYS = `
  SELECT k.conname::text AS name,
    k.conrelid::text AS carrier_oid, child_schema.nspname::text AS carrier_schema,
    child.relname::text AS carrier_relation, child_root.oid::text AS child_oid,
    child_root_schema.nspname::text AS child_schema, child_root.relname::text AS child_relation,
    k.confrelid::text AS referenced_oid, parent_schema.nspname::text AS referenced_schema,
    parent.relname::text AS referenced_relation, parent_root.oid::text AS parent_oid,
    parent_root_schema.nspname::text AS parent_schema, parent_root.relname::text AS parent_relation,
    ${namesOf('k.conrelid', 'k.conkey')} AS columns,
    ${namesOf('k.confrelid', 'k.confkey')} AS referenced_columns,
    k.confdeltype::text AS delete_action, ${namesOf(
      'k.conrelid',
      `pg_catalog.translate(later.facts ->> 'confdelsetcols', '[]', '{}')::pg_catalog.int2[]`,
    )} AS set_columns,
    k.condeferrable AS deferrable, k.convalidated AS validated, k.confmatchtype = 'f' AS match_full,
    coalesce((later.facts ->> 'conenforced')::pg_catalog.bool, true) AS enforced,
    coalesce((later.facts ->> 'conperiod')::pg_catalog.bool, false) AS period
  FROM pg_catalog.pg_constraint k
  CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(k) AS facts OFFSET 0) AS later
  ${related('child', 'k.conrelid')}
  ${related('parent', 'k.confrelid')}
  WHERE k.contype = 'f' AND k.conparentid = 0
    AND ${ofApplication('child_root_schema.nspname')}
    AND ${ofApplication('parent_root_schema.nspname')}
  ORDER BY child_schema.nspname, child.relname, k.conname`;

/**
 * The keys under the roots of their tables. Equivalent keys that together are on every leaf stand
 * for one key of the whole table, under the name that comes first. Pure.
 */
export function toForeignKeys(
  rows: readonly ForeignKeyRow[],
  leaves: ReadonlyMap<string, readonly Leaf[]>,
): readonly CatalogueForeignKey[] {
  const apart = rows.filter((row) => row.carrier_oid !== row.child_oid);
  const merged = new Map<ForeignKeyRow, CatalogueForeignKey | null>();
  for (const same of groupBy(apart, equivalence).values()) {
    const [first] = same;
    if (first === undefined || !isOnEvery(leaves.get(first.child_oid) ?? [], same)) continue;
    for (const row of same) merged.set(row, null);
    const { childPartition: _, ...key } = toForeignKey(first);
    merged.set(first, {
      ...key,
      deferrable: same.every((row) => row.deferrable),
      validated: same.every((row) => row.validated),
    });
  }
  return rows.flatMap((row) => {
    const key = merged.get(row);
    if (key === null) return [];
    return [key ?? toForeignKey(row)];
  });
}

/** What keys of several partitions must have in common to say the same. */
const equivalence = (row: ForeignKeyRow): string =>
  JSON.stringify([
    row.child_oid,
    row.columns,
    row.referenced_oid,
    row.referenced_columns,
    row.delete_action,
    row.set_columns,
    row.match_full,
    row.enforced,
    row.period,
  ]);

function isOnEvery(leaves: readonly Leaf[], keys: readonly ForeignKeyRow[]): boolean {
  const carriers = new Set(keys.map((key) => key.carrier_oid));
  return leaves.every((leaf) => leaf.lineage.some((oid) => carriers.has(oid)));
}

const DELETE_ACTIONS: Readonly<Record<string, DeleteAction>> = {
  a: 'NO ACTION',
  r: 'RESTRICT',
  c: 'CASCADE',
  n: 'SET NULL',
  d: 'SET DEFAULT',
};

function toForeignKey(row: ForeignKeyRow): CatalogueForeignKey {
  const carrier = tableName(row.carrier_schema, row.carrier_relation);
  const onDelete = DELETE_ACTIONS[row.delete_action];
  if (onDelete === undefined) {
    throw new Error(`${carrier}.${row.name}: unknown ON DELETE action ${row.delete_action}`);
  }
  return {
    name: `${carrier}.${quoteIdentifier(row.name)}`,
    child: tableName(row.child_schema, row.child_relation),
    columns: row.columns,
    parent: tableName(row.parent_schema, row.parent_relation),
    referencedColumns: row.referenced_columns,
    onDelete,
    deferrable: row.deferrable,
    validated: row.validated,
    ...(row.match_full ? { matchFull: true } : {}),
    ...(row.set_columns === null ? {} : { setColumns: row.set_columns }),
    ...(row.carrier_oid === row.child_oid ? {} : { childPartition: carrier }),
    ...(row.referenced_oid === row.parent_oid
      ? {}
      : { parentPartition: tableName(row.referenced_schema, row.referenced_relation) }),
    ...(row.enforced ? {} : { enforced: false }),
    ...(row.period ? { period: true } : {}),
  };
}
