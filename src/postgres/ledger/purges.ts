import { type Kysely, type Selectable, type SelectQueryBuilder, sql } from 'kysely';
import type { ErrorReport } from '../../domain/errors.ts';
import type { CampaignId, PurgeId, WorkerId } from '../../domain/ids.ts';
import { LIVE_STATUSES, type PurgeStatus, type Stage } from '../../domain/purge.ts';
import type { Fence, PurgeRecord } from '../../domain/records.ts';
import type { Residue } from '../../domain/report.ts';
import type { Database } from '../database.ts';
import { type AwaitedPurges, readAwaited } from './awaited.ts';
import { appendEvent } from './events.ts';
import { toPurgeRecord } from './rows.ts';
import type { LedgerTables } from './tables.ts';

type Claim =
  | { readonly kind: 'claimed'; readonly purge: PurgeRecord; readonly fence: Fence }
  /** Not claimable now: paused, ended, not due, the fleet is stopped, or it waits for others. */
  | {
      readonly kind: 'not-claimable';
      readonly purge: PurgeRecord;
      readonly stopped: boolean;
      readonly awaited: AwaitedPurges;
    }
  | { readonly kind: 'unknown' };

/** Which purges a command or a report is about. */
export type PurgeSelection =
  | { readonly kind: 'purge'; readonly id: PurgeId }
  | { readonly kind: 'campaign'; readonly id: CampaignId }
  | { readonly kind: 'tenant'; readonly id: string }
  | { readonly kind: 'live' }
  | { readonly kind: 'all' };

/** What a holder may change about its purge besides the status. */
interface PurgePatch {
  readonly stage?: Stage;
  readonly level?: string | null;
  readonly rowsDeleted?: number;
  readonly residue?: readonly Residue[];
  readonly error?: ErrorReport | null;
  /** Its rows are gone; from now on it waits for the sweep. */
  readonly waitsForSweep?: true;
  readonly interruptions?: number;
  readonly ended?: boolean;
}

/**
 * Rows deleted so far. The purge's own figure moves at the end of a level, its checkpoints' with
 * every batch: two connections that update one row in each batch would wait for each other.
 */
const LIVE_ROWS_DELETED = sql<number>`greatest(rows_deleted, (
  select sum(c.rows) from tenant_purge.checkpoint c where c.purge_id = purge.id))::bigint`.as(
  'rows_deleted',
);

/** A holder moves its purge out of `running`; only a stop that was asked for has another source. */
const HOLDER_SOURCE: Partial<Record<PurgeStatus, PurgeStatus>> = {
  paused: 'pausing',
  cancelled: 'cancelling',
};

export class PurgeStore {
  readonly #ledger: Kysely<LedgerTables>;

  constructor(database: Database) {
    this.#ledger = database.ledger;
  }

  /**
   * Makes `worker` the holder under a new epoch. Waits for a batch that its predecessor has in
   * flight; from then on the predecessor can commit nothing. Calling it twice gives two epochs, of
   * which only the second can write.
   */
  async claim(purgeId: PurgeId, worker: WorkerId): Promise<Claim> {
    const { rows } = await sql<Selectable<LedgerTables['tenant_purge.purge']>>`
      select * from tenant_purge.claim_purge(${purgeId}, ${worker})`.execute(this.#ledger);
    const [claimed] = rows;
    if (claimed !== undefined) {
      const purge = toPurgeRecord(claimed);
      return { kind: 'claimed', purge, fence: { purgeId, epoch: purge.fence, worker } };
    }
    const purge = await this.find(purgeId);
    if (purge === null) return { kind: 'unknown' };
    const control = await this.#ledger
      .selectFrom('tenant_purge.control')
      .select('stopped')
      .executeTakeFirstOrThrow();
    const awaited = await this.awaited(purge);
    return { kind: 'not-claimable', purge, stopped: control.stopped, awaited };
  }

  /** What the purge waits for, at all depths; nothing for most. */
  async awaited(purge: PurgeRecord): Promise<AwaitedPurges> {
    return readAwaited(this.#ledger, purge);
  }

  /**
   * Ends a purge that no worker holds as refused, with the reason, if it is still as it was seen.
   * @returns the new record, or null where it has changed meanwhile; then nothing was written
   */
  async refuseUnclaimed(
    purge: PurgeRecord,
    error: ErrorReport,
    actor: WorkerId,
  ): Promise<PurgeRecord | null> {
    return this.#ledger.transaction().execute(async (trx) => {
      const row = await trx
        .updateTable('tenant_purge.purge')
        .set({
          status: 'refused',
          error: JSON.stringify(error),
          ended_at: sql<Date>`clock_timestamp()`,
        })
        .where('id', '=', purge.id)
        .where('status', '=', purge.status)
        .where('fence', '=', purge.fence)
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) return null;
      await appendEvent(trx, {
        kind: 'refused',
        actor,
        purgeId: purge.id,
        details: { code: error.code },
      });
      return toPurgeRecord(row);
    });
  }

  /**
   * The holder changes its purge: status, stage or figures, with an event, in one statement.
   * @returns the new record, or null when the fence is stale or the status has changed meanwhile
   *   (a stop was asked for); then nothing was written. A record in another status than `to` (`pausing`,
   *   `cancelling`) means that a stop was due at the end of the level: there is no event then, and
   *   where another level was to be entered it was not.
   */
  async write(
    fence: Fence,
    to: PurgeStatus,
    patch: PurgePatch,
    event: { readonly kind: string; readonly details?: Record<string, unknown> } | null,
  ): Promise<PurgeRecord | null> {
    const from = HOLDER_SOURCE[to] ?? 'running';
    const releases = to !== 'running';
    const row = await this.#ledger
      .with('written', (db) =>
        db
          .updateTable('tenant_purge.purge')
          .set({
            status: to,
            ...(patch.stage === undefined ? {} : { stage: patch.stage }),
            ...(patch.level === undefined ? {} : { level: patch.level }),
            ...(patch.rowsDeleted === undefined ? {} : { rows_deleted: patch.rowsDeleted }),
            ...(patch.residue === undefined ? {} : { residue: JSON.stringify(patch.residue) }),
            ...(patch.error === undefined
              ? {}
              : { error: patch.error === null ? null : JSON.stringify(patch.error) }),
            ...(patch.waitsForSweep === undefined
              ? {}
              : { redis_waiting_since: sql<Date>`clock_timestamp()` }),
            ...(patch.interruptions === undefined ? {} : { interruptions: patch.interruptions }),
            ...(patch.ended === true ? { ended_at: sql<Date>`clock_timestamp()` } : {}),
            ...(releases ? { worker: null } : {}),
          })
          .where('id', '=', fence.purgeId)
          .where('fence', '=', fence.epoch)
          .where('status', '=', from)
          .returningAll(),
      )
      .with('noted', (db) =>
        db
          .insertInto('tenant_purge.event')
          .columns(['purge_id', 'kind', 'actor', 'fence', 'details'])
          .expression((eb) =>
            eb
              .selectFrom('written')
              .select([
                'written.id',
                sql<string>`${event?.kind ?? ''}`.as('kind'),
                sql<string>`${fence.worker}`.as('actor'),
                'written.fence',
                sql<Record<string, unknown>>`${JSON.stringify(event?.details ?? {})}::jsonb`.as(
                  'details',
                ),
              ])
              .where(sql<boolean>`${event !== null}`)
              // A stop at the end of the level came instead of what the event says.
              .where('written.status', '=', to),
          ),
      )
      .selectFrom('written')
      .selectAll()
      .executeTakeFirst();
    return row === undefined ? null : toPurgeRecord(row);
  }

  /** The number of its current job; null for a purge that the ledger has not. */
  async jobNumberOf(id: PurgeId): Promise<number | null> {
    const row = await this.#ledger
      .selectFrom('tenant_purge.purge')
      .select('job_number')
      .where('id', '=', id)
      .executeTakeFirst();
    return row?.job_number ?? null;
  }

  async find(id: PurgeId): Promise<PurgeRecord | null> {
    const row = await this.#ledger
      .selectFrom('tenant_purge.purge')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : toPurgeRecord(row);
  }

  /**
   * Oldest first. `tenant` takes the tenant's purges of all campaigns.
   * @param options.ageMinMs only those made so long ago, by the server's clock
   */
  async select(
    selection: PurgeSelection,
    { ageMinMs = 0 }: { readonly ageMinMs?: number } = {},
  ): Promise<PurgeRecord[]> {
    const found = narrow(
      this.#ledger.selectFrom('tenant_purge.purge').selectAll().select(LIVE_ROWS_DELETED),
      selection,
    );
    const rows = await (ageMinMs === 0
      ? found
      : found.where(sql<boolean>`created_at <= clock_timestamp() - ${ageMinMs} * interval '1 ms'`)
    )
      .orderBy('created_at')
      .orderBy('id')
      .execute();
    return rows.map(toPurgeRecord);
  }

  /** Number of purges per status; cheap enough to ask every half second. */
  async countByStatus(selection: PurgeSelection): Promise<StatusCount[]> {
    const rows = await narrow(this.#ledger.selectFrom('tenant_purge.purge'), selection)
      .select((eb) => [
        'status',
        'stage',
        eb.fn.countAll<number>().as('purges'),
        sql<number>`coalesce(sum(greatest(rows_deleted, (select sum(c.rows)
          from tenant_purge.checkpoint c where c.purge_id = purge.id))), 0)`.as('rowsDeleted'),
        eb.fn.coalesce(eb.fn.sum<number>('rows_total'), sql<number>`0`).as('rowsTotal'),
        eb.fn.coalesce(eb.fn.sum<number>('redis_keys_deleted'), sql<number>`0`).as('redisKeys'),
      ])
      .groupBy(['status', 'stage'])
      .execute();
    return rows.map((row) => ({
      status: row.status,
      stage: row.stage,
      purges: Number(row.purges),
      rowsDeleted: Number(row.rowsDeleted),
      rowsTotal: Number(row.rowsTotal),
      redisKeysDeleted: Number(row.redisKeys),
    }));
  }

  /** What a cancelled purge left, where no holder was there to write it. */
  async recordResidue(purgeId: PurgeId, residue: readonly Residue[]): Promise<PurgeRecord | null> {
    const row = await this.#ledger
      .updateTable('tenant_purge.purge')
      .set({ residue: JSON.stringify(residue) })
      .where('id', '=', purgeId)
      .where('status', '=', 'cancelled')
      .returningAll()
      .executeTakeFirst();
    return row === undefined ? null : toPurgeRecord(row);
  }

  /** Marks the parked job as seen among the delayed ones; see `parked` in the ledger. */
  async markParked(purgeId: PurgeId): Promise<void> {
    await this.#ledger
      .updateTable('tenant_purge.purge')
      .set({ parked: true })
      .where('id', '=', purgeId)
      .where('status', '=', 'paused')
      .execute();
  }

  /**
   * Takes a new number for the purge's next job, if it is still as it was seen: two who noticed the
   * same lost job do not both add one, and a purge that has moved on since needs none.
   */
  async renumberJob(purge: PurgeRecord): Promise<number | null> {
    const row = await this.#ledger
      .updateTable('tenant_purge.purge')
      .set({ job_number: purge.jobNumber + 1, parked: false })
      .where('id', '=', purge.id)
      .where('job_number', '=', purge.jobNumber)
      .where('status', '=', purge.status)
      .where('fence', '=', purge.fence)
      .returning('job_number')
      .executeTakeFirst();
    return row?.job_number ?? null;
  }

  /** Whether a batch was committed after the purge's last event of this kind, or at all without one. */
  async hasProgressedSince(purgeId: PurgeId, eventKind: string): Promise<boolean> {
    const { rows } = await sql<{ progressed: boolean }>`
      select exists (
        select from tenant_purge.batch b
        where b.purge_id = ${purgeId} and b.at > coalesce(
          (select max(e.at) from tenant_purge.event e
           where e.purge_id = ${purgeId} and e.kind = ${eventKind}), '-infinity')) as progressed`.execute(
      this.#ledger,
    );
    return rows[0]?.progressed === true;
  }

  /** How far this host's clock is ahead of the server's; negative: behind. */
  async clockAheadMs(): Promise<number> {
    const { rows } = await sql<{ now_ms: number }>`
      select (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms`.execute(
      this.#ledger,
    );
    return Date.now() - Number(rows[0]?.now_ms);
  }

  /** Time of the last sign of life of the holder: its claim, its last batch, or that it holds. */
  async lastSignOfLife(purgeId: PurgeId): Promise<{ ageMs: number } | null> {
    const { rows } = await sql<{ age_ms: number | null }>`
      select extract(epoch from clock_timestamp() - greatest(p.claimed_at,
               (select max(b.at) from tenant_purge.batch b where b.purge_id = p.id),
               (select t.seen_at from tenant_purge.throttled t
                where t.purge_id = p.id and t.fence = p.fence))) * 1000 as age_ms
      from tenant_purge.purge p where p.id = ${purgeId}`.execute(this.#ledger);
    const age = rows[0]?.age_ms;
    return age === undefined || age === null ? null : { ageMs: Number(age) };
  }
}

export interface StatusCount {
  readonly status: PurgeStatus;
  readonly stage: Stage;
  readonly purges: number;
  readonly rowsDeleted: number;
  readonly rowsTotal: number;
  readonly redisKeysDeleted: number;
}

type PurgeQuery<Output> = SelectQueryBuilder<LedgerTables, 'tenant_purge.purge', Output>;

export function narrow<Output>(
  query: PurgeQuery<Output>,
  selection: PurgeSelection,
): PurgeQuery<Output> {
  switch (selection.kind) {
    case 'purge':
      return query.where('id', '=', selection.id);
    case 'campaign':
      return query.where('campaign_id', '=', selection.id);
    case 'tenant':
      return query.where('tenant_id', '=', selection.id);
    case 'live':
      return query.where('status', 'in', [...LIVE_STATUSES]);
    case 'all':
      return query;
    default:
      return selection satisfies never;
  }
}
