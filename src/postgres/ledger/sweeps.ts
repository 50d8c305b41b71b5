import { type Kysely, sql } from 'kysely';
import { asPurgeId, asTenantId, type PurgeId, type TenantId } from '../../domain/ids.ts';
import type { Database } from '../database.ts';
import { lockSweep } from './locks.ts';
import { type HeldPipeline, holdPipeline } from './pipeline.ts';
import type { LedgerTables } from './tables.ts';

/** The claim on one pass over the keyspace; `epoch` is checked before every pipeline. */
export interface SweepClaim {
  readonly id: number;
  readonly epoch: number;
  /** Where a predecessor got to; null for a fresh pass. */
  readonly cursor: string | null;
  readonly purges: readonly { readonly purgeId: PurgeId; readonly tenantId: TenantId }[];
}

/** A purge whose keys are gone; its job can go on. */
export interface SweptPurge {
  readonly id: PurgeId;
  readonly jobNumber: number;
}

/** One pipeline under way: a stop waits until it is left. */
export interface OpenPipeline extends Pick<HeldPipeline<unknown>, 'isHeld' | 'leave'> {
  /** Tenants that may not be swept any more. */
  readonly barred: ReadonlySet<string>;
}

/** A worker that freezes in a pipeline loses its session after this long, and the stop goes on. */
const PIPELINE_IDLE_MAX = '10s';

export type SweepClaimAttempt =
  | { readonly kind: 'claimed'; readonly claim: SweepClaim }
  /** Another holder sweeps, or the purges that wait may get company; look again later. */
  | { readonly kind: 'wait'; readonly lookAgainInMs: number }
  | { readonly kind: 'nothing-waits' };

export interface SweepClaimOptions {
  readonly holder: string;
  /** How long the first purge waits for company. */
  readonly waitMs: number;
  /** A holder silent for longer has lost its claim. */
  readonly leaseMs: number;
}

/** Purges that wait for a sweep: their rows are gone, nobody has stopped them. */
const WAITING = sql<boolean>`status = 'queued' and stage = 'redis' and not swept`;

/** A live purge that has not come to its Redis stage yet, and is on its way there. */
const STILL_COMING = sql<boolean>`status in ('queued', 'running') and stage <> 'redis'
  and stage <> 'verify' and stage <> 'seal'
  -- One that waits for purges below it comes after them: waiting for it would hold them up.
  and (status = 'running' or not exists (
    select from unnest(waits_for) as w (id) join tenant_purge.purge d on d.id = w.id
    where d.status <> 'completed'))`;

export class SweepStore {
  readonly #ledger: Kysely<LedgerTables>;

  constructor(database: Database) {
    this.#ledger = database.ledger;
  }

  /**
   * Claims the next pass for every purge that waits, or takes over a pass whose holder is gone, from
   * its cursor if the Redis is still the same process. One pass at a time (unique index).
   */
  async claim(options: SweepClaimOptions): Promise<SweepClaimAttempt> {
    return this.#ledger.transaction().execute(async (trx) => {
      await lockSweep().execute(trx);
      const open = await trx
        .selectFrom('tenant_purge.sweep')
        .selectAll()
        .select(
          sql<number>`case when heartbeat_at = '-infinity' then 1e12
            else extract(epoch from clock_timestamp() - heartbeat_at) * 1000 end`.as('age_ms'),
        )
        .where('finished_at', 'is', null)
        .executeTakeFirst();
      if (open !== undefined) {
        const silentMs = Number(open.age_ms);
        if (silentMs < options.leaseMs) {
          return { kind: 'wait', lookAgainInMs: Math.min(1_000, options.leaseMs - silentMs) };
        }
        const taken = await trx
          .updateTable('tenant_purge.sweep')
          .set((eb) => ({
            epoch: eb('epoch', '+', 1),
            holder: options.holder,
            heartbeat_at: sql<Date>`clock_timestamp()`,
          }))
          .where('id', '=', open.id)
          .returning(['id', 'epoch', 'cursor'])
          .executeTakeFirstOrThrow();
        // One that is stopped now is not swept by the new holder. Resumed in the middle of the pass,
        // it must not be told at its end that it was.
        await trx
          .updateTable('tenant_purge.purge')
          .set({ sweep_id: null })
          .where('sweep_id', '=', taken.id)
          .where((eb) => eb.not(WAITING))
          .execute();
        return { kind: 'claimed', claim: { ...taken, purges: await purgesOf(trx, taken.id) } };
      }
      const state = await trx
        .selectFrom('tenant_purge.purge')
        .select([
          sql<number>`count(*) filter (where ${WAITING})`.as('waiting'),
          sql<number>`count(*) filter (where ${STILL_COMING})`.as('coming'),
          sql<number | null>`extract(epoch from clock_timestamp()
            - min(redis_waiting_since) filter (where ${WAITING})) * 1000`.as('waited_ms'),
        ])
        .where('status', 'in', ['queued', 'running'])
        .executeTakeFirstOrThrow();
      if (Number(state.waiting) === 0) return { kind: 'nothing-waits' };
      const waitedMs = Number(state.waited_ms ?? options.waitMs);
      if (Number(state.coming) > 0 && waitedMs < options.waitMs) {
        return { kind: 'wait', lookAgainInMs: Math.ceil(options.waitMs - waitedMs) };
      }
      const created = await trx
        .insertInto('tenant_purge.sweep')
        .values({ holder: options.holder })
        .returning(['id', 'epoch', 'cursor'])
        .executeTakeFirstOrThrow();
      await trx
        .updateTable('tenant_purge.purge')
        .set({ sweep_id: created.id })
        .where(WAITING)
        .execute();
      return { kind: 'claimed', claim: { ...created, purges: await purgesOf(trx, created.id) } };
    });
  }

  /**
   * Tenants of the pass that may not be swept any more: paused, cancelled, or all of them while the
   * fleet is stopped. Also the holder's sign of life.
   * @returns null when the claim has gone to another holder: touch nothing more
   */
  async barred(
    claim: SweepClaim,
    ledger: Kysely<LedgerTables> = this.#ledger,
  ): Promise<Set<string> | null> {
    const { rows } = await sql<{ tenant_id: string | null }>`
      with alive as (
        update tenant_purge.sweep set heartbeat_at = clock_timestamp()
        where id = ${claim.id} and epoch = ${claim.epoch} and finished_at is null
          -- A commit for each of 185 pipelines would cost more than the pipelines.
          and heartbeat_at < clock_timestamp() - interval '200 ms')
      select p.tenant_id from tenant_purge.sweep s left join tenant_purge.purge p
        on p.sweep_id = s.id
        and (p.status <> 'queued' or (select stopped from tenant_purge.control))
      where s.id = ${claim.id} and s.epoch = ${claim.epoch} and s.finished_at is null`.execute(
      ledger,
    );
    if (rows.length === 0) return null;
    return new Set(rows.flatMap((row) => (row.tenant_id === null ? [] : [row.tenant_id])));
  }

  /**
   * As `barred`, under a lock that a stop takes exclusively: see `holdPipeline`.
   * @returns null when the claim has gone to another holder
   */
  async enterPipeline(claim: SweepClaim): Promise<OpenPipeline | null> {
    const { found, isHeld, leave } = await holdPipeline(this.#ledger, {
      idleMax: PIPELINE_IDLE_MAX,
      look: (connection) => this.barred(claim, connection),
      isOpen: (barred) => barred !== null,
    });
    return found === null ? null : { barred: found, isHeld, leave };
  }

  /**
   * Books unlinked keys and the cursor in one statement, so that both move or neither. Dropped
   * tenants leave the pass: it does not speak for them, a later one will.
   */
  async progress(
    claim: SweepClaim,
    step: {
      readonly cursor: string;
      readonly scanned: number;
      readonly deleted: ReadonlyMap<string, number>;
      readonly dropped: ReadonlySet<string>;
    },
  ): Promise<void> {
    const tenants = [...step.deleted.keys()];
    const counts = [...step.deleted.values()];
    const dropped = [...step.dropped];
    const total = counts.reduce((sum, count) => sum + count, 0);
    await sql`
      with held as (
        update tenant_purge.sweep
        set cursor = ${step.cursor}, keys_scanned = keys_scanned + ${step.scanned},
            keys_deleted = keys_deleted + ${total}, heartbeat_at = clock_timestamp()
        where id = ${claim.id} and epoch = ${claim.epoch} and finished_at is null
        returning id),
      gone as (
        select tenant_id, sum(keys) as keys from (
          select * from unnest(${tenants}::text[], ${counts}::bigint[]) as g (tenant_id, keys)
          union all select unnest(${dropped}::text[]), 0) together
        group by tenant_id)
      update tenant_purge.purge p
      set redis_keys_deleted = p.redis_keys_deleted + gone.keys,
          sweep_id = case when p.tenant_id = any(${dropped}::text[]) then null else p.sweep_id end
      from gone, held where p.sweep_id = held.id and p.tenant_id = gone.tenant_id`.execute(
      this.#ledger,
    );
  }

  /** Gives the pass up: the next one to ask may take it over at once. */
  async release(claim: SweepClaim): Promise<void> {
    await sql`
      update tenant_purge.sweep set heartbeat_at = '-infinity'
      where id = ${claim.id} and epoch = ${claim.epoch} and finished_at is null`.execute(
      this.#ledger,
    );
  }

  /**
   * Ends the pass. Its purges that nobody stopped meanwhile are swept; those of which a fresh look
   * found nothing left, neither rows nor keys, are completed here, all in one commit: sealing each
   * by itself cost 1,845 small purges two commits more. Stopped ones wait for a later pass.
   * @param left what the fresh look found: keys per tenant, and the tenants that still have rows
   * @returns the purges whose jobs can go on
   */
  async finish(
    claim: SweepClaim,
    left: { readonly keys: ReadonlyMap<string, number>; readonly rows: ReadonlySet<string> },
  ): Promise<SweptPurge[]> {
    const tenants = [...left.keys.keys()];
    const counts = [...left.keys.values()];
    const actor = `sweep ${claim.id}`;
    const { rows } = await sql<{ id: string; swept: boolean; job_number: number }>`
      with held as (
        update tenant_purge.sweep set finished_at = clock_timestamp()
        where id = ${claim.id} and epoch = ${claim.epoch} and finished_at is null
        returning id),
      found as (
        select p.id, p.status = 'queued' and p.stage = 'redis' as goes_on,
               coalesce(k.keys, 0) as keys,
               coalesce(k.keys, 0) = 0 and not (p.tenant_id = any(${[...left.rows]}::text[])) as clean
        from held join tenant_purge.purge p on p.sweep_id = held.id
        left join unnest(${tenants}::text[], ${counts}::bigint[]) as k (tenant_id, keys)
          on k.tenant_id = p.tenant_id
        for update of p),
      settled as (
        update tenant_purge.purge p
        set swept = f.goes_on, sweep_id = null, redis_residue = f.keys,
            status = case when f.goes_on and f.clean then 'completed' else p.status end,
            stage = case when f.goes_on and f.clean then 'seal' else p.stage end,
            ended_at = case when f.goes_on and f.clean then clock_timestamp() else p.ended_at end
        from found f where p.id = f.id
        returning p.id, p.swept, p.status, p.job_number, p.redis_keys_deleted, p.rows_deleted, p.fence),
      booked as (
        insert into tenant_purge.batch
          (purge_id, fence, stage, level, kind, table_name, rows, duration_ms, worker)
        select id, fence, 'redis', 'redis', 'delete', 'redis', redis_keys_deleted, 0, ${actor}
        from settled where swept and redis_keys_deleted > 0),
      noted as (
        insert into tenant_purge.event (purge_id, kind, actor, fence, details)
        select id, 'completed', ${actor}, fence, jsonb_build_object('rows', rows_deleted)
        from settled where status = 'completed')
      select id, swept, job_number from settled`.execute(this.#ledger);
    return rows
      .filter((row) => row.swept)
      .map((row) => ({ id: asPurgeId(row.id), jobNumber: row.job_number }));
  }
}

async function purgesOf(
  ledger: Kysely<LedgerTables>,
  sweepId: number,
): Promise<SweepClaim['purges']> {
  const rows = await ledger
    .selectFrom('tenant_purge.purge')
    .select(['id', 'tenant_id'])
    .where('sweep_id', '=', sweepId)
    .where(WAITING)
    .execute();
  return rows.map((row) => ({ purgeId: asPurgeId(row.id), tenantId: asTenantId(row.tenant_id) }));
}
