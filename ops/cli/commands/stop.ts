import { z } from 'zod';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { findTarget, notFound, type Target } from '../../../src/engine/campaign/find-target.ts';
import type { CommandName, CommandResult } from '../../../src/postgres/ledger/commands.ts';
import type { PurgeSelection } from '../../../src/postgres/ledger/purges.ts';
import { isPending, runCommand } from '../../../src/queue/commands.ts';
import {
  type Answer,
  type CliCommand,
  defineCommand,
  parseCount,
  readOptions,
  type Session,
} from '../command.ts';
import { openLedger, withActor, withObserver } from '../open.ts';
import { operatorIdentity } from '../operator.ts';
import { purgeDocument } from '../output/purges.ts';
import { formatNumber, plural } from '../output/text.ts';

const optionsSchema = z.object({
  all: z.boolean().default(false),
  waitMs: z.string().default('15000'),
});

interface Options {
  /** Null for the whole fleet. */
  readonly target: string | null;
  readonly waitMs: number;
}

const WAIT_MAX_MS = 3_600_000;
/** More than these are counted, not listed. */
const LISTED_MAX = 20;

/** Pause, resume and cancel: one form, three verbs. */
const stopCommand = (name: CommandName, summary: string): CliCommand =>
  defineCommand<Options>({
    usage: `${name} [target]`,
    summary,
    examples: [`${name} 31c06fc4-db22-4740-83ea-48ac14f25810`, `${name} --all`],
    describe: (command) =>
      command
        .option('--all', 'every live purge, of all campaigns')
        .option('--wait-ms <n>', 'how long to wait until it is so', '15000'),
    validate: (raw, [target]) => {
      const options = readOptions(optionsSchema, raw);
      if ((target === undefined) !== options.all) {
        throw new PurgeError(
          'USAGE',
          `${name} takes a campaign, purge or tenant, or --all${target === undefined ? '' : ', not both'}.`,
        );
      }
      return {
        target: target ?? null,
        waitMs: parseCount(options.waitMs, '--wait-ms', { min: 0, max: WAIT_MAX_MS }),
      };
    },
    run: (session, options) => stop(session, name, options),
  });

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
  return withObserver(session, async (observer) => {
    const ledger = await openLedger(observer);
    let target: Target | null = null;
    if (options.target !== null) {
      if (ledger === null) throw notFound(options.target);
      target = await findTarget(ledger, options.target);
    }
    return withActor(observer, async (actor) => {
      const results = await runCommand(actor.reconcile, name, {
        selection: selectionOf(target),
        fleet: target === null,
        operator: operatorIdentity(),
        waitMs: options.waitMs,
      });
      // The command's own records lag behind what batches have booked.
      const fresh = new Map(
        (await actor.purges.select(freshSelection(target, results))).map((purge) => [
          purge.id,
          purge,
        ]),
      );
      const purges = results.map((result) => fresh.get(result.purge.id) ?? result.purge);
      return answer(name, target, { results, purges });
    });
  });
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

function answer(
  name: CommandName,
  target: Target | null,
  done: { readonly results: readonly CommandResult[]; readonly purges: readonly PurgeRecord[] },
): Answer {
  const { results, purges } = done;
  const conflicts = results.filter(({ effect }) => effect === 'conflict');
  // In a campaign the purges that have ended are no conflict as long as others could be changed.
  const nothingDone = results.length > 0 && conflicts.length === results.length;
  const error = nothingDone ? conflict(name, conflicts) : null;
  const pending = purges.filter(isPending).length;
  const document = {
    command: name,
    campaignId: target?.kind === 'campaign' ? target.campaign.id : null,
    fleet: target === null ? { stopped: name === 'pause' } : undefined,
    pending,
    purges: purges.map((purge, index) => ({
      ...purgeDocument(purge),
      before: results[index]?.before,
      effect: results[index]?.effect,
      rowsRemaining: remainingOf(purge),
    })),
    ...(error === null ? {} : { error: error.toReport() }),
  };
  return {
    exitCode: error?.exitCode ?? EXIT.done,
    document,
    text: error === null ? describe(name, target, purges).join('\n') : '',
    errors: error === null ? [] : [error],
  };
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

function describe(
  name: CommandName,
  target: Target | null,
  purges: readonly PurgeRecord[],
): string[] {
  const lines: string[] = [];
  if (target === null && name === 'pause') {
    lines.push('The fleet is paused: no batch runs, and none starts until `resume --all`.');
  }
  if (target === null && name === 'resume') lines.push('The fleet is released.');
  if (purges.length === 0) lines.push('No purge is live.');
  if (purges.length <= LISTED_MAX) lines.push(...purges.map((purge) => describePurge(purge)));
  else lines.push(...countEach(purges));
  const pending = purges.filter(isPending).length;
  if (pending > 0) {
    lines.push(
      `${plural(pending, 'purge')} still to stop. Look again: tenant-purge status ${target?.kind === 'campaign' ? target.campaign.id : ''}`.trimEnd(),
    );
  }
  return lines;
}

function describePurge(purge: PurgeRecord): string {
  const who = `${purge.tenantLabel} (${purge.tenantId})\n  purge ${purge.id}`;
  const gone = `${plural(purge.rowsDeleted, 'row')} and ${plural(purge.redisKeysDeleted, 'Redis key')} gone, ${plural(remainingOf(purge), 'row')} remain`;
  switch (purge.status) {
    case 'paused':
      return `paused: ${who}\n  ${gone}`;
    case 'pausing':
      return `pausing (its worker finishes its batch): ${who}\n  ${gone} so far`;
    case 'cancelling':
      return `cancelling (its worker finishes its batch): ${who}\n  ${gone} so far`;
    case 'cancelled':
      return `cancelled: ${who}\n  ${gone}`;
    default:
      return `${purge.status}: ${who}`;
  }
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
