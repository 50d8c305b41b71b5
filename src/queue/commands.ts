import type { TenantId } from '../domain/ids.ts';
import { isLive } from '../domain/purge.ts';
import type { PurgeRecord } from '../domain/records.ts';
import type { Residue } from '../domain/report.ts';
import type { EngineLog } from '../engine/parts.ts';
import type { CommandName, CommandResult, CommandStore } from '../postgres/ledger/commands.ts';
import type { PurgeSelection, PurgeStore } from '../postgres/ledger/purges.ts';
import { type CommandQueue, tellQueue } from './tell-queue.ts';

export interface CommandParts {
  readonly commands: CommandStore;
  readonly purges: PurgeStore;
  readonly queue: CommandQueue;
  /** The tenant's rows that are there now, by a fresh look. */
  readonly residueOf: (tenantId: TenantId) => Promise<readonly Residue[]>;
  /** A holder silent for longer is taken to be dead. */
  readonly lockMs: number;
  readonly log: EngineLog;
}

type SettleParts = Omit<CommandParts, 'queue'>;

export interface CommandOptions {
  readonly selection: PurgeSelection;
  /** The whole fleet (`--all`): also stops what is not selected yet, and the queue itself. */
  readonly fleet: boolean;
  readonly operator: string;
  /** How long to wait for `pausing` and `cancelling` to become so. */
  readonly waitMs: number;
  /** Stop when the level being worked on is done. */
  readonly afterLevel?: boolean;
  /** By what the command came, for the ledger, e.g. `command line`. */
  readonly via?: string;
}

export interface CommandOutcome {
  /** For each purge what it is now; `pausing` or `cancelling` where the stop is still pending. */
  readonly results: readonly CommandResult[];
  /** True: no batch that does not know of the command is in flight, and none can commit. */
  readonly drained: boolean;
  /** Why the queue has not been told; null where it has. The reconciler tells it then. */
  readonly queueError: string | null;
}

const LOOK_EVERY_MS = 100;
/**
 * Batches in flight are waited for at least so long, whatever `waitMs` says: a worker that froze inside
 * a transaction loses its session after 10 s.
 */
const DRAIN_MIN_MS = 15_000;

/** `carryOutCommand` for who only wants to know what the purges are now. */
export async function runCommand(
  parts: CommandParts,
  command: CommandName,
  options: CommandOptions,
): Promise<CommandResult[]> {
  return [...(await carryOutCommand(parts, command, options)).results];
}

/**
 * An operator's command: first the ledger, which every batch asks; then the batches in flight are
 * waited for; then the queue is told, which only rings and shows, and may be away. A crash in between
 * is mended by the reconciler. Idempotent.
 * @throws driver errors, where PostgreSQL is away: ask again
 */
export async function carryOutCommand(
  parts: CommandParts,
  command: CommandName,
  options: CommandOptions,
): Promise<CommandOutcome> {
  const deadline = performance.now() + options.waitMs;
  const applied = await parts.commands.apply(command, options.selection, options);
  const late = await drain(parts, command, { options, applied });
  const results = merge(applied, late ?? []);
  const recorded = command === 'cancel' ? await recordRemains(parts, results) : results;
  const queueError = await tellQueue(parts, command, { fleet: options.fleet, results: recorded });
  return {
    results: await settled(parts, recorded, { operator: options.operator, deadline }),
    drained: late !== null,
    queueError,
  };
}

interface Applied {
  readonly options: CommandOptions;
  readonly applied: readonly CommandResult[];
}

/** @returns purges that were stopped late; null when batches were still in flight at the end */
async function drain(
  parts: CommandParts,
  command: CommandName,
  { options, applied }: Applied,
): Promise<CommandResult[] | null> {
  if (command === 'resume') return [];
  const limitMs = Math.max(options.waitMs, DRAIN_MIN_MS);
  if (command === 'pause' && options.fleet) return parts.commands.drain('fleet', options, limitMs);
  // One that was never claimed has no batch; one that goes on to the end of its level may have.
  const concerned = applied.filter(
    ({ purge, effect, levelStop }) =>
      purge.fence > 0 && levelStop === null && (effect === 'changed' || isPending(purge)),
  );
  return parts.commands.drain(
    concerned.map(({ purge }) => purge),
    options,
    limitMs,
  );
}

/** A purge that was stopped late replaces what it was a moment before. */
function merge(applied: readonly CommandResult[], late: readonly CommandResult[]): CommandResult[] {
  const byId = new Map(late.map((result) => [result.purge.id, result]));
  const known = applied.map((result) => {
    const newer = byId.get(result.purge.id);
    byId.delete(result.purge.id);
    return newer === undefined ? result : { ...newer, before: result.before };
  });
  return [...known, ...byId.values()];
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

/**
 * One that never began still has every row it was counted with; a thousand of them cost no query. The
 * purge is cancelled already: where the look fails, it is so without it.
 */
async function recordResidue(parts: SettleParts, purge: PurgeRecord): Promise<PurgeRecord> {
  try {
    const residue =
      purge.startedAt === null
        ? Object.entries(purge.rowsExpected).map(([table, count]) => ({ table, count }))
        : await parts.residueOf(purge.tenantId);
    return (await parts.purges.recordResidue(purge.id, residue)) ?? purge;
  } catch (error) {
    parts.log.warn({ purgeId: purge.id, err: error }, 'what remains could not be counted');
    return purge;
  }
}

/** Waits until what was asked for is so; ends a stop whose worker is dead. */
async function settled(
  parts: CommandParts,
  results: readonly CommandResult[],
  { operator, deadline }: { readonly operator: string; readonly deadline: number },
): Promise<CommandResult[]> {
  const final: CommandResult[] = [];
  for (const result of results) {
    let { purge, levelStop } = result;
    // Once it stops, the stop at the end of the level has become a plain one.
    while (isUnsettled(purge, levelStop) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      purge = (await parts.purges.find(purge.id)) ?? purge;
      if (isPending(purge)) purge = (await settleIfDead(parts, purge, operator)) ?? purge;
    }
    if (!isUnsettled(purge, levelStop) || isPending(purge)) levelStop = null;
    final.push({ ...result, purge, levelStop });
  }
  return final;
}

/** Of a purge that was told to stop after its level, and of one that was told to stop at once. */
function isUnsettled(purge: PurgeRecord, levelStop: CommandResult['levelStop']): boolean {
  if (isPending(purge)) return true;
  return levelStop !== null && purge.status !== 'paused' && isLive(purge.status);
}

export const isPending = (purge: PurgeRecord): boolean =>
  purge.status === 'pausing' || purge.status === 'cancelling';

/**
 * Forced after a bounded time: the fence keeps a worker that was only slow from going on. At once where
 * nobody holds the purge any more.
 * @returns null while its holder shows signs of life or has a batch in flight
 */
export async function settleIfDead(
  parts: SettleParts,
  purge: PurgeRecord,
  actor: string,
): Promise<PurgeRecord | null> {
  if (purge.worker !== null) {
    const sign = await parts.purges.lastSignOfLife(purge.id);
    if (sign !== null && sign.ageMs < parts.lockMs) return null;
  }
  const settled = await parts.commands.settleWithoutHolder(purge, actor);
  return settled?.status === 'cancelled' ? recordResidue(parts, settled) : settled;
}
