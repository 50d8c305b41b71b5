import { isLive, type PurgeStatus } from '../../domain/purge.ts';

export type CommandName = 'pause' | 'resume' | 'cancel';

/** A stop that begins when the level being worked on is done. */
export type LevelStop = 'pause' | 'cancel';

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

/** What the answer depends on. */
interface Asked {
  readonly status: PurgeStatus;
  /** The level that was entered last; null before the first and once the rows are gone. */
  readonly level: string | null;
  readonly levelStop: LevelStop | null;
}

/** The one answer to a command. */
export type CommandAnswer =
  /** Any stop at the end of a level goes with it. */
  | { readonly kind: 'moves'; readonly to: PurgeStatus }
  | { readonly kind: 'stops-after-level'; readonly stop: LevelStop }
  /** It was not stopped yet: only the stop at the end of its level is taken back. */
  | { readonly kind: 'takes-back' }
  | { readonly kind: 'already' }
  | { readonly kind: 'conflict' };

/** Statuses in which a purge may be in the middle of a level, with a holder or between two. */
const IN_LEVELS: readonly PurgeStatus[] = ['running', 'queued', 'interrupted'];

/**
 * What a command does to one purge. Pure, total: the table in `docs/state-machine.md` is held to it.
 * @param afterLevel stop at the end of the level; where none is being worked on, it is the plain stop
 */
export function answerTo(command: CommandName, afterLevel: boolean, asked: Asked): CommandAnswer {
  const { status, level, levelStop } = asked;
  if (command === 'resume') {
    if (status !== 'interrupted' && levelStop !== null && isLive(status)) {
      return { kind: 'takes-back' };
    }
  } else if (afterLevel && level !== null && IN_LEVELS.includes(status)) {
    return levelStop === command
      ? { kind: 'already' }
      : { kind: 'stops-after-level', stop: command };
  }
  const to = COMMAND_EFFECTS[command][status];
  if (to !== undefined) return { kind: 'moves', to };
  return { kind: ALREADY[command].includes(status) ? 'already' : 'conflict' };
}
