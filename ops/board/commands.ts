import type { CommandName } from '../../src/postgres/ledger/commands.ts';
import type { PurgeSelection } from '../../src/postgres/ledger/purges.ts';
import { type CommandOutcome, carryOutCommand } from '../../src/queue/commands.ts';
import type { BoardParts } from './parts.ts';
import { actorOf, currentVisitor } from './visitor.ts';

/** A click waits this long for `pausing` to become `paused`; the page says how it stands. */
const SETTLE_MS = 2_000;
/** And this long for ledger and queue together: a browser must not hang because Redis is away. */
const ANSWER_MAX_MS = 12_000;

export interface CommandTarget {
  readonly selection: PurgeSelection;
  /** Also the fleet itself, as `--all` does. */
  readonly fleet: boolean;
}

export const FLEET: CommandTarget = { selection: { kind: 'live' }, fleet: true };

export interface BoardCommand {
  readonly name: CommandName;
  readonly target: CommandTarget;
  /** Stop when the level being worked on is done. */
  readonly afterLevel?: boolean;
}

/**
 * Does what `tenant-purge pause`, `resume` or `cancel` does, for the visitor. The ledger's events say
 * so, even where there was nothing to do. Idempotent but for that event.
 * @returns null when there was no answer in time: the command may have taken effect, or still will
 */
export async function commandAsVisitor(
  parts: BoardParts,
  { name, target, afterLevel }: BoardCommand,
): Promise<CommandOutcome | null> {
  const work = carryOutCommand(parts.reconcile, name, {
    ...target,
    ...(afterLevel === undefined ? {} : { afterLevel }),
    operator: actorOf(currentVisitor()),
    via: 'board',
    waitMs: SETTLE_MS,
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ANSWER_MAX_MS);
  });
  const outcome = await Promise.race([work, late]).finally(() => clearTimeout(timer));
  if (outcome === null) {
    work.catch((error: unknown) => parts.log.error({ err: error }, `${name}: failed after all`));
  }
  return outcome;
}
