import { PurgeError } from '../../domain/errors.ts';
import type { RestoreHold, RestoreRules } from '../../domain/restore.ts';
import type { DonePiece } from '../../postgres/restore/done-pieces.ts';
import {
  bookPieces,
  type Piece,
  withTriggersDisabled,
} from '../../postgres/restore/restore-batch.ts';
import type { RestoreSession, RestoreSessions } from '../../postgres/restore/restore-session.ts';
import type { RestoreStore } from '../../postgres/restore/restore-store.ts';
import type { Target, TargetTrigger } from '../../postgres/restore/target.ts';
import { readFault } from '../../postgres/sqlstate.ts';
import type { Failpoint } from '../failpoints.ts';
import { InterruptedRun, passesUnder, withBackOff } from '../retry.ts';
import type { RestoreArchive } from './chunk-source.ts';
import type { RestoreUnit, TableRestore } from './restore-plan.ts';
import type { Progress } from './restore-progress.ts';

/** One held restore under way. */
export interface RestoreRun {
  readonly hold: RestoreHold;
  readonly store: RestoreStore;
  readonly sessions: RestoreSessions;
  readonly archive: RestoreArchive;
  readonly target: Target;
  readonly tables: readonly TableRestore[];
  readonly units: readonly RestoreUnit[];
  readonly rules: RestoreRules;
  readonly done: DoneWork;
  readonly progress: Progress;
  /** Aborted, with the PurgeError as its reason, by Ctrl-C, a stop, or the loss of the hold. */
  readonly signal: AbortSignal;
  readonly failpoint: Failpoint;
  readonly statementTimeoutMs: number;
}

/** What is committed, as the ledger has it and as this process adds to it. */
export class DoneWork {
  readonly #pieces = new Map<string, DonePiece[]>();

  constructor(pieces: readonly DonePiece[]) {
    for (const piece of pieces) this.#add(piece);
  }

  has(piece: string): boolean {
    return this.#pieces.has(piece);
  }

  of(piece: string): readonly DonePiece[] {
    return this.#pieces.get(piece) ?? [];
  }

  /** First line of a chunk that is not back yet: pieces of a chunk follow each other. */
  nextLine(seq: number): number {
    return Math.max(0, ...this.of(insertPiece(seq)).map(({ toLine }) => toLine));
  }

  add(piece: DonePiece): void {
    const known = this.of(piece.piece);
    if (known.some(({ fromLine }) => fromLine === piece.fromLine)) return;
    this.#add(piece);
  }

  #add(piece: DonePiece): void {
    this.#pieces.set(piece.piece, [...this.of(piece.piece), piece]);
  }
}

export const insertPiece = (seq: number): string => `insert ${seq}`;
export const linkPiece = (seq: number): string => `link ${seq}`;
export const changePiece = (seq: number): string => `change ${seq}`;
export const verifyPiece = (table: string): string => `verify ${table}`;

/**
 * One batch of the restore with what it books, again where a passing fault undid it. A batch that lost
 * its connection during COMMIT may have committed: then its pieces are there, and it is not run twice.
 * @throws PurgeError STOP_ASKED, STALE_FENCE, RESTORE_CONFLICTS, INTERRUPTED; driver errors of class
 *   `shrink`
 */
export async function runBatch(
  run: RestoreRun,
  triggers: readonly TargetTrigger[],
  work: (session: RestoreSession) => Promise<readonly Piece[]>,
): Promise<readonly Piece[]> {
  let tries = 0;
  const attempt = async (): Promise<readonly Piece[]> => {
    run.signal.throwIfAborted();
    tries += 1;
    const booked: Piece[] = [];
    await run.sessions.batch(
      run.hold,
      async (session) => {
        const pieces = await withTriggersDisabled(session, triggers, () => work(session));
        booked.push(...pieces);
        await bookPieces(session, run.hold, pieces);
      },
      () => run.failpoint('restore-batch'),
    );
    return booked;
  };
  try {
    const pieces = await withBackOff(
      async () => {
        try {
          return await attempt();
        } catch (error) {
          if (tries > 1 && readFault(error).constraint === 'restore_done_pkey') {
            return await refresh(run);
          }
          throw error;
        }
      },
      () => Promise.resolve(run.signal.throwIfAborted()),
      passesUnder(run.statementTimeoutMs),
    );
    for (const piece of pieces) run.done.add({ ...piece, xid: '' });
    await run.failpoint('restore-committed');
    return pieces;
  } catch (error) {
    throw asRestoreError(run, error);
  }
}

/** Another try of the same batch has committed. */
async function refresh(run: RestoreRun): Promise<readonly Piece[]> {
  for (const piece of await run.store.done(run.hold.purgeId)) run.done.add(piece);
  return [];
}

function asRestoreError(run: RestoreRun, error: unknown): unknown {
  if (error instanceof PurgeError) return error;
  const { purgeId } = run.hold;
  const fault = readFault(error);
  if (error instanceof InterruptedRun) {
    return new PurgeError(
      'INTERRUPTED',
      `The restore of purge ${purgeId} was interrupted: ${error.message}.`,
      {
        cause: error,
        remedy: `Run \`tenant-purge restore ${purgeId}\` again: it goes on where it stopped.`,
      },
    );
  }
  if (fault.faultClass === 'stale') {
    return new PurgeError(
      'STALE_FENCE',
      `Another process restores purge ${purgeId} now; nothing of this batch was written.`,
      { cause: error },
    );
  }
  if (fault.faultClass === 'stop') return stopAsked(purgeId);
  if (fault.raisedBy !== null && fault.sqlState?.startsWith('P') === true) {
    return new PurgeError(
      'RESTORE_CONFLICTS',
      `Purge ${purgeId}: ${fault.raisedBy} raises an error for what comes back: ${fault.message}. This batch was rolled back.`,
      {
        cause: error,
        details: { raisedBy: fault.raisedBy, sqlState: fault.sqlState },
        remedy: `Mend the function, or keep its trigger from firing: --trigger TABLE.NAME=disable, with the rules given before.`,
      },
    );
  }
  if (fault.sqlState !== null && /^(22|23)/.test(fault.sqlState)) {
    const table = fault.table ?? 'a table';
    return new PurgeError(
      'RESTORE_CONFLICTS',
      `Purge ${purgeId}: the database refuses a row of ${table}${fault.constraint === null ? '' : ` (${fault.constraint})`}: ${fault.message}${fault.key === null ? '' : `, ${fault.key}`}. This batch was rolled back.`,
      {
        cause: error,
        details: {
          table: fault.table,
          constraint: fault.constraint,
          row: fault.key,
          sqlState: fault.sqlState,
        },
        remedy: `Something was written since the conflicts were looked for: settle it, then run \`tenant-purge restore ${purgeId}\` again.`,
      },
    );
  }
  return error;
}

/** What becomes of an error that no smaller batch can mend. */
export function tookTooLong(
  run: Pick<RestoreRun, 'hold' | 'statementTimeoutMs'>,
  error: unknown,
): PurgeError | null {
  if (error instanceof PurgeError || readFault(error).faultClass !== 'shrink') return null;
  const { purgeId } = run.hold;
  return new PurgeError(
    'INTERRUPTED',
    `The restore of purge ${purgeId} was interrupted: a batch that cannot be made smaller took longer than ${run.statementTimeoutMs} ms, and was rolled back.`,
    {
      cause: error,
      remedy: `Set batch.statementTimeoutMs to more, then run \`tenant-purge restore ${purgeId}\` again: it goes on where it stopped.`,
    },
  );
}

export const stopAsked = (purgeId: string): PurgeError =>
  new PurgeError('STOP_ASKED', `The restore of purge ${purgeId} has stopped; what is back stays.`, {
    remedy: `Go on with \`tenant-purge restore ${purgeId}\`.`,
  });

/** What is left out of one chunk, or put back without some columns. */
export async function skipsOfChunk(
  run: RestoreRun,
  seq: number,
): Promise<{
  readonly skip: ReadonlySet<number>;
  readonly nullsOf: ReadonlyMap<number, readonly string[]>;
}> {
  const lines = await run.store.skipsOf(run.hold.purgeId, seq);
  return {
    skip: new Set(lines.flatMap(({ line, nullColumns }) => (nullColumns === null ? [line] : []))),
    nullsOf: new Map(
      lines.flatMap(({ line, nullColumns }) =>
        nullColumns === null ? [] : [[line, nullColumns] as const],
      ),
    ),
  };
}

/** Triggers of these tables that the operator wants silent. */
export const silencedOf = (
  run: RestoreRun,
  tables: readonly TableRestore[],
): readonly TargetTrigger[] =>
  tables.flatMap(({ target }) =>
    target.triggers.filter(({ name }) => run.rules.triggers[name] === 'disable'),
  );
