import { type RawBuilder, sql } from 'kysely';

/**
 * What is left of the tenant of the row `purge` by the ledger: the rows that were counted for it less
 * those that its batches deleted, per table. Written with the end of a purge that no worker holds, in
 * the same statement: the fresh count that follows may take long, and whoever makes it may die before
 * it is written; in neither case does the purge say that nothing is left.
 */
export const REMAINS_BY_LEDGER: RawBuilder<string> = sql<string>`(
  select coalesce(jsonb_agg(jsonb_build_object('table', r.name, 'count', r.remaining)
                            order by r.name), '[]')
  from (
    select x.key as name, x.value::bigint - coalesce(d.rows, 0) as remaining
    from jsonb_each_text(purge.rows_expected) x
    left join (
      select b.table_name, sum(b.rows)::bigint as rows from tenant_purge.batch b
      where b.purge_id = purge.id and b.kind = 'delete' group by 1) d on d.table_name = x.key) r
  where r.remaining > 0)`;
