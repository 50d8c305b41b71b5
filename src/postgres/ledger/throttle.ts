import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { PurgeId } from '../../domain/ids.ts';
import type { Holding, Knobs } from '../../domain/load.ts';
import type { Fence } from '../../domain/records.ts';
import type { Database } from '../database.ts';
import { appendEvent } from './events.ts';
import type { LedgerTables } from './tables.ts';

/** Knobs of all purges to come and under way, or of one purge. */
export type TuningScope = 'fleet' | PurgeId;

/** What `tune` is to do: set some knobs and leave the others, or take all back. */
export type TuningChange =
  | { readonly kind: 'set'; readonly knobs: Knobs }
  | { readonly kind: 'clear' };

/** How a purge goes now, for those who look. */
export interface ThrottleState {
  readonly holding: Holding | null;
  readonly tuned: Knobs;
  readonly fleetTuned: Knobs;
}

/** Purges that hold, each with its reason. */
export type Holdings = ReadonlyMap<PurgeId, Holding>;

/** A holder renews its reason twice a second; an older one was left behind. */
const HOLDING_MAX_AGE_MS = 5_000;

export class ThrottleStore {
  readonly #ledger: Kysely<LedgerTables>;

  constructor(database: Database) {
    this.#ledger = database.ledger;
  }

  /**
   * Changes knobs, with an event that names the operator, in one transaction. Idempotent, but for the
   * event. Workers follow within about a second.
   * @returns the knobs that stand now for this scope
   */
  async tune(scope: TuningScope, change: TuningChange, operator: string): Promise<Knobs> {
    return this.#ledger.transaction().execute(async (trx) => {
      const knobs = change.kind === 'clear' ? {} : change.knobs;
      if (change.kind === 'clear') {
        await trx.deleteFrom('tenant_purge.tuning').where('scope', '=', scope).execute();
      } else {
        await sql`
          insert into tenant_purge.tuning as t
            (scope, target_ms, max_rows, max_rows_per_sec, changed_by)
          values (${scope}, ${knobs.targetMs ?? null}::integer, ${knobs.maxRows ?? null}::integer,
                  ${knobs.maxRowsPerSec ?? null}::integer, ${operator})
          on conflict (scope) do update set
            target_ms = coalesce(excluded.target_ms, t.target_ms),
            max_rows = coalesce(excluded.max_rows, t.max_rows),
            max_rows_per_sec = coalesce(excluded.max_rows_per_sec, t.max_rows_per_sec),
            changed_by = excluded.changed_by, changed_at = clock_timestamp()`.execute(trx);
      }
      await appendEvent(trx, {
        kind: change.kind === 'clear' ? 'tuning cleared' : 'tuned',
        actor: operator,
        purgeId: scope === 'fleet' ? null : scope,
        details: scope === 'fleet' ? { fleet: true, ...knobs } : knobs,
      });
      const row = await trx
        .selectFrom('tenant_purge.tuning')
        .selectAll()
        .where('scope', '=', scope)
        .executeTakeFirst();
      return row === undefined ? {} : toKnobs(row);
    });
  }

  /**
   * The holder says why it holds, which is also its sign of life and its look for a stop.
   * @returns false when the fence is stale or a stop was asked for; then nothing was written
   */
  async holds(fence: Fence, reasons: readonly string[]): Promise<boolean> {
    const { rows } = await sql`
      insert into tenant_purge.throttled as t (purge_id, fence, reasons)
      select p.id, p.fence, ${[...reasons]}::text[] from tenant_purge.purge p, tenant_purge.control c
      where p.id = ${fence.purgeId} and p.fence = ${fence.epoch} and p.status = 'running'
        and not c.stopped
      on conflict (purge_id) do update set fence = excluded.fence, reasons = excluded.reasons,
        since = case when t.fence = excluded.fence then t.since else excluded.since end,
        seen_at = excluded.seen_at
      returning purge_id`.execute(this.#ledger);
    return rows.length > 0;
  }

  /** The holder goes on. Idempotent. */
  async goesOn(fence: Fence): Promise<void> {
    await this.#ledger
      .deleteFrom('tenant_purge.throttled')
      .where('purge_id', '=', fence.purgeId)
      .where('fence', '=', fence.epoch)
      .execute();
  }

  /**
   * Of one purge, or of all: then `tuned` and `fleetTuned` are the same. Reads only; also a ledger
   * from before there were knobs, which has none.
   */
  async read(scope: TuningScope): Promise<ThrottleState> {
    const nothing: ThrottleState = { holding: null, tuned: {}, fleetTuned: {} };
    if (!(await this.#exists())) return nothing;
    const tuning = await this.#ledger
      .selectFrom('tenant_purge.tuning')
      .selectAll()
      .where('scope', 'in', ['fleet', scope])
      .execute();
    const knobsOf = (of: string): Knobs => {
      const row = tuning.find((each) => each.scope === of);
      return row === undefined ? {} : toKnobs(row);
    };
    const [found] = scope === 'fleet' ? [] : await this.#holdings(sql`t.purge_id = ${scope}`);
    return {
      holding: found === undefined ? null : { reasons: found.reasons, since: found.since },
      tuned: knobsOf(scope),
      fleetTuned: knobsOf('fleet'),
    };
  }

  /** Every purge that holds now, and why. Reads only, as `read` does. */
  async readHoldings(): Promise<Holdings> {
    if (!(await this.#exists())) return new Map();
    const found = await this.#holdings(sql`true`);
    return new Map(found.map(({ purgeId, reasons, since }) => [purgeId, { reasons, since }]));
  }

  async #holdings(condition: RawBuilder<unknown>): Promise<(Holding & { purgeId: PurgeId })[]> {
    const { rows } = await sql<Holding & { purgeId: PurgeId }>`
      select t.purge_id as "purgeId", t.reasons, t.since from tenant_purge.throttled t
      join tenant_purge.purge p on p.id = t.purge_id and p.fence = t.fence
      where ${condition} and p.status in ('running', 'pausing', 'cancelling')
        and t.seen_at > clock_timestamp() - ${HOLDING_MAX_AGE_MS} * interval '1 ms'`.execute(
      this.#ledger,
    );
    return rows;
  }

  async #exists(): Promise<boolean> {
    const { rows } = await sql<{ present: boolean }>`
      select to_regclass('tenant_purge.throttled') is not null as present`.execute(this.#ledger);
    return rows[0]?.present === true;
  }
}

/** Knobs as a row or the load probe has them: null where one is not set. */
export const toKnobs = (row: {
  readonly target_ms: number | null;
  readonly max_rows: number | null;
  readonly max_rows_per_sec: number | null;
}): Knobs => ({
  ...(row.target_ms === null ? {} : { targetMs: row.target_ms }),
  ...(row.max_rows === null ? {} : { maxRows: row.max_rows }),
  ...(row.max_rows_per_sec === null ? {} : { maxRowsPerSec: row.max_rows_per_sec }),
});
