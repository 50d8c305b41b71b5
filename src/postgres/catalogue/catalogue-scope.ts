/**
 * What all the planner's questions to the system catalogue begin with. Every name is qualified, so
 * that no search_path can put another object in its place. Oids go as text, names as text: no type
 * parser of a host application changes what they look like.
 */

/** Schemas that no application keeps its tables in: PostgreSQL's, sessions' temporary ones, the ledger's. */
export const ofApplication = (schema: string): string =>
  `${schema} !~ '^pg_' AND ${schema} NOT IN ('information_schema', 'tenant_purge')`;

/**
 * `listed`: the tables of the application, roots only. `member`: each of them with all of its
 * partitions at any depth, itself included. Partitions without storage stand there too.
 */
export const LISTED = `
  WITH RECURSIVE listed AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND ${ofApplication('n.nspname')}
  ),
  member AS (
    SELECT c.oid, l.oid AS root, n.nspname, c.relname, c.relnamespace, c.relkind, c.relpersistence, c.relispartition,
      c.reltuples, c.relreplident
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN listed l ON l.oid = CASE WHEN c.relispartition
      THEN pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid ELSE c.oid END
    WHERE c.relkind IN ('r', 'p', 'f')
  )`;

/** Names of some columns of one table, in the order of `numbers`; NULL where there are none. */
export const namesOf = (relation: string, numbers: string): string => `
  (SELECT pg_catalog.array_agg(a.attname::text ORDER BY part.position)
   FROM pg_catalog.unnest(${numbers}) WITH ORDINALITY AS part (number, position)
   JOIN pg_catalog.pg_attribute a ON a.attrelid = ${relation} AND a.attnum = part.number)`;
