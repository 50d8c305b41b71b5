import { type Selectable, sql } from 'kysely';
import { asPurgeId, type PurgeId } from '../../domain/ids.ts';
import type { PurgeStatus } from '../../domain/purge.ts';
import type { PurgeRecord } from '../../domain/records.ts';
import {
  answerTo,
  type CommandAnswer,
  type CommandName,
  type LevelStop,
} from './command-answers.ts';
import {
  type CommandRequest,
  type LedgerTransaction,
  noteEach,
  noteWhole,
} from './command-record.ts';
import { narrow, type PurgeSelection } from './purges.ts';
import { REMAINS_BY_LEDGER } from './remains.ts';
import { toPurgeRecord } from './rows.ts';
import type { LedgerTables } from './tables.ts';

/** What a command did to one purge. `conflict`: its status allows no such thing; nothing was done. */
export interface CommandResult {
  readonly purge: PurgeRecord;
  readonly before: PurgeStatus;
  readonly effect: 'changed' | 'already' | 'conflict';
  /** The stop that begins when the level being worked on is done. */
  readonly levelStop: LevelStop | null;
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

/** Answers each selected purge, with its row locked, in one order for all commands. */
export async function answerPurges(
  trx: LedgerTransaction,
  command: CommandName,
  work: Work,
): Promise<CommandResult[]> {
  const { selection, request } = work;
  const found = narrow(
    trx.selectFrom('tenant_purge.purge').selectAll().select('stop_after_level as level_stop'),
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
  trx: LedgerTransaction,
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
  trx: LedgerTransaction,
  ids: readonly PurgeId[],
  to: PurgeStatus,
): Promise<Selectable<LedgerTables['tenant_purge.purge']>[]> {
  const { rows } = await sql<Selectable<LedgerTables['tenant_purge.purge']>>`
    update tenant_purge.purge
    set status = ${to}, stop_after_level = null,
        ended_at = case when ${to === 'cancelled'} then clock_timestamp() else ended_at end,
        residue = case when ${to === 'cancelled'} then ${REMAINS_BY_LEDGER} else residue end,
        -- Until the queue is told. A stop needs no bell: the job's own run finds it.
        bell_due = ${RINGS.includes(to)}
    where id = any(${ids}::uuid[])
    returning *`.execute(trx);
  return rows;
}

/** The first who asked stays on record: a second one stops nothing that is not stopped. */
export async function setStopped(
  trx: LedgerTransaction,
  stopped: boolean,
  request: CommandRequest,
): Promise<void> {
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
