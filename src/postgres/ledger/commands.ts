import { type Kysely, type RawBuilder, type Selectable, sql, type Transaction } from 'kysely';
import { PurgeError } from '../../domain/errors.ts';
import { asPurgeId, type PurgeId } from '../../domain/ids.ts';
import type { PurgeStatus } from '../../domain/purge.ts';
import type { PurgeRecord } from '../../domain/records.ts';
import type { Database } from '../database.ts';
import { readFault } from '../sqlstate.ts';
import {
  answerTo,
  type CommandAnswer,
  type CommandName,
  type LevelStop,
} from './command-answers.ts';
import { lockFleet, lockPipelines, lockPurge, tryLockPurge } from './locks.ts';
import { narrow, type PurgeSelection } from './purges.ts';
import { toPurgeRecord } from './rows.ts';
import { type PendingStop, readPendingStops } from './stop-state.ts';
import type { LedgerTables } from './tables.ts';

export { COMMAND_EFFECTS, type CommandName, type LevelStop } from './command-answers.ts';
export type { PendingStop } from './stop-state.ts';

/** What a command did to one purge. `conflict`: its status allows no such thing; nothing was done. */
export interface CommandResult {
  readonly purge: PurgeRecord;
  readonly before: PurgeStatus;
  readonly effect: 'changed' | 'already' | 'conflict';
  /** The stop that begins when the level being worked on is done. */
  readonly levelStop: LevelStop | null;
}

/** Who asked, from where, and for what. */
export interface CommandRequest {
  /** `user@host`. */
  readonly operator: string;
  /** Also stops (`pause`) or releases (`resume`) the fleet, so that nothing unselected starts. */
  readonly fleet: boolean;
  /** Stop when the level being worked on is done. Not for the fleet. */
  readonly afterLevel?: boolean;
  /** By what the command came, e.g. `command line`. */
  readonly via?: string;
}

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

type Ledger = Transaction<LedgerTables>;

export class CommandStore {
  readonly #ledger: Kysely<LedgerTables>;

  constructor(database: Database) {
    this.#ledger = database.ledger;
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
      const results = await carryOut(trx, command, { selection, request });
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
      if (purges === 'fleet') return await this.#drainFleet(request, limitMs);
      // In one order, so that two commands never wait for each other.
      const ids = purges.map(({ id }) => id).toSorted();
      if (purges.some(({ stage }) => stage === 'redis')) {
        await this.#transaction((trx) => lockPipelines().execute(trx), limitMs);
      }
      for (let start = 0; start < ids.length; start += LOCKS_AT_ONCE) {
        const leftMs = Math.max(1, deadline - performance.now());
        await this.#transaction(async (trx) => {
          for (const id of ids.slice(start, start + LOCKS_AT_ONCE)) {
            await lockPurge(id).execute(trx);
          }
        }, leftMs);
      }
      return [];
    } catch (error) {
      if (error instanceof PurgeError && error.code === 'TIMED_OUT') return null;
      throw error;
    }
  }

  async #drainFleet(request: CommandRequest, limitMs: number): Promise<CommandResult[]> {
    return this.#transaction(async (trx) => {
      await lockPipelines().execute(trx);
      await lockFleet().execute(trx);
      const { rows } = await sql<{ stopped: boolean }>`
        select stopped from tenant_purge.control`.execute(trx);
      // Released meanwhile by somebody else: nothing is to be stopped any more.
      if (rows[0]?.stopped !== true) return [];
      const late = await carryOut(trx, 'pause', {
        selection: { kind: 'live' },
        request,
        onlyRunning: true,
      });
      return late.filter(({ effect }) => effect === 'changed');
    }, limitMs);
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
      .where(sql<boolean>`bell_due`)
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
          ...(to === 'cancelled' ? { ended_at: sql<Date>`clock_timestamp()` } : {}),
        }))
        .where('id', '=', purge.id)
        .where('fence', '=', purge.fence)
        .where('status', 'in', ['pausing', 'cancelling'])
        .where('status', '=', purge.status)
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) return null;
      await trx
        .insertInto('tenant_purge.event')
        .values({
          purge_id: purge.id,
          kind: `${to} without its worker`,
          actor,
          fence: row.fence,
          details: JSON.stringify({ worker: purge.worker }),
        })
        .execute();
      return toPurgeRecord(row);
    });
  }

  /** One short transaction; again where it met another's locks in the wrong order. */
  async #transaction<Result>(
    work: (trx: Ledger) => Promise<Result>,
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

type Row = Selectable<LedgerTables['tenant_purge.purge']> & {
  readonly level_stop: LevelStop | null;
};

interface Work {
  readonly selection: PurgeSelection;
  readonly request: CommandRequest;
  /** Only what a worker holds: the rest has been answered already. */
  readonly onlyRunning?: true;
}

async function carryOut(trx: Ledger, command: CommandName, work: Work): Promise<CommandResult[]> {
  const { selection, request } = work;
  const found = narrow(
    trx
      .selectFrom('tenant_purge.purge')
      .selectAll()
      .select(sql<LevelStop | null>`stop_after_level`.as('level_stop')),
    selection,
  );
  const rows = await (work.onlyRunning === true ? found.where('status', '=', 'running') : found)
    .orderBy('id')
    .forUpdate()
    .execute();
  const groups = new Map<string, { readonly answer: CommandAnswer; readonly rows: Row[] }>();
  for (const row of rows) {
    const answer = answerTo(command, request.afterLevel === true, {
      status: row.status,
      level: row.level,
      levelStop: row.level_stop,
    });
    const key = JSON.stringify([answer, row.status, row.level_stop]);
    const group = groups.get(key) ?? { answer, rows: [] };
    group.rows.push(row);
    groups.set(key, group);
  }
  const results: CommandResult[] = [];
  for (const group of groups.values()) {
    results.push(...(await answerGroup(trx, command, { ...group, ...work })));
  }
  return results;
}

/** Purges of one status that get the same answer. */
async function answerGroup(
  trx: Ledger,
  command: CommandName,
  { answer, rows, request, selection }: Work & { answer: CommandAnswer; rows: readonly Row[] },
): Promise<CommandResult[]> {
  const ids = rows.map(({ id }) => asPurgeId(id));
  const from = rows[0]?.status;
  const resultsOf = (
    now: readonly Selectable<LedgerTables['tenant_purge.purge']>[],
    effect: CommandResult['effect'],
    levelStop: LevelStop | null,
  ): CommandResult[] =>
    now.map((row) => ({
      purge: toPurgeRecord(row),
      before: from ?? row.status,
      effect,
      levelStop,
    }));
  const note = (kind: string, details: Record<string, unknown>): Promise<void> =>
    noteEach(trx, ids, { kind: `${command} ${kind}`, details, request });
  switch (answer.kind) {
    case 'moves': {
      const changed = await move(trx, ids, answer.to);
      await note('asked', { from, to: answer.to });
      return resultsOf(changed, 'changed', null);
    }
    case 'stops-after-level':
    case 'takes-back': {
      const stop = answer.kind === 'takes-back' ? null : answer.stop;
      await sql`update tenant_purge.purge set stop_after_level = ${stop}
        where id = any(${ids}::uuid[])`.execute(trx);
      const taken = rows[0]?.level_stop ?? null;
      await note('asked', {
        from,
        ...(stop === null ? { takesBack: `${taken} after the level` } : { afterLevel: true }),
      });
      return resultsOf(rows, 'changed', stop);
    }
    // A campaign's ended purges are no news; the command itself is noted with its counts.
    case 'already':
      if (selection.kind === 'purge') await note('asked again', { status: from });
      return resultsOf(rows, 'already', rows[0]?.level_stop ?? null);
    case 'conflict':
      if (selection.kind === 'purge') await note('refused', { status: from });
      return resultsOf(rows, 'conflict', null);
    default:
      return answer satisfies never;
  }
}

const RINGS: readonly PurgeStatus[] = ['queued', 'cancelled'];

async function move(
  trx: Ledger,
  ids: readonly PurgeId[],
  to: PurgeStatus,
): Promise<Selectable<LedgerTables['tenant_purge.purge']>[]> {
  const { rows } = await sql<Selectable<LedgerTables['tenant_purge.purge']>>`
    update tenant_purge.purge
    set status = ${to}, stop_after_level = null,
        ended_at = case when ${to === 'cancelled'} then clock_timestamp() else ended_at end,
        -- Until the queue is told. A stop needs no bell: the job's own run finds it.
        bell_due = ${RINGS.includes(to)}
    where id = any(${ids}::uuid[])
    returning *`.execute(trx);
  return rows;
}

/** From where a command came, as the server sees it; null over a local socket. */
const CLIENT: RawBuilder<unknown> = sql`jsonb_strip_nulls(jsonb_build_object(
  'client', host(inet_client_addr())))`;

interface Note {
  readonly kind: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly request: CommandRequest;
}

const detailsOf = ({ details, request }: Note): string =>
  JSON.stringify({ ...details, ...(request.via === undefined ? {} : { via: request.via }) });

async function noteEach(trx: Ledger, ids: readonly PurgeId[], note: Note): Promise<void> {
  await sql`
    insert into tenant_purge.event (purge_id, kind, actor, details)
    select unnest(${ids}::uuid[]), ${note.kind}, ${note.request.operator},
           ${detailsOf(note)}::jsonb || ${CLIENT}`.execute(trx);
}

/** A command to a campaign or to all of them is one line of its own, with what came of it. */
async function noteSelection(
  trx: Ledger,
  command: CommandName,
  { selection, request, results }: Work & { readonly results: readonly CommandResult[] },
): Promise<void> {
  if (selection.kind === 'purge') return;
  const count = (effect: CommandResult['effect']): number =>
    results.filter((result) => result.effect === effect).length;
  const campaignId = selection.kind === 'campaign' ? selection.id : null;
  await noteWhole(trx, campaignId, {
    kind: `${command} of ${campaignId === null ? 'all' : 'the campaign'} asked`,
    details: {
      changed: count('changed'),
      already: count('already'),
      conflict: count('conflict'),
      ...(request.afterLevel === true ? { afterLevel: true } : {}),
    },
    request,
  });
}

async function noteWhole(trx: Ledger, campaignId: string | null, note: Note): Promise<void> {
  await sql`
    insert into tenant_purge.event (campaign_id, kind, actor, details)
    values (${campaignId}, ${note.kind}, ${note.request.operator},
            ${detailsOf(note)}::jsonb || ${CLIENT})`.execute(trx);
}

/** The first who asked stays on record: a second one stops nothing that is not stopped. */
async function setStopped(trx: Ledger, stopped: boolean, request: CommandRequest): Promise<void> {
  const { rows } = await sql<{ changed: boolean }>`
    with before as (select stopped from tenant_purge.control for update),
    written as (
      update tenant_purge.control c
      set stopped = ${stopped}, queue_release_due = ${!stopped},
          changed_by = case when b.stopped = ${stopped} then c.changed_by else ${request.operator} end,
          changed_at = case when b.stopped = ${stopped} then c.changed_at else clock_timestamp() end
      from before b
      returning b.stopped)
    select stopped <> ${stopped} as changed from written`.execute(trx);
  const kind = stopped ? 'fleet stop' : 'fleet release';
  const done = stopped ? 'fleet stopped' : 'fleet released';
  const changed = rows[0]?.changed === true;
  await noteWhole(trx, null, {
    kind: changed ? done : `${kind} asked again`,
    details: {},
    request,
  });
}
