import type pg from 'pg';
import type { Writer } from '../domain/quiesce.ts';

/** Roles and applications told of; more would bury the answer. */
const WRITERS_MAX = 20;

/**
 * Who writes to these tables, as far as the server knows now: sessions with an open transaction that
 * has written there (their locks say so), and sessions whose last statement names the table. Best
 * effort: who has disconnected is not seen, and the statements of other roles only with
 * `pg_read_all_stats`. Never the statements themselves, which hold values. This program's own sessions
 * are left out. Reads only.
 * @param tables as the residue names them, `schema.table`
 */
export async function readWriters(pool: pg.Pool, tables: readonly string[]): Promise<Writer[]> {
  const { rows } = await pool.query(
    `with named as (
       select t.name, to_regclass(t.name) as relation from unnest($1::text[]) as t (name)),
     target as (
       select n.name, coalesce(p.relid, n.relation)::oid as relid, c.relname
       from named n join pg_class c on c.oid = n.relation
       left join lateral pg_partition_tree(n.relation) p on true),
     session as (
       select a.pid, a.usename, a.application_name, a.client_addr, a.query
       from pg_stat_activity a
       where a.datname = current_database() and a.pid <> pg_backend_pid()
         and a.backend_type = 'client backend' and a.application_name not like 'tenant-purge %'),
     found as (
       select distinct s.pid, 'open' as evidence, t.name
       from session s join pg_locks l on l.pid = s.pid join target t on t.relid = l.relation
       where l.locktype = 'relation' and l.granted
         and l.database = (select oid from pg_database where datname = current_database())
         and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                        'AccessExclusiveLock')
       union
       select s.pid, 'last', t.name from session s
       join (select distinct name, relname from target) t
         on s.query ~* '\\m(insert|update|merge|copy)\\M'
           and s.query ~* ('\\m' ||
             regexp_replace(t.relname::text, '([^[:alnum:]_])', '\\\\\\1', 'g') || '\\M'))
     select s.usename as role, s.application_name as application, host(s.client_addr) as client,
            count(distinct s.pid)::int as sessions, f.evidence, array_agg(distinct f.name) as tables
     from found f join session s using (pid)
     where f.evidence = 'open'
       or not exists (select from found o where o.pid = f.pid and o.evidence = 'open')
     group by s.usename, s.application_name, s.client_addr, f.evidence
     order by f.evidence desc, sessions desc, role, application limit ${WRITERS_MAX}`,
    [[...tables]],
  );
  return rows.map((row) => ({
    role: String(row.role ?? ''),
    application: String(row.application ?? ''),
    client: row.client,
    sessions: row.sessions,
    evidence: row.evidence,
    tables: row.tables,
  }));
}
