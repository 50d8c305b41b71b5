import type { PurgeRecord } from '../domain/records.ts';
import type { EngineLog } from '../engine/parts.ts';
import type { CommandName, CommandResult, CommandStore } from '../postgres/ledger/commands.ts';
import type { PurgeStore } from '../postgres/ledger/purges.ts';
import type { PurgeQueue, Ring } from './purge-queue.ts';

/** The part of the queue that a command needs; it may turn out to be away. */
export type CommandQueue = Pick<PurgeQueue, 'add' | 'promote' | 'pause' | 'resume'>;

interface TellParts {
  readonly commands: CommandStore;
  readonly purges: PurgeStore;
  readonly queue: CommandQueue;
  readonly log: EngineLog;
}

/** A command does not hang on a Redis that is away: the ledger has what is still to be told. */
const TELL_MAX_MS = 5_000;
/** Jobs woken side by side. */
const CHUNK = 100;

/**
 * Tells the queue of a command that the ledger already holds: pauses or releases it for the fleet, and
 * wakes the jobs of purges that were resumed or cancelled. What cannot be told stays booked in the
 * ledger, and the reconciler tells it.
 * @returns why it could not be told, null where it was
 */
export async function tellQueue(
  parts: TellParts,
  command: CommandName,
  what: { readonly fleet: boolean; readonly results: readonly CommandResult[] },
): Promise<string | null> {
  const abandoned = new AbortController();
  try {
    await bounded(tell(parts, command, { ...what, abandoned: abandoned.signal }));
    return null;
  } catch (error) {
    // What is under way may still come through, but nothing begins that a later command contradicts.
    abandoned.abort();
    parts.log.warn({ err: error }, `${command}: the ledger holds it, the queue will follow`);
    return error instanceof Error ? error.message : String(error);
  }
}

async function tell(
  parts: TellParts,
  command: CommandName,
  {
    fleet,
    results,
    abandoned,
  }: {
    readonly fleet: boolean;
    readonly results: readonly CommandResult[];
    readonly abandoned: AbortSignal;
  },
): Promise<void> {
  if (fleet && command === 'pause') await parts.queue.pause();
  if (fleet && command === 'resume') await releaseQueue(parts);
  if (command === 'pause') return;
  const changed = results.filter(
    ({ effect, levelStop, purge }) =>
      effect === 'changed' && levelStop === null && rings(purge.status),
  );
  for (let start = 0; start < changed.length && !abandoned.aborted; start += CHUNK) {
    await ringBells(
      parts,
      changed.slice(start, start + CHUNK).map(({ purge }) => purge),
    );
  }
}

/**
 * Wakes the jobs of these purges, side by side. A bell whose job was in a worker's hands stays due: that
 * worker may have seen the purge before the command, and put the job off for a year.
 * @returns those whose job was told, or added
 */
export async function ringBells(
  parts: Pick<TellParts, 'commands' | 'purges' | 'queue'>,
  purges: readonly PurgeRecord[],
): Promise<PurgeRecord[]> {
  const rings = await Promise.all(
    purges.map(async (purge) => ({ purge, ring: await ringBell(parts, purge) })),
  );
  await parts.commands.bellsRung(
    rings.filter(({ ring }) => ring !== 'busy').map(({ purge }) => purge),
  );
  return rings.filter(({ ring }) => ring === 'woken' || ring === 'awake').map(({ purge }) => purge);
}

/** Ends the pause of the queue that belongs to a stop of the fleet which is over. */
export async function releaseQueue(parts: Pick<TellParts, 'commands' | 'queue'>): Promise<void> {
  await parts.queue.resume();
  await parts.commands.queueReleased();
}

const rings = (status: PurgeRecord['status']): boolean =>
  status === 'queued' || status === 'cancelled';

/** A resumed or cancelled purge's parked job comes back to be run, or to end. */
async function ringBell(
  parts: Pick<TellParts, 'purges' | 'queue'>,
  purge: PurgeRecord,
): Promise<Ring> {
  const ring = await parts.queue.promote(purge);
  // An ended purge needs no new job.
  if (ring !== 'no-job' || purge.status !== 'queued') return ring;
  return (await addAgain(parts, purge)) ? 'woken' : 'no-job';
}

/**
 * A new job, under a new number, for a live purge that has none.
 * @returns false when the purge has moved on since it was read, and needs none
 */
export async function addAgain(
  parts: Pick<TellParts, 'purges' | 'queue'>,
  purge: PurgeRecord,
  delayMs = 0,
): Promise<boolean> {
  const jobNumber = await parts.purges.renumberJob(purge);
  if (jobNumber === null) return false;
  const rows = purge.rowsTotal - purge.rowsDeleted;
  await parts.queue.add([
    { id: purge.id, tenantLabel: purge.tenantLabel, jobNumber, delayMs, rows },
  ]);
  return true;
}

async function bounded(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('Redis gave no answer in time')), TELL_MAX_MS);
  });
  // What it still throws once it is late has been reported.
  work.catch(() => undefined);
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
