import { type Kysely, sql } from 'kysely';
import { asPurgeId, type PurgeId } from '../../domain/ids.ts';
import type { PurgeStatus, Stage } from '../../domain/purge.ts';
import type { LevelStop } from './command-answers.ts';
import { LOCK_OF_BATCH } from './locks.ts';
import type { PurgeSelection } from './purges.ts';
import type { LedgerTables } from './tables.ts';

/** A stop that was asked for and is not yet so, with what it waits for. */
export interface PendingStop {
  readonly purgeId: PurgeId;
  readonly status: PurgeStatus;
  readonly stage: Stage;
  readonly level: string | null;
  /** Set: it begins when the level is done. Null: as soon as its holder sees it. */
  readonly levelStop: LevelStop | null;
  readonly askedBy: string | null;
  readonly askedAt: Date | null;
  /** Null: nobody holds it, and whoever looks next settles it. */
  readonly worker: string | null;
  readonly claimedAt: Date | null;
  /** Since its holder's claim, its last batch, or when it last said that it holds. */
  readonly silentMs: number | null;
  /** For how long its batch in flight has been open; null where there is none. */
  readonly batchOpenMs: number | null;
}

/** Purges listed at once; the rest is counted. */
const SHOWN_MAX = 200;

/** Only reads, and also reads a ledger from before throttles and stops at the end of a level. */
export async function readPendingStops(
  ledger: Kysely<LedgerTables>,
  selection: PurgeSelection,
): Promise<PendingStop[]> {
  const holding = (await hasThrottle(ledger)) ? LAST_HOLDING : sql`null::timestamptz`;
  const { rows } = await sql<{
    id: string;
    status: PurgeStatus;
    stage: Stage;
    level: string | null;
    level_stop: LevelStop | null;
    asked_by: string | null;
    asked_at: Date | null;
    worker: string | null;
    claimed_at: Date | null;
    silent_ms: number | null;
    batch_open_ms: number | null;
  }>`
    select p.id, p.status, p.stage, p.level, to_jsonb(p) ->> 'stop_after_level' as level_stop,
           asked.actor as asked_by, asked.at as asked_at, p.worker, p.claimed_at,
           (extract(epoch from clock_timestamp() - greatest(p.claimed_at, (
             select max(b.at) from tenant_purge.batch b where b.purge_id = p.id),
             ${holding})) * 1000)::float8
             as silent_ms,
           (select (extract(epoch from clock_timestamp() - min(a.xact_start)) * 1000)::float8
            from pg_locks l join pg_stat_activity a using (pid) where ${LOCK_OF_BATCH})
             as batch_open_ms
    from tenant_purge.purge p
    left join lateral (
      select e.actor, e.at from tenant_purge.event e
      where e.purge_id = p.id and e.kind in ('pause asked', 'cancel asked')
      order by e.id desc limit 1) asked on true
    where (p.status in ('pausing', 'cancelling')
        or p.status in ('running', 'queued', 'interrupted')
          and to_jsonb(p) ->> 'stop_after_level' is not null)
      and ${conditionOf(selection)}
    order by p.created_at, p.id
    limit ${SHOWN_MAX}`.execute(ledger);
  return rows.map((row) => ({
    purgeId: asPurgeId(row.id),
    status: row.status,
    stage: row.stage,
    level: row.level,
    levelStop: row.level_stop,
    askedBy: row.asked_by,
    askedAt: row.asked_at,
    worker: row.worker,
    claimedAt: row.claimed_at,
    silentMs: row.silent_ms,
    batchOpenMs: row.batch_open_ms,
  }));
}

/** A holder that holds back commits no batch, but says once a second that it is there. */
const LAST_HOLDING = sql`(select t.seen_at from tenant_purge.throttled t
  where t.purge_id = p.id and t.fence = p.fence)`;

async function hasThrottle(ledger: Kysely<LedgerTables>): Promise<boolean> {
  const { rows } = await sql<{ present: boolean }>`
    select to_regclass('tenant_purge.throttled') is not null as present`.execute(ledger);
  return rows[0]?.present === true;
}

function conditionOf(selection: PurgeSelection) {
  switch (selection.kind) {
    case 'purge':
      return sql<boolean>`p.id = ${selection.id}`;
    case 'campaign':
      return sql<boolean>`p.campaign_id = ${selection.id}`;
    case 'tenant':
      return sql<boolean>`p.tenant_id = ${selection.id}`;
    case 'live':
    case 'all':
      return sql<boolean>`true`;
    default:
      return selection satisfies never;
  }
}
