import { type Kysely, sql, type Transaction } from 'kysely';
import type { PurgeStatus } from '../../domain/purge.ts';
import type { PurgeRecord } from '../../domain/records.ts';
import type { Database } from '../database.ts';
import { lockFleet, lockPurge } from './locks.ts';
import { narrow, type PurgeSelection } from './purges.ts';
import { toPurgeRecord } from './rows.ts';
import type { LedgerTables } from './tables.ts';

export type CommandName = 'pause' | 'resume' | 'cancel';

/** What a command did to one purge. `conflict`: its status allows no such thing; nothing was done. */
export interface CommandResult {
  readonly purge: PurgeRecord;
  readonly before: PurgeStatus;
  readonly effect: 'changed' | 'already' | 'conflict';
}

/** Each command: from which status it leads to which. Every pair is an edge of the state machine. */
export const COMMAND_EFFECTS: Record<CommandName, Partial<Record<PurgeStatus, PurgeStatus>>> = {
  pause: {
    scheduled: 'paused',
    queued: 'paused',
    interrupted: 'paused',
    running: 'pausing',
  },
  resume: { pausing: 'queued', paused: 'queued', interrupted: 'queued' },
  cancel: {
    planned: 'cancelled',
    scheduled: 'cancelled',
    queued: 'cancelled',
    paused: 'cancelled',
    interrupted: 'cancelled',
    running: 'cancelling',
    pausing: 'cancelling',
  },
};

/** Statuses in which the command has already had its effect, or will have it by itself. */
const ALREADY: Record<CommandName, readonly PurgeStatus[]> = {
  pause: ['paused', 'pausing'],
  resume: ['queued', 'running', 'scheduled'],
  cancel: ['cancelled', 'cancelling'],
};

const ENDED_BY_COMMAND: readonly PurgeStatus[] = ['cancelled'];

export class CommandStore {
  readonly #ledger: Kysely<LedgerTables>;

  constructor(database: Database) {
    this.#ledger = database.ledger;
  }

  /**
   * Applies a command to the selected purges, in one transaction. When it returns, no batch of
   * theirs is in flight and none that does not know of the command can commit. Idempotent.
   * @param options.fleet also stops (`pause`) or releases (`resume`) the fleet itself, so that
   *   nothing starts that is not selected yet
   */
  async apply(
    command: CommandName,
    selection: PurgeSelection,
    options: { readonly operator: string; readonly fleet: boolean },
  ): Promise<CommandResult[]> {
    const { operator } = options;
    return this.#ledger.transaction().execute(async (trx) => {
      await sql`set local lock_timeout = '60s'`.execute(trx);
      await (selection.kind === 'purge' ? lockPurge(selection.id) : lockFleet()).execute(trx);
      if (options.fleet && command !== 'cancel') {
        await setStopped(trx, command === 'pause', operator);
      }
      const before = await narrow(trx.selectFrom('tenant_purge.purge').selectAll(), selection)
        .forUpdate()
        .execute();
      const effects = COMMAND_EFFECTS[command];
      const results: CommandResult[] = [];
      for (const [from, to] of Object.entries(effects) as [PurgeStatus, PurgeStatus][]) {
        const ids = before.filter((row) => row.status === from).map((row) => row.id);
        if (ids.length === 0) continue;
        const changed = await trx
          .updateTable('tenant_purge.purge')
          .set({
            status: to,
            ...(ENDED_BY_COMMAND.includes(to) ? { ended_at: sql<Date>`clock_timestamp()` } : {}),
          })
          .where(sql<boolean>`id = any(${ids}::uuid[])`)
          .returningAll()
          .execute();
        await sql`
          insert into tenant_purge.event (purge_id, kind, actor, details)
          select unnest(${ids}::uuid[]), ${`${command} asked`}, ${operator},
                 ${JSON.stringify({ from, to })}::jsonb`.execute(trx);
        results.push(
          ...changed.map((row) => ({
            purge: toPurgeRecord(row),
            before: from,
            effect: 'changed' as const,
          })),
        );
      }
      const unchanged = before.filter((row) => effects[row.status] === undefined);
      results.push(
        ...unchanged.map((row) => ({
          purge: toPurgeRecord(row),
          before: row.status,
          effect: ALREADY[command].includes(row.status)
            ? ('already' as const)
            : ('conflict' as const),
        })),
      );
      return results;
    });
  }

  async readControl(): Promise<{
    stopped: boolean;
    changedBy: string | null;
    changedAt: Date | null;
  }> {
    const row = await this.#ledger
      .selectFrom('tenant_purge.control')
      .selectAll()
      .executeTakeFirstOrThrow();
    return { stopped: row.stopped, changedBy: row.changed_by, changedAt: row.changed_at };
  }

  /**
   * Ends a stop whose worker is gone: `pausing` becomes `paused`, `cancelling` `cancelled`, under a
   * new epoch, so that a holder that was only slow can write nothing more. Idempotent.
   */
  async settleWithoutHolder(purge: PurgeRecord, actor: string): Promise<PurgeRecord | null> {
    const to = purge.status === 'pausing' ? 'paused' : 'cancelled';
    return this.#ledger.transaction().execute(async (trx) => {
      await sql`set local lock_timeout = '60s'`.execute(trx);
      await lockPurge(purge.id).execute(trx);
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
        .values({ purge_id: purge.id, kind: `${to} without its worker`, actor })
        .execute();
      return toPurgeRecord(row);
    });
  }
}

async function setStopped(
  trx: Transaction<LedgerTables>,
  stopped: boolean,
  operator: string,
): Promise<void> {
  await trx
    .updateTable('tenant_purge.control')
    .set({ stopped, changed_by: operator, changed_at: sql<Date>`clock_timestamp()` })
    .execute();
  await trx
    .insertInto('tenant_purge.event')
    .values({ kind: stopped ? 'fleet stopped' : 'fleet released', actor: operator })
    .execute();
}
