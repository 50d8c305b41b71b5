import { LISTED, namesOf, ofApplication } from './catalogue-scope.ts';

/** The planner's questions about tables; those about indexes, partitions and keys stand apart. */

export interface TableRow {
  readonly oid: string;
  readonly schema: string;
  readonly relation: string;
  readonly kind: 'ordinary' | 'partitioned' | 'foreign' | 'inherited';
  readonly unlogged: boolean;
  /** Of a partitioned table, else null. */
  readonly strategy: 'list' | 'range' | 'hash' | null;
  readonly partition_columns: string[];
  readonly estimated_rows: number;
  readonly row_security_applies: boolean;
  readonly missing_privileges: string[];
  readonly replica_identity_ok: boolean;
  readonly publications: string[];
  /** On DELETE. */
  readonly rules: string[];
  readonly update_rules: string[];
  readonly role: string;
}

/**
 * What applies to a partition applies to its root, because a batch may address either: row security,
 * privileges, rules, publications. A publication may name a root, a partition or one between.
 */
export const TABLES = `${LISTED},
  published AS MATERIALIZED (
    SELECT DISTINCT c.oid, p.pubname
    FROM pg_catalog.pg_publication_tables t
    JOIN pg_catalog.pg_publication p ON p.pubname = t.pubname AND (p.pubdelete OR p.pubupdate)
    JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
  ),
  sent AS (
    SELECT m.oid, m.root, p.pubname FROM member m JOIN published p ON p.oid = m.oid
    UNION
    SELECT m.oid, m.root, p.pubname
    FROM member m
    CROSS JOIN LATERAL pg_catalog.pg_partition_ancestors(m.oid) AS above (relation)
    JOIN published p ON p.oid = above.relation
    WHERE m.relispartition
  ),
  publication AS (
    SELECT root, pg_catalog.array_agg(DISTINCT pubname::text) AS names FROM sent GROUP BY root
  ),
  identified AS (
    SELECT DISTINCT m.oid
    FROM member m
    JOIN pg_catalog.pg_index i ON i.indrelid = m.oid
    -- A deferrable primary key identifies nothing: PostgreSQL refuses the DELETE as if there were none.
    WHERE CASE m.relreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate WHEN 'i' THEN i.indisreplident END
  ),
  -- Row filters and column lists came with PostgreSQL 15. What a filter reads must lie within the replica
  -- identity, and that within the list. Of a publication with both, pg_depend tells the two in one.
  unsuited AS (
    SELECT DISTINCT c.oid
    FROM pg_catalog.pg_publication_rel pr
    CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(pr) AS facts OFFSET 0) AS later
    JOIN pg_catalog.pg_publication p ON p.oid = pr.prpubid AND (p.pubdelete OR p.pubupdate)
    JOIN pg_catalog.pg_class c ON c.oid = pr.prrelid
    LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
      AND CASE c.relreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate WHEN 'i' THEN i.indisreplident END
    WHERE CASE
      WHEN later.facts ->> 'prattrs' IS NOT NULL THEN c.relreplident = 'f' OR EXISTS (
        SELECT FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) AS identity (number)
        WHERE NOT identity.number = ANY (
          pg_catalog.translate(later.facts ->> 'prattrs', '[]', '{}')::pg_catalog.int2[]))
      WHEN later.facts ->> 'prqual' IS NOT NULL THEN c.relreplident <> 'f' AND EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_publication_rel'::pg_catalog.regclass AND d.objid = pr.oid
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid
          AND d.refobjsubid > 0 AND NOT d.refobjsubid = ANY (i.indkey::pg_catalog.int2[]))
    END
  ),
  summary AS (
    SELECT m.root,
      pg_catalog.bool_or(m.relkind = 'f') AS has_foreign,
      coalesce(pg_catalog.bool_or(m.relpersistence = 'u') FILTER (WHERE m.relkind <> 'p'), false)
        AS unlogged,
      CASE WHEN pg_catalog.bool_and(m.reltuples < 0) FILTER (WHERE m.relkind <> 'p') THEN -1
        ELSE coalesce(pg_catalog.sum(greatest(m.reltuples, 0)) FILTER (WHERE m.relkind <> 'p'), 0)
      END::pg_catalog.float8 AS estimated_rows,
      pg_catalog.bool_or(pg_catalog.row_security_active(m.oid)) AS row_security_applies,
      pg_catalog.bool_and(pg_catalog.has_schema_privilege(m.relnamespace, 'USAGE')) AS may_use,
      pg_catalog.bool_and(pg_catalog.has_table_privilege(m.oid, 'SELECT')) AS may_select,
      pg_catalog.bool_and(pg_catalog.has_table_privilege(m.oid, 'DELETE')) AS may_delete,
      pg_catalog.bool_and(pg_catalog.has_table_privilege(m.oid, 'UPDATE')) AS may_update,
      pg_catalog.bool_and(
        m.oid NOT IN (SELECT oid FROM unsuited) AND (
          m.relkind <> 'r' OR m.relreplident = 'f'
          OR m.oid IN (SELECT oid FROM identified) OR m.oid NOT IN (SELECT oid FROM sent))
      ) AS replica_identity_ok
    FROM member m GROUP BY m.root
  ),
  rule AS (
    SELECT m.root,
      pg_catalog.array_agg(DISTINCT r.rulename::text) FILTER (WHERE r.ev_type = '4') AS on_delete,
      pg_catalog.array_agg(DISTINCT r.rulename::text) FILTER (WHERE r.ev_type = '2') AS on_update
    FROM pg_catalog.pg_rewrite r
    JOIN member m ON m.oid = r.ev_class
    WHERE r.ev_type IN ('2', '4') AND r.ev_enabled IN ('O', 'A')
    GROUP BY m.root
  ),
  inheriting AS (
    SELECT inhparent AS oid FROM pg_catalog.pg_inherits
    UNION SELECT inhrelid FROM pg_catalog.pg_inherits
  )
  SELECT l.oid::text AS oid, l.nspname::text AS schema, l.relname::text AS relation,
    CASE
      WHEN s.has_foreign THEN 'foreign'
      WHEN l.relkind = 'p' THEN 'partitioned'
      WHEN l.oid IN (SELECT oid FROM inheriting) THEN 'inherited'
      ELSE 'ordinary'
    END AS kind,
    s.unlogged,
    CASE pt.partstrat WHEN 'l' THEN 'list' WHEN 'r' THEN 'range' WHEN 'h' THEN 'hash' END AS strategy,
    CASE WHEN 0 = ANY (pt.partattrs::pg_catalog.int2[]) THEN '{}' ELSE coalesce(
      ${namesOf('l.oid', 'pt.partattrs::pg_catalog.int2[]')}, '{}') END AS partition_columns,
    s.estimated_rows, s.row_security_applies, s.replica_identity_ok,
    pg_catalog.array_remove(ARRAY[
      CASE WHEN NOT s.may_use THEN 'USAGE' END, CASE WHEN NOT s.may_select THEN 'SELECT' END,
      CASE WHEN NOT s.may_delete THEN 'DELETE' END, CASE WHEN NOT s.may_update THEN 'UPDATE' END
    ], NULL) AS missing_privileges,
    coalesce(publication.names, '{}') AS publications,
    coalesce(rule.on_delete, '{}') AS rules, coalesce(rule.on_update, '{}') AS update_rules,
    CURRENT_USER::text AS role
  FROM listed l
  JOIN summary s ON s.root = l.oid
  LEFT JOIN pg_catalog.pg_partitioned_table pt ON pt.partrelid = l.oid
  LEFT JOIN publication ON publication.root = l.oid
  LEFT JOIN rule ON rule.root = l.oid
  ORDER BY l.nspname, l.relname`;

export interface ColumnRow {
  readonly table_oid: string;
  readonly name: string;
  readonly type: string;
  readonly not_null: boolean;
  readonly generated: boolean;
}

/** A domain over one that takes no NULL takes none either. */
export const COLUMNS = `${LISTED},
  strict_domain AS (
    SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typtype = 'd' AND t.typnotnull
    UNION
    SELECT t.oid FROM strict_domain base
    JOIN pg_catalog.pg_type t ON t.typbasetype = base.oid AND t.typtype = 'd'
  ),
  below (domain, oid, mod) AS (
    SELECT t.oid, t.typbasetype, t.typtypmod FROM pg_catalog.pg_type t WHERE t.typtype = 'd'
    UNION ALL
    SELECT b.domain, t.typbasetype, greatest(b.mod, t.typtypmod)
    FROM below b JOIN pg_catalog.pg_type t ON t.oid = b.oid AND t.typtype = 'd'
  ),
  base AS MATERIALIZED (
    SELECT b.domain, pg_catalog.format_type(b.oid, b.mod) AS type
    FROM below b JOIN pg_catalog.pg_type t ON t.oid = b.oid AND t.typtype <> 'd'
  )
  SELECT l.oid::text AS table_oid, a.attname::text AS name,
    coalesce(base.type, pg_catalog.format_type(a.atttypid, a.atttypmod)) AS type,
    (a.attnotnull OR a.atttypid IN (SELECT oid FROM strict_domain)) AS not_null,
    a.attgenerated <> '' AS generated
  FROM listed l
  JOIN pg_catalog.pg_attribute a ON a.attrelid = l.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN base ON base.domain = a.atttypid
  ORDER BY l.oid, a.attnum`;

export interface CheckRow {
  readonly table_oid: string;
  readonly name: string;
  readonly columns: string[];
  readonly definition: string;
}

/** `conenforced` came with PostgreSQL 18: by way of JSON, it is simply absent before. */
export const CHECKS = `${LISTED}
  SELECT l.oid::text AS table_oid, k.conname::text AS name,
    coalesce(${namesOf('k.conrelid', 'k.conkey')}, '{}') AS columns,
    pg_catalog.pg_get_constraintdef(k.oid) AS definition
  FROM listed l
  JOIN pg_catalog.pg_constraint k ON k.conrelid = l.oid AND k.contype = 'c'
  WHERE coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::pg_catalog.bool, true)
  ORDER BY l.oid, k.conname`;

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

export interface ViewRow {
  readonly schema: string;
  readonly relation: string;
  readonly materialized: boolean;
  /** Of a materialized view: the tables that it reads, itself or by way of other views. */
  readonly table_oids: string[];
}

/** A view reads what its rewrite rule depends on; an `edge` leads from a view to one such relation. */
export const VIEWS = `${LISTED},
  edge AS MATERIALIZED (
    SELECT DISTINCT r.ev_class AS reader, d.refobjid AS read
    FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
      AND d.objid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    WHERE d.refobjid <> r.ev_class
  ),
  seen AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('v', 'm') AND ${ofApplication('n.nspname')}
  ),
  source (view, relation) AS (
    SELECT s.oid, e.read FROM seen s JOIN edge e ON e.reader = s.oid WHERE s.relkind = 'm'
    UNION
    SELECT so.view, e.read FROM source so JOIN edge e ON e.reader = so.relation
  )
  SELECT s.nspname::text AS schema, s.relname::text AS relation, s.relkind = 'm' AS materialized,
    coalesce(pg_catalog.array_agg(DISTINCT m.root::text) FILTER (WHERE m.root IS NOT NULL), '{}')
      AS table_oids
  FROM seen s
  LEFT JOIN source so ON so.view = s.oid
  LEFT JOIN member m ON m.oid = so.relation
  GROUP BY s.nspname, s.relname, s.relkind
  ORDER BY s.nspname, s.relname`;
