import { type Kysely, sql } from 'kysely';
import { PurgeError } from '../../domain/errors.ts';
import type { PurgeRecord } from '../../domain/records.ts';
import type { Database } from '../database.ts';
import { readFault } from '../sqlstate.ts';
import type { CommandName } from './command-answers.ts';
import { answerPurges, type CommandResult, setStopped } from './command-execution.ts';
import { type CommandRequest, type LedgerTransaction, noteSelection } from './command-record.ts';
import { appendEvent } from './events.ts';
import { lockFleet, lockPipelines, lockPurge, tryLockPurge } from './locks.ts';
import type { PurgeSelection } from './purges.ts';
import { REMAINS_BY_LEDGER } from './remains.ts';
import { toPurgeRecord } from './rows.ts';
import { type PendingStop, readPendingStops } from './stop-state.ts';
import type { LedgerTables } from './tables.ts';

export { COMMAND_EFFECTS, type CommandName, type LevelStop } from './command-answers.ts';
export type { CommandResult } from './command-execution.ts';
export type { CommandRequest } from './command-record.ts';
export type { PendingStop } from './stop-state.ts';

export interface FleetControl {
  readonly stopped: boolean;
  readonly changedBy: string | null;
  readonly changedAt: Date | null;
  /** The fleet was released, and its queue is still to be told. */
  readonly queueReleaseDue: boolean;
}

/** Writes that hold a purge's row for longer than this are no writes of this program. */
const ROW_WAIT_MS = 10_000;
const DEADLOCK_TRIES_MAX = 3;
/** Advisory locks one transaction takes; the server has room for some thousands in all. */
const LOCKS_AT_ONCE = 64;
/** A statement of the ledger that gets no answer for a minute is given up; a wait asks again before. */
const LOCK_WAIT_SLICE_MS = 30_000;

export class CommandStore {
  readonly #ledger: Kysely<LedgerTables>;
  readonly #lockWaitSliceMs: number;

  constructor(database: Database, lockWaitSliceMs = LOCK_WAIT_SLICE_MS) {
    this.#ledger = database.ledger;
    this.#lockWaitSliceMs = lockWaitSliceMs;
  }

  /**
   * Records a command and applies it to the selected purges. Waits for no batch: once it has
   * returned none that begins later can commit against it, while one in flight still may; `drain`
   * waits for those. A stop of the fleet is committed first, by itself. Every command leaves an
   * event, also one that changes nothing or is refused. Idempotent.
   * @throws PurgeError TIMED_OUT where somebody else keeps the purges' rows locked
   */
  async apply(
    command: CommandName,
    selection: PurgeSelection,
    request: CommandRequest,
  ): Promise<CommandResult[]> {
    const turnsFleet = request.fleet && command !== 'cancel';
    if (turnsFleet && command === 'pause') {
      await this.#transaction((trx) => setStopped(trx, true, request));
    }
    return this.#transaction(async (trx) => {
      if (turnsFleet && command === 'resume') await setStopped(trx, false, request);
      const results = await answerPurges(trx, command, { selection, request });
      await noteSelection(trx, command, { selection, request, results });
      return results;
    });
  }

  /**
   * Waits until no batch is in flight that does not know of the stop, and no pipeline of the sweep: of
   * the whole fleet, or of these purges. Purges that a claim made running while the fleet was being stopped are stopped
   * here, and returned. Idempotent.
   * @returns null when batches were still in flight after `limitMs`; the stop stays recorded
   */
  async drain(
    purges: readonly PurgeRecord[] | 'fleet',
    request: CommandRequest,
    limitMs: number,
  ): Promise<CommandResult[] | null> {
    const deadline = performance.now() + limitMs;
    try {
      if (purges === 'fleet') return await this.#drainFleet(request, deadline);
      // In one order, so that two commands never wait for each other.
      const ids = purges.map(({ id }) => id).toSorted();
      if (purges.some(({ stage }) => stage === 'redis')) {
        await this.#locked((trx) => lockPipelines().execute(trx), deadline);
      }
      for (let start = 0; start < ids.length; start += LOCKS_AT_ONCE) {
        await this.#locked(async (trx) => {
          for (const id of ids.slice(start, start + LOCKS_AT_ONCE)) {
            await lockPurge(id).execute(trx);
          }
        }, deadline);
      }
      return [];
    } catch (error) {
      if (error instanceof PurgeError && error.code === 'TIMED_OUT') return null;
      throw error;
    }
  }

  async #drainFleet(request: CommandRequest, deadline: number): Promise<CommandResult[]> {
    return this.#locked(async (trx) => {
      await lockPipelines().execute(trx);
      await lockFleet().execute(trx);
      const { rows } = await sql<{ stopped: boolean }>`
        select stopped from tenant_purge.control`.execute(trx);
      // Released meanwhile by somebody else: nothing is to be stopped any more.
      if (rows[0]?.stopped !== true) return [];
      const late = await answerPurges(trx, 'pause', {
        selection: { kind: 'live' },
        request,
        onlyRunning: true,
      });
      return late.filter(({ effect }) => effect === 'changed');
    }, deadline);
  }

  async readControl(): Promise<FleetControl> {
    // A command that only looks may look at a ledger from before `queue_release_due`.
    const { rows } = await sql<{
      control: {
        stopped: boolean;
        changed_by: string | null;
        changed_at: string | null;
        queue_release_due?: boolean;
      };
    }>`select to_jsonb(c) as control from tenant_purge.control c`.execute(this.#ledger);
    const control = rows[0]?.control;
    const changedAt = control?.changed_at ?? null;
    return {
      stopped: control?.stopped === true,
      changedBy: control?.changed_by ?? null,
      changedAt: changedAt === null ? null : new Date(changedAt),
      queueReleaseDue: control?.queue_release_due === true,
    };
  }

  /** Books that the queue has been told of the fleet's release. */
  async queueReleased(): Promise<void> {
    await sql`update tenant_purge.control set queue_release_due = false
      where queue_release_due and not stopped`.execute(this.#ledger);
  }

  /** Purges whose jobs are still to be woken after a command; oldest command first is not promised. */
  async bellsDue(limit: number): Promise<PurgeRecord[]> {
    const rows = await this.#ledger
      .selectFrom('tenant_purge.purge')
      .selectAll()
      .where('bell_due', '=', true)
      .limit(limit)
      .execute();
    return rows.map(toPurgeRecord);
  }

  /** Books that these purges' jobs know. One that a newer command has changed since keeps its bell. */
  async bellsRung(purges: readonly Pick<PurgeRecord, 'id' | 'status'>[]): Promise<void> {
    await sql`
      update tenant_purge.purge p set bell_due = false
      from unnest(${purges.map(({ id }) => id)}::uuid[],
                  ${purges.map(({ status }) => status)}::text[]) as r (id, status)
      where p.id = r.id and p.bell_due and p.status = r.status`.execute(this.#ledger);
  }

  /** Stops that are asked for and not yet so, of live purges: who holds them, since when, doing what. */
  async pendingStops(selection: PurgeSelection): Promise<PendingStop[]> {
    return readPendingStops(this.#ledger, selection);
  }

  /**
   * Ends a stop whose worker is gone: `pausing` becomes `paused`, `cancelling` `cancelled`, under a
   * new epoch, so that a holder that was only slow can write nothing more. Never while a batch is in
   * flight: its holder may still commit. Idempotent.
   * @returns null when a batch is in flight, or the purge has changed since it was read
   */
  async settleWithoutHolder(purge: PurgeRecord, actor: string): Promise<PurgeRecord | null> {
    const to = purge.status === 'pausing' ? 'paused' : 'cancelled';
    return this.#transaction(async (trx) => {
      const { rows } = await tryLockPurge(purge.id).execute(trx);
      if (rows[0]?.locked !== true) return null;
      const row = await trx
        .updateTable('tenant_purge.purge')
        .set((eb) => ({
          status: to,
          fence: eb('fence', '+', 1),
          worker: null,
          ...(to === 'cancelled'
            ? { ended_at: sql<Date>`clock_timestamp()`, residue: REMAINS_BY_LEDGER }
            : {}),
        }))
        .where('id', '=', purge.id)
        .where('fence', '=', purge.fence)
        .where('status', 'in', ['pausing', 'cancelling'])
        .where('status', '=', purge.status)
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) return null;
      await appendEvent(trx, {
        kind: `${to} without its worker`,
        actor,
        purgeId: purge.id,
        fence: row.fence,
        details: { worker: purge.worker },
      });
      return toPurgeRecord(row);
    });
  }

  /**
   * A transaction that waits for locks until the deadline, in slices.
   * @throws PurgeError TIMED_OUT
   */
  async #locked<Result>(
    work: (trx: LedgerTransaction) => Promise<Result>,
    deadline: number,
  ): Promise<Result> {
    for (;;) {
      const leftMs = Math.max(1, deadline - performance.now());
      try {
        return await this.#transaction(work, Math.min(leftMs, this.#lockWaitSliceMs));
      } catch (error) {
        const isSlice = error instanceof PurgeError && error.code === 'TIMED_OUT';
        if (!isSlice || performance.now() >= deadline) throw error;
      }
    }
  }

  /** One short transaction; again where it met another's locks in the wrong order. */
  async #transaction<Result>(
    work: (trx: LedgerTransaction) => Promise<Result>,
    lockWaitMs: number = ROW_WAIT_MS,
  ): Promise<Result> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#ledger.transaction().execute(async (trx) => {
          await sql`select set_config('lock_timeout', ${String(Math.ceil(lockWaitMs))}, true)`.execute(
            trx,
          );
          return work(trx);
        });
      } catch (error) {
        const { sqlState } = readFault(error);
        if (sqlState === '55P03') {
          throw new PurgeError(
            'TIMED_OUT',
            `A lock in the ledger could not be had within ${Math.ceil(lockWaitMs)} ms.`,
            { cause: error },
          );
        }
        if (sqlState !== '40P01' || tries >= DEADLOCK_TRIES_MAX) throw error;
      }
    }
  }
}
