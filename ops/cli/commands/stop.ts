import { z } from 'zod';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { findTarget, notFound, type Target } from '../../../src/engine/campaign/find-target.ts';
import type {
  CommandName,
  CommandResult,
  FleetControl,
  PendingStop,
} from '../../../src/postgres/ledger/commands.ts';
import type { PurgeSelection } from '../../../src/postgres/ledger/purges.ts';
import { carryOutCommand, isPending } from '../../../src/queue/commands.ts';
import {
  type Answer,
  type CliCommand,
  defineCommand,
  parseCount,
  readOptions,
  type Session,
} from '../command.ts';
import { operatorIdentity } from '../operator.ts';
import { purgeDocument } from '../output/purges.ts';
import { formatNumber, plural } from '../output/text.ts';
import { type LedgerDesk, withLedgerDesk } from './ledger-desk.ts';
import { stopRestore, undo } from './stop-restore.ts';
import { describePending, describeStopper } from './stop-wording.ts';

const optionsSchema = z.object({
  all: z.boolean().default(false),
  afterLevel: z.boolean().default(false),
  restore: z.boolean().default(false),
  wait: z.union([z.boolean(), z.string()]).optional(),
});

interface Options {
  /** Null for the whole fleet. */
  readonly target: string | null;
  readonly afterLevel: boolean;
  readonly waitMs: number;
  /** Put back what is gone, once it is cancelled. */
  readonly restore: boolean;
  /** The operator asked to wait: what is still pending at the end is a failure then. */
  readonly waits: boolean;
}

/** Longer than a statement may last by default, so that a plain `pause` comes back with the fact. */
const WAIT_DEFAULT_MS = 45_000;
const WAIT_MAX_SEC = 86_400;
const WAIT_ASKED_SEC = 3_600;
/** More than these are counted, not listed. */
const LISTED_MAX = 20;

/** Pause, resume and cancel: one form, three verbs. */
const stopCommand = (name: CommandName, summary: string): CliCommand =>
  defineCommand<Options>({
    usage: `${name} [target]`,
    summary,
    examples: [
      `${name} 31c06fc4-db22-4740-83ea-48ac14f25810`,
      `${name} --all`,
      ...(name === 'resume' ? [] : [`${name} 42 --after-level --wait`]),
      ...(name === 'cancel' ? ['cancel 42 --restore'] : []),
    ],
    describe: (command) => {
      command
        .option('--all', 'every live purge, of all campaigns')
        .option('--wait [seconds]', 'wait until it is so, by default up to an hour');
      if (name === 'resume') return command;
      if (name === 'cancel') {
        command.option('--restore', 'undo it: when it is cancelled, put back what is gone');
      }
      return command.option('--after-level', 'finish the level that is being worked on first');
    },
    validate: (raw, [target]) => {
      const options = readOptions(optionsSchema, raw);
      if ((target === undefined) !== options.all) {
        throw new PurgeError(
          'USAGE',
          `${name} takes a campaign, purge or tenant, or --all${target === undefined ? '' : ', not both'}.`,
        );
      }
      if (options.all && options.afterLevel) {
        throw new PurgeError(
          'USAGE',
          `${name} --all stops everything at once: --after-level goes with a campaign, purge or tenant.`,
        );
      }
      if (options.all && options.restore) {
        throw new PurgeError('USAGE', 'cancel --restore takes one purge or tenant, not --all.');
      }
      const waits = (options.wait !== undefined && options.wait !== false) || options.restore;
      return {
        target: target ?? null,
        afterLevel: options.afterLevel,
        restore: options.restore,
        waitMs: waits ? waitMsOf(options.wait ?? true) : options.afterLevel ? 0 : WAIT_DEFAULT_MS,
        waits,
      };
    },
    run: (session, options) => stop(session, name, options),
  });

const waitMsOf = (wait: string | boolean | undefined): number =>
  typeof wait === 'string'
    ? parseCount(wait, '--wait', { min: 0, max: WAIT_MAX_SEC }) * 1_000
    : WAIT_ASKED_SEC * 1_000;

export const pause = stopCommand(
  'pause',
  'Stop deleting within one batch; what is gone stays gone, resume goes on',
);
export const resume = stopCommand('resume', 'Let paused purges go on from their last batch');
export const cancel = stopCommand(
  'cancel',
  'End purges within one batch; says what is gone and what remains',
);

async function stop(session: Session, name: CommandName, options: Options): Promise<Answer> {
  return withLedgerDesk(session, async (desk) => {
    const target = await targetOf(desk, options.target);
    const parts = await desk.commandParts();
    if (name === 'pause' && target?.kind === 'purge' && target.purge.status === 'restoring') {
      return stopRestore(desk, target.purge, options);
    }
    const { results, drained, queueError } = await carryOutCommand(parts, name, {
      selection: selectionOf(target),
      fleet: target === null,
      operator: operatorIdentity(),
      waitMs: options.waitMs,
      afterLevel: options.afterLevel,
      via: 'command line',
    });
    // The command's own records lag behind what batches have booked.
    const fresh = new Map(
      (await parts.purges.select(freshSelection(target, results))).map((purge) => [
        purge.id,
        purge,
      ]),
    );
    const stops = await parts.commands.pendingStops(selectionOf(target));
    const stopped = answer(name, target, {
      results,
      purges: results.map((result) => fresh.get(result.purge.id) ?? result.purge),
      stops: new Map(stops.map((each) => [each.purgeId, each])),
      control: await parts.commands.readControl(),
      drained,
      queueError,
      waits: options.waits,
      lockMs: desk.config.worker.lockMs,
    });
    if (!options.restore) return stopped;
    return undo(session, desk, { stopped, purges: [...fresh.values()], target });
  });
}

async function targetOf({ ledger }: LedgerDesk, word: string | null): Promise<Target | null> {
  if (word === null) return null;
  if (ledger === null) throw notFound(word);
  return findTarget(ledger, word);
}

function selectionOf(target: Target | null): PurgeSelection {
  if (target === null) return { kind: 'live' };
  return target.kind === 'campaign'
    ? { kind: 'campaign', id: target.campaign.id }
    : { kind: 'purge', id: target.purge.id };
}

/** A purge that was live before the command may not be any more. */
const freshSelection = (
  target: Target | null,
  results: readonly CommandResult[],
): PurgeSelection =>
  target === null && results.length > 0 ? { kind: 'all' } : selectionOf(target);

interface Done {
  readonly results: readonly CommandResult[];
  /** In the order of the results, read afterwards. */
  readonly purges: readonly PurgeRecord[];
  readonly stops: ReadonlyMap<PurgeRecord['id'], PendingStop>;
  readonly control: FleetControl;
  readonly drained: boolean;
  readonly queueError: string | null;
  readonly waits: boolean;
  readonly lockMs: number;
}

function answer(name: CommandName, target: Target | null, done: Done): Answer {
  const { results, purges, stops, control } = done;
  const pending = purges.filter((purge) => isPending(purge) || stops.has(purge.id)).length;
  const error = errorOf(name, {
    ...done,
    pending,
    turnsFleet: target === null && name !== 'cancel',
  });
  const document = {
    command: name,
    campaignId: target?.kind === 'campaign' ? target.campaign.id : null,
    fleet: {
      stopped: control.stopped,
      changedBy: control.changedBy,
      changedAt: control.changedAt?.toISOString() ?? null,
    },
    /** False: batches that began before the command may still commit. */
    drained: done.drained,
    queue: { told: done.queueError === null, error: done.queueError },
    pending,
    purges: purges.map((purge, index) => ({
      ...purgeDocument(purge),
      before: results[index]?.before,
      effect: results[index]?.effect,
      rowsRemaining: remainingOf(purge),
      ...(stops.has(purge.id) ? { stop: stops.get(purge.id) } : {}),
    })),
    ...(error === null ? {} : { error: error.toReport() }),
  };
  const isConflict = error?.code === 'STATUS_CONFLICT';
  return {
    exitCode: error?.exitCode ?? EXIT.done,
    document,
    text: isConflict ? '' : describe(name, target, { ...done, pending }).join('\n'),
    errors: error === null ? [] : [error],
  };
}

type Counted = Done & { readonly pending: number };

function errorOf(
  name: CommandName,
  done: Counted & { readonly turnsFleet: boolean },
): PurgeError | null {
  const conflicts = done.results.filter(({ effect }) => effect === 'conflict');
  // In a campaign the purges that have ended are no conflict as long as others could be changed; the
  // fleet is stopped or released whatever its purges are.
  const isConflict = done.results.length > 0 && conflicts.length === done.results.length;
  if (isConflict && !done.turnsFleet) {
    return conflict(name, conflicts);
  }
  if (!done.drained) {
    return new PurgeError(
      'TIMED_OUT',
      `The ${name} is recorded and no later batch can commit, but one that began before it is still in flight.`,
      { remedy: `Give the same command again: it comes back when that batch has ended.` },
    );
  }
  if (done.waits && done.pending > 0) {
    return new PurgeError('TIMED_OUT', `${plural(done.pending, 'purge')} still to stop.`);
  }
  return null;
}

function conflict(name: CommandName, conflicts: readonly CommandResult[]): PurgeError {
  const [first] = conflicts;
  const message =
    conflicts.length === 1 && first !== undefined
      ? `Purge ${first.purge.id} is ${first.purge.status}: there is nothing to ${name}.`
      : `All ${conflicts.length} purges have ended: there is nothing to ${name}.`;
  return new PurgeError('STATUS_CONFLICT', message, {
    details: { purges: conflicts.map(({ purge }) => ({ id: purge.id, status: purge.status })) },
  });
}

function describe(name: CommandName, target: Target | null, done: Counted): string[] {
  const { purges, control } = done;
  const lines: string[] = [];
  if (target === null && name === 'pause') {
    lines.push(
      done.drained
        ? 'The fleet is paused: no batch runs, and none starts until `resume --all`.'
        : 'The fleet is being paused: no batch starts any more, but one is still in flight.',
    );
  }
  if (target === null && name === 'resume') lines.push('The fleet is released.');
  if (purges.length === 0) lines.push('No purge is live.');
  if (purges.length <= LISTED_MAX) {
    lines.push(...purges.map((purge, index) => describePurge(purge, done, done.results[index])));
  } else lines.push(...countEach(purges));
  if (name === 'resume' && control.stopped) {
    lines.push(
      `The fleet is paused${describeStopper(control)}: nothing runs until \`tenant-purge resume --all\`.`,
    );
  }
  if (done.pending > 0) {
    lines.push(
      `${plural(done.pending, 'purge')} still to stop. Look again: tenant-purge status ${target?.kind === 'campaign' ? target.campaign.id : ''}`.trimEnd(),
    );
  }
  if (done.queueError !== null) {
    lines.push(
      `The ledger holds the ${name}, and every batch asks the ledger. The queue does not know yet: ${done.queueError}`,
      'A worker tells it once Redis answers; at once: tenant-purge reconcile',
    );
  }
  return lines;
}

function describePurge(
  purge: PurgeRecord,
  { stops, lockMs }: Done,
  result: CommandResult | undefined,
): string {
  const status = result?.effect === 'already' ? `already ${purge.status}` : purge.status;
  const who = `${status}: ${purge.tenantLabel} (${purge.tenantId})\n  purge ${purge.id}`;
  const gone = `${plural(purge.rowsDeleted, 'row')} and ${plural(purge.redisKeysDeleted, 'Redis key')} gone`;
  const pending = stops.get(purge.id);
  if (purge.status === 'restoring') {
    return `${who}\n  its rows are being put back, which goes on; to stop that: tenant-purge pause ${purge.id}`;
  }
  if (pending !== undefined) {
    return [who, ...describePending(pending, lockMs), `${gone} so far`].join('\n  ');
  }
  return purge.status === 'paused' || purge.status === 'cancelled'
    ? `${who}\n  ${gone}, ${plural(remainingOf(purge), 'row')} remain`
    : who;
}

function countEach(purges: readonly PurgeRecord[]): string[] {
  const groups = new Map<string, PurgeRecord[]>();
  for (const purge of purges) {
    groups.set(purge.status, [...(groups.get(purge.status) ?? []), purge]);
  }
  return [...groups].map(([status, group]) => {
    const gone = group.reduce((sum, purge) => sum + purge.rowsDeleted, 0);
    const remaining = group.reduce((sum, purge) => sum + remainingOf(purge), 0);
    return `${formatNumber(group.length)} ${status}: ${plural(gone, 'row')} gone, ${plural(remaining, 'row')} remain`;
  });
}

/** By the counts at its enqueueing; `verify` counts afresh. */
const remainingOf = (purge: PurgeRecord): number =>
  Math.max(0, purge.rowsTotal - purge.rowsDeleted);
