import type { Pool } from 'pg';

interface Rule {
  /** Rows of this query break the rule; their columns name where. */
  readonly sql: string;
  readonly broken: string;
}

/** Deleting batches; what the sweep books speaks of keys, and of the time it ended. */
const BATCH = `(select * from tenant_purge.batch where stage <> 'redis') b`;

/** One that began while the transaction of a stop was under way may go on. */
const UNDER_WAY_MS = 1_000;

/**
 * A stop is so when its command returns, which `watchStop` sees to; the ledger has the time at which it
 * was written. A batch's duration is that of its deletes: a worker that was frozen between them and the
 * commit, its locks held and waited for, began earlier than that by as long as it was frozen.
 */
const rulesFor = (frozenMsMax: number): readonly Rule[] => {
  const began = `b.at - make_interval(secs => (b.duration_ms + ${UNDER_WAY_MS + frozenMsMax}) / 1000)`;
  return [...LASTING, ...stopRules(began)];
};

const LASTING: readonly Rule[] = [
  {
    broken: 'a batch under an older fence after one under a newer',
    sql: `select purge_id, id, fence, newest from (
            select b.*, max(fence) over (partition by purge_id order by id) as newest from ${BATCH}) b
          where fence < newest`,
  },
  {
    broken: 'a batch by a worker that had not claimed its fence',
    sql: `select b.purge_id, b.id, b.fence, b.worker from ${BATCH}
          where not exists (select from tenant_purge.event e where e.purge_id = b.purge_id
            and e.kind = 'claimed' and e.fence = b.fence and e.actor = b.worker)`,
  },
  {
    broken: 'a fence claimed twice',
    sql: `select purge_id, fence, count(*) from tenant_purge.event where kind = 'claimed'
          group by 1, 2 having count(*) > 1`,
  },
  {
    broken: 'a batch after the end of its purge',
    sql: `select b.purge_id, b.id, b.at, p.ended_at from ${BATCH}
          join tenant_purge.purge p on p.id = b.purge_id where b.at > p.ended_at`,
  },
  {
    broken: 'a batch after its purge was paused',
    sql: `select b.purge_id, b.id, b.at, e.at as paused_at from ${BATCH}
          join tenant_purge.event e on e.purge_id = b.purge_id
            and e.kind in ('paused', 'paused without its worker')
          where b.at > e.at and not exists (
            select from tenant_purge.event r where r.purge_id = b.purge_id
            and r.kind = 'resume asked' and r.at > e.at and r.at < b.at)`,
  },
  {
    broken: 'a purge that ended twice, or never',
    sql: `select p.id, p.status, count(e.id) from tenant_purge.purge p
          left join tenant_purge.event e on e.purge_id = p.id and (
            e.kind in ('completed', 'incomplete', 'failed', 'refused', 'cancelled',
                       'cancelled without its worker')
            or e.kind = 'cancel asked' and e.details->>'to' = 'cancelled')
          group by 1, 2 having count(e.id) <> 1`,
  },
  {
    broken: 'two purges of one tenant',
    sql: `select tenant_id, count(*) from tenant_purge.purge group by 1 having count(*) > 1`,
  },
  {
    broken: 'the pause of the fleet was left on',
    sql: `select changed_by, changed_at from tenant_purge.control where stopped`,
  },
];

const stopRules = (began: string): readonly Rule[] => [
  {
    broken: 'a batch that began while the fleet was stopped',
    sql: `select b.purge_id, b.id, b.at, e.at as stopped_at from ${BATCH}
          join tenant_purge.event e on e.kind = 'fleet stopped'
          where ${began} > e.at and not exists (
            select from tenant_purge.event r
            where r.kind = 'fleet released' and r.at > e.at and r.at < b.at)`,
  },
  {
    broken: 'a batch that began after a cancel',
    sql: `select b.purge_id, b.id, b.at, e.at as cancelled_at from ${BATCH}
          join tenant_purge.event e on e.purge_id = b.purge_id and e.kind = 'cancel asked'
            and e.details->>'to' like 'cancel%'
          where ${began} > e.at`,
  },
];

/**
 * What the ledger must say of itself, whatever happened.
 * @param frozenMsMax for how long a worker was frozen at most; 0: none was
 */
export async function auditLedger(pool: Pool, frozenMsMax: number): Promise<string[]> {
  const problems: string[] = [];
  for (const { sql, broken } of rulesFor(frozenMsMax)) {
    const { rows } = await pool.query(sql);
    if (rows.length === 0) continue;
    problems.push(`${broken}: ${rows.length}, first ${JSON.stringify(rows[0])}`);
  }
  return problems;
}
