import type { TenantId } from '../domain/ids.ts';
import type { PurgeRecord } from '../domain/records.ts';
import type { Residue } from '../domain/report.ts';
import type { EngineLog } from '../engine/parts.ts';
import type { CommandName, CommandResult, CommandStore } from '../postgres/ledger/commands.ts';
import type { PurgeSelection, PurgeStore } from '../postgres/ledger/purges.ts';
import type { PurgeQueue } from './purge-queue.ts';

export interface CommandParts {
  readonly commands: CommandStore;
  readonly purges: PurgeStore;
  readonly queue: PurgeQueue;
  /** The tenant's rows that are there now, by a fresh look. */
  readonly residueOf: (tenantId: TenantId) => Promise<readonly Residue[]>;
  /** A holder silent for longer is taken to be dead. */
  readonly lockMs: number;
  readonly log: EngineLog;
}

export interface CommandOptions {
  readonly selection: PurgeSelection;
  /** The whole fleet (`--all`): also stops what is not selected yet, and the queue itself. */
  readonly fleet: boolean;
  readonly operator: string;
  /** How long to wait for `pausing` and `cancelling` to become so. */
  readonly waitMs: number;
}

const LOOK_EVERY_MS = 100;

/**
 * An operator's command: first the ledger, which every batch asks, then the queue, which shows it.
 * A crash between the two is mended by the reconciler. Idempotent.
 * @returns for each purge what it is now; `pausing` or `cancelling` where the stop is still pending
 */
export async function runCommand(
  parts: CommandParts,
  command: CommandName,
  options: CommandOptions,
): Promise<CommandResult[]> {
  const results = await parts.commands.apply(command, options.selection, options);
  if (options.fleet && command !== 'cancel') await ringFleet(parts, command);
  const recorded = command === 'cancel' ? await recordRemains(parts, results) : results;
  await wakeJobs(parts, command, recorded);
  return settled(parts, recorded, options);
}

/** A cancelled purge that no worker held says what remains as well; before its job shows it. */
async function recordRemains(
  parts: CommandParts,
  results: readonly CommandResult[],
): Promise<CommandResult[]> {
  const recorded: CommandResult[] = [];
  for (const result of results) {
    const isNew = result.effect === 'changed' && result.purge.status === 'cancelled';
    recorded.push(isNew ? { ...result, purge: await recordResidue(parts, result.purge) } : result);
  }
  return recorded;
}

/** One that never began still has every row it was counted with; a thousand of them cost no query. */
async function recordResidue(
  parts: Pick<CommandParts, 'purges' | 'residueOf'>,
  purge: PurgeRecord,
): Promise<PurgeRecord> {
  const residue =
    purge.startedAt === null
      ? Object.entries(purge.rowsExpected).map(([table, count]) => ({ table, count }))
      : await parts.residueOf(purge.tenantId);
  return (await parts.purges.recordResidue(purge.id, residue)) ?? purge;
}

async function ringFleet(parts: CommandParts, command: CommandName): Promise<void> {
  try {
    await (command === 'pause' ? parts.queue.pause() : parts.queue.resume());
  } catch (error) {
    parts.log.warn({ err: error }, `${command}: the ledger holds it, the queue will follow`);
  }
}

/** A resumed or cancelled purge's parked job comes back to be run, or to end. */
async function wakeJobs(
  parts: CommandParts,
  command: CommandName,
  results: readonly CommandResult[],
): Promise<void> {
  if (command === 'pause') return;
  for (const { purge, effect } of results) {
    if (effect !== 'changed') continue;
    try {
      if (!(await parts.queue.promote(purge)) && command === 'resume') {
        await addAgain(parts, purge);
      }
    } catch (error) {
      parts.log.warn({ purgeId: purge.id, err: error }, 'the job will be woken by the reconciler');
    }
  }
}

/**
 * A new job, under a new number, for a live purge that has none.
 * @returns false when the purge has moved on since it was read, and needs none
 */
export async function addAgain(
  parts: Pick<CommandParts, 'purges' | 'queue'>,
  purge: PurgeRecord,
  delayMs = 0,
): Promise<boolean> {
  const jobNumber = await parts.purges.renumberJob(purge);
  if (jobNumber === null) return false;
  await parts.queue.add([{ id: purge.id, tenantLabel: purge.tenantLabel, jobNumber, delayMs }]);
  return true;
}

/** Waits until what was asked for is so; ends a stop whose worker is dead. */
async function settled(
  parts: CommandParts,
  results: readonly CommandResult[],
  options: CommandOptions,
): Promise<CommandResult[]> {
  const deadline = performance.now() + options.waitMs;
  const final: CommandResult[] = [];
  for (const result of results) {
    let purge = result.purge;
    while (isPending(purge) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      purge = (await parts.purges.find(purge.id)) ?? purge;
      if (isPending(purge)) purge = (await settleIfDead(parts, purge, options.operator)) ?? purge;
    }
    final.push({ ...result, purge });
  }
  return final;
}

export const isPending = (purge: PurgeRecord): boolean =>
  purge.status === 'pausing' || purge.status === 'cancelling';

/** Forced after a bounded time: the fence keeps a worker that was only slow from going on. */
export async function settleIfDead(
  parts: Pick<CommandParts, 'commands' | 'purges' | 'lockMs' | 'residueOf'>,
  purge: PurgeRecord,
  actor: string,
): Promise<PurgeRecord | null> {
  const sign = await parts.purges.lastSignOfLife(purge.id);
  if (sign !== null && sign.ageMs < parts.lockMs) return null;
  const settled = await parts.commands.settleWithoutHolder(purge, actor);
  return settled?.status === 'cancelled' ? recordResidue(parts, settled) : settled;
}
