/**
 * The planner's questions to the system catalogue. Every name is qualified, so that no search_path
 * can put another object in its place. Oids go as text, names as text: no type parser of a host
 * application changes what they look like.
 */

/**
 * `listed`: the tables of the application, roots only. `member`: each of them with all of its
 * partitions at any depth, itself included. Partitions without storage stand there too.
 */
const LISTED = `
  WITH listed AS (
    SELECT c.oid, n.oid AS schema_oid, n.nspname, c.relname, c.relkind
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'tenant_purge')
  ),
  member AS (
    SELECT c.oid, l.oid AS root, c.relkind, c.relnamespace, c.reltuples, c.relreplident
    FROM pg_catalog.pg_class c
    JOIN listed l ON l.oid = CASE WHEN c.relispartition
      THEN pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid ELSE c.oid END
    WHERE c.relkind IN ('r', 'p', 'f')
  )`;

/** Names of the key columns of one table, in the order of the key. */
const namesOf = (relation: string, numbers: string): string => `
  (SELECT pg_catalog.array_agg(a.attname::text ORDER BY part.position)
   FROM pg_catalog.unnest(${numbers}) WITH ORDINALITY AS part (number, position)
   JOIN pg_catalog.pg_attribute a ON a.attrelid = ${relation} AND a.attnum = part.number)`;

export interface TableRow {
  readonly oid: string;
  readonly schema: string;
  readonly relation: string;
  readonly kind: 'ordinary' | 'partitioned' | 'foreign' | 'inherited';
  readonly estimated_rows: number;
  readonly row_security_applies: boolean;
  readonly missing_privileges: string[];
  readonly replica_identity_ok: boolean;
  readonly rules: string[];
  readonly role: string;
}

/**
 * What applies to a partition applies to its root, because a batch may address either: row security,
 * privileges, rules. A publication may name a root, a partition or one between.
 */
export const TABLES = `${LISTED},
  published AS MATERIALIZED (
    SELECT DISTINCT c.oid
    FROM pg_catalog.pg_publication_tables t
    JOIN pg_catalog.pg_publication p ON p.pubname = t.pubname AND (p.pubdelete OR p.pubupdate)
    JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
  ),
  summary AS (
    SELECT m.root,
      pg_catalog.bool_or(m.relkind = 'f') AS has_foreign,
      CASE WHEN pg_catalog.bool_and(m.reltuples < 0) FILTER (WHERE m.relkind <> 'p') THEN -1
        ELSE coalesce(pg_catalog.sum(greatest(m.reltuples, 0)) FILTER (WHERE m.relkind <> 'p'), 0)
      END::pg_catalog.float8 AS estimated_rows,
      pg_catalog.bool_or(pg_catalog.row_security_active(m.oid)) AS row_security_applies,
      pg_catalog.bool_and(pg_catalog.has_schema_privilege(m.relnamespace, 'USAGE')) AS may_use,
      pg_catalog.bool_and(pg_catalog.has_table_privilege(m.oid, 'SELECT')) AS may_select,
      pg_catalog.bool_and(pg_catalog.has_table_privilege(m.oid, 'DELETE')) AS may_delete,
      pg_catalog.bool_and(pg_catalog.has_table_privilege(m.oid, 'UPDATE')) AS may_update,
      pg_catalog.bool_and(
        m.relkind <> 'r' OR m.relreplident = 'f'
        OR EXISTS (
          SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = m.oid
          AND CASE m.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END)
        OR NOT EXISTS (
          SELECT FROM published p WHERE p.oid = m.oid
          OR p.oid IN (SELECT pg_catalog.pg_partition_ancestors(m.oid)::pg_catalog.oid))
      ) AS replica_identity_ok
    FROM member m GROUP BY m.root
  ),
  rule AS (
    SELECT m.root, pg_catalog.array_agg(DISTINCT r.rulename::text) AS names
    FROM pg_catalog.pg_rewrite r
    JOIN member m ON m.oid = r.ev_class
    WHERE r.ev_type IN ('2', '4') AND r.ev_enabled IN ('O', 'A')
    GROUP BY m.root
  )
  SELECT l.oid::text AS oid, l.nspname::text AS schema, l.relname::text AS relation,
    CASE
      WHEN s.has_foreign THEN 'foreign'
      WHEN l.relkind = 'p' THEN 'partitioned'
      WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE l.oid IN (i.inhparent, i.inhrelid))
        THEN 'inherited'
      ELSE 'ordinary'
    END AS kind,
    s.estimated_rows, s.row_security_applies, s.replica_identity_ok,
    pg_catalog.array_remove(ARRAY[
      CASE WHEN NOT s.may_use THEN 'USAGE' END, CASE WHEN NOT s.may_select THEN 'SELECT' END,
      CASE WHEN NOT s.may_delete THEN 'DELETE' END, CASE WHEN NOT s.may_update THEN 'UPDATE' END
    ], NULL) AS missing_privileges,
    coalesce(rule.names, '{}') AS rules,
    CURRENT_USER::text AS role
  FROM listed l
  JOIN summary s ON s.root = l.oid
  LEFT JOIN rule ON rule.root = l.oid
  ORDER BY l.nspname, l.relname`;

export interface ColumnRow {
  readonly table_oid: string;
  readonly name: string;
  readonly type: string;
  readonly not_null: boolean;
  readonly generated: boolean;
}

export const COLUMNS = `${LISTED}
  SELECT l.oid::text AS table_oid, a.attname::text AS name,
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
    (a.attnotnull OR t.typnotnull) AS not_null, a.attgenerated <> '' AS generated
  FROM listed l
  JOIN pg_catalog.pg_attribute a ON a.attrelid = l.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  ORDER BY l.oid, a.attnum`;

export interface IndexRow {
  readonly table_oid: string;
  readonly name: string;
  readonly columns: string[];
  readonly is_primary: boolean;
  readonly is_unique: boolean;
  readonly usable: boolean;
}

/** An expression has column number 0 and ends the list of columns that can lead a look-up. */
export const INDEXES = `${LISTED}
  SELECT l.oid::text AS table_oid, ic.relname::text AS name, i.indisprimary AS is_primary,
    (i.indisunique AND i.indimmediate) AS is_unique,
    (i.indisvalid AND i.indisready AND i.indpred IS NULL AND am.amname IN ('btree', 'hash')) AS usable,
    coalesce((
      SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.position)
      FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (number, position)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
      WHERE k.position <= i.indnkeyatts AND k.position < coalesce(
        pg_catalog.array_position(i.indkey::pg_catalog.int2[], 0::pg_catalog.int2) + 1, 32767)
    ), '{}') AS columns
  FROM listed l
  JOIN pg_catalog.pg_index i ON i.indrelid = l.oid
  JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
  JOIN pg_catalog.pg_am am ON am.oid = ic.relam
  ORDER BY l.oid, ic.relname`;

export interface TriggerRow {
  readonly table_oid: string;
  readonly name: string;
  /** Bits of `tgtype`. */
  readonly type: number;
}

/** Triggers that fire in an ordinary session; a root's trigger is not repeated for its partitions. */
export const TRIGGERS = `${LISTED}
  SELECT DISTINCT m.root::text AS table_oid, t.tgname::text AS name, t.tgtype::int4 AS type
  FROM pg_catalog.pg_trigger t
  JOIN member m ON m.oid = t.tgrelid
  WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled IN ('O', 'A')
  ORDER BY table_oid, name`;

export interface ForeignKeyRow {
  readonly name: string;
  /** The table that the key is declared on, a partition perhaps. */
  readonly carrier_schema: string;
  readonly carrier_relation: string;
  readonly child_schema: string;
  readonly child_relation: string;
  readonly parent_schema: string;
  readonly parent_relation: string;
  readonly columns: string[];
  readonly referenced_columns: string[];
  readonly delete_action: string;
  readonly deferrable: boolean;
  readonly validated: boolean;
  readonly match_full: boolean;
  readonly on_partition: boolean;
  readonly enforced: boolean;
  readonly period: boolean;
}

/**
 * A key with a parent constraint is what partitioning made of another; that one speaks for it.
 * `conenforced` and `conperiod` came with PostgreSQL 18: asked for by way of JSON, they are simply
 * absent before.
 */
export const FOREIGN_KEYS = `${LISTED}
  SELECT k.conname::text AS name,
    cn.nspname::text AS carrier_schema, cc.relname::text AS carrier_relation,
    child.nspname::text AS child_schema, child.relname::text AS child_relation,
    parent.nspname::text AS parent_schema, parent.relname::text AS parent_relation,
    ${namesOf('k.conrelid', 'k.conkey')} AS columns,
    ${namesOf('k.confrelid', 'k.confkey')} AS referenced_columns,
    k.confdeltype::text AS delete_action, k.condeferrable AS deferrable,
    k.convalidated AS validated, k.confmatchtype = 'f' AS match_full,
    (k.conrelid <> child.oid OR k.confrelid <> parent.oid) AS on_partition,
    coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::bool, true) AS enforced,
    coalesce((pg_catalog.to_jsonb(k) ->> 'conperiod')::bool, false) AS period
  FROM pg_catalog.pg_constraint k
  JOIN member cm ON cm.oid = k.conrelid
  JOIN listed child ON child.oid = cm.root
  JOIN member pm ON pm.oid = k.confrelid
  JOIN listed parent ON parent.oid = pm.root
  JOIN pg_catalog.pg_class cc ON cc.oid = k.conrelid
  JOIN pg_catalog.pg_namespace cn ON cn.oid = cc.relnamespace
  WHERE k.contype = 'f' AND k.conparentid = 0
  ORDER BY 2, 3, 1`;
