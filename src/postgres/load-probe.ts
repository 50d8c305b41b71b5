import { asPurgeId, type PurgeId } from '../domain/ids.ts';
import type { Knobs, LoadReadings, Tuning } from '../domain/load.ts';
import { type Database, withConnection } from './database.ts';
import { toKnobs } from './ledger/throttle.ts';
import { literal } from './rows/row-predicate.ts';

/** One look at the server: its load, and the knobs that operators have turned. */
export interface ProbeAnswer {
  readonly load: LoadReadings;
  readonly tuning: Tuning;
}

/** A probe is no load: it gives up rather than wait. */
const STATEMENT_TIMEOUT_MS = 2_000;
const SLOTS_MAX = 20;
/** Tuned purges read at once, the newest; those that have ended stay in the ledger. */
const TUNED_MAX = 1_000;

/**
 * Reads everything in one message; nothing of it outlives its transaction, so that a pooler in
 * transaction mode serves. Sessions of this program are known by their name, `tenant-purge …`.
 * A role without pg_monitor sees neither the lag of replicas nor other roles' transactions; what it
 * cannot see is null or missing.
 * @param tables those that purges of this process delete from now; leaves, as `schema.table`
 * @throws driver errors
 */
export async function probeLoad(
  database: Database,
  tables: readonly string[],
): Promise<ProbeAnswer> {
  const text = [
    'BEGIN READ ONLY',
    `SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS}`,
    probeSql(tables),
    'COMMIT',
  ].join(';\n');
  return withConnection(database.pool, async (client) => {
    // Several statements: one result for each.
    const results = (await client.query(text)) as unknown as { rows: { answer: Answer }[] }[];
    const answer = results[2]?.rows[0]?.answer;
    if (answer === undefined) throw new Error('the load probe had no answer');
    return toAnswer(answer);
  });
}

interface TuningRow {
  readonly scope: string;
  readonly target_ms: number | null;
  readonly max_rows: number | null;
  readonly max_rows_per_sec: number | null;
}

interface Answer {
  readonly replicas: LoadReadings['replicas'];
  readonly slots: LoadReadings['slots'];
  readonly lockWaiters: number;
  readonly oldestTransaction: LoadReadings['oldestTransaction'];
  readonly tables: LoadReadings['tables'];
  readonly tuning: readonly TuningRow[];
}

function toAnswer({ tuning, ...load }: Answer): ProbeAnswer {
  const purges = new Map<PurgeId, Knobs>();
  let fleet: Knobs = {};
  for (const row of tuning) {
    if (row.scope === 'fleet') fleet = toKnobs(row);
    else purges.set(asPurgeId(row.scope), toKnobs(row));
  }
  return { load, tuning: { fleet, purges } };
}

/** Settings of a table's own go before the server's. */
const storageOption = (name: string): string =>
  `(select option_value from pg_options_to_table(c.reloptions) where option_name = '${name}')`;

function probeSql(tables: readonly string[]): string {
  const named = `array[${tables.map(literal).join(', ')}]::text[]`;
  return `
  with relation as materialized (
    select name, to_regclass(name)::oid as oid from unnest(${named}) as name),
  session as materialized (
    select pid, datname, usename, application_name, backend_type, backend_xid, backend_xmin, xact_start,
           application_name like 'tenant-purge %' and usename = current_user as is_ours
    from pg_stat_activity)
  select json_build_object(
    'replicas', (select coalesce(json_agg(json_build_object(
        'name', coalesce(nullif(r.application_name, ''), 'pid ' || r.pid),
        -- What has caught up keeps its last lag for a while; what has not reported yet has none.
        'lagMs', case when r.replay_lsn >= pg_current_wal_lsn() then 0
                      else extract(epoch from r.replay_lag) * 1000 end)), '[]')
      from pg_stat_replication r where r.state is null or r.state in ('streaming', 'catchup')),
    'slots', (select coalesce(json_agg(s), '[]') from (
      select slot_name as name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) as "walBytes"
      from pg_replication_slots where restart_lsn is not null
        and wal_status is distinct from 'lost' and not temporary
      order by 2 desc limit ${SLOTS_MAX}) s),
    'lockWaiters', (select count(distinct w.pid) from pg_locks w join session a using (pid)
      where not w.granted and not a.is_ours and a.datname = current_database()
        and w.locktype in ('relation', 'transactionid', 'tuple')
        and (w.relation in (select oid from relation)
             or exists (select from session b where b.is_ours
                        and b.pid = any(pg_blocking_pids(w.pid))))),
    'oldestTransaction', (select json_build_object('pid', pid, 'application', name, 'ageMs',
          extract(epoch from clock_timestamp() - since) * 1000)
      from (
        select pid, coalesce(nullif(application_name, ''), usename) as name, xact_start as since
        from session where datname = current_database() and not is_ours
          and backend_type = 'client backend' and coalesce(backend_xmin, backend_xid) is not null
        union all
        select 0, 'prepared transaction ' || gid, prepared from pg_prepared_xacts
        where database = current_database()) t
      where since is not null order by since limit 1),
    'tables', (select coalesce(json_agg(json_build_object('table', r.name,
          'deadRows', pg_stat_get_dead_tuples(c.oid),
          'vacuumAtRows',
            coalesce(${storageOption('autovacuum_vacuum_threshold')},
                     current_setting('autovacuum_vacuum_threshold'))::float8
            + coalesce(${storageOption('autovacuum_vacuum_scale_factor')},
                       current_setting('autovacuum_vacuum_scale_factor'))::float8
              * greatest(c.reltuples, 0))), '[]')
      from relation r join pg_class c using (oid)
      where c.relkind in ('r', 'm') and current_setting('autovacuum')::boolean
        and coalesce(${storageOption('autovacuum_enabled')}::boolean, true)),
    'tuning', (select coalesce(json_agg(t), '[]') from (
      select scope, target_ms, max_rows, max_rows_per_sec from tenant_purge.tuning
      order by scope = 'fleet' desc, changed_at desc limit ${TUNED_MAX}) t)) as answer`;
}

/** Does this role see what the throttle looks at? Without it lag and long transactions go unseen. */
export async function seesLoad(database: Database): Promise<boolean> {
  const { rows } = await database.pool.query<{ sees: boolean }>(
    "select pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') as sees",
  );
  return rows[0]?.sees === true;
}
