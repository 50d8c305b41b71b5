import type { PurgeId } from '../domain/ids.ts';
import type { PurgeRecord } from '../domain/records.ts';
import { type CommandParts, isPending, settleIfDead } from './commands.ts';
import { PARK_MS } from './contracts.ts';
import type { PurgeQueue } from './purge-queue.ts';
import { addAgain, releaseQueue, ringBells } from './tell-queue.ts';

export interface ReconcileReport {
  /** False when another reconciler was at work: nothing was done. */
  readonly ran: boolean;
  readonly pauseReapplied: boolean;
  /** The fleet had been released while the queue could not be told. */
  readonly queueReleased: boolean;
  readonly jobsAdded: number;
  readonly jobsPromoted: number;
  readonly stopsSettled: number;
  readonly purgesLive: number;
  /** What was done to which purge; the first hundred. */
  readonly repairs: readonly PurgeRepair[];
}

export interface PurgeRepair {
  readonly purgeId: PurgeId;
  readonly tenantId: string;
  /** What the purge is after it. */
  readonly status: PurgeRecord['status'];
  readonly did: 'added' | 'promoted' | 'settled';
}

export interface ReconcileParts extends CommandParts {
  readonly queue: PurgeQueue;
  /** Runs the work if no other reconciler does; one at a time in the fleet. */
  readonly exclusively: <Result>(work: () => Promise<Result>) => Promise<Result | null>;
}

const NOTHING: ReconcileReport = {
  ran: false,
  pauseReapplied: false,
  queueReleased: false,
  jobsAdded: 0,
  jobsPromoted: 0,
  stopsSettled: 0,
  purgesLive: 0,
  repairs: [],
};

/** Purges looked at side by side. */
const CHUNK = 200;
/** `enqueue` commits the ledger first and adds the jobs then; it gets this long. */
const YOUNG_MS = 10_000;
const BELLS_MAX = 10_000;
const REPAIRS_LISTED_MAX = 100;

/**
 * Derives the queue from the ledger again: after a FLUSHALL, a Redis that was away, a crash between
 * ledger and queue, or a worker that died with a stop pending. The pause comes first, so that nothing
 * re-enqueued runs although everything was stopped; where it cannot be applied nothing else is done.
 * Harmless when run twice, and side by side: a job is added under a number that is taken once, and a
 * worker drops one that has been replaced.
 * @param options.young also look at purges enqueued in the last seconds
 */
export async function reconcile(
  parts: ReconcileParts,
  options: { readonly young: boolean },
): Promise<ReconcileReport> {
  const report = await parts.exclusively(async () => {
    const fleet = await reconcileFleet(parts);
    const rung = await ringDueBells(parts);
    const live = (
      await parts.purges.select({ kind: 'live' }, { ageMinMs: options.young ? 0 : YOUNG_MS })
    ).filter(isDrivenByJob);
    const done: PurgeRepair[] = [...rung];
    for (let start = 0; start < live.length; start += CHUNK) {
      const chunk = live.slice(start, start + CHUNK);
      const repairs = await Promise.all(chunk.map((purge) => repair(parts, purge)));
      done.push(...repairs.filter((each) => each !== null));
    }
    const count = (did: PurgeRepair['did']): number =>
      done.filter((each) => each.did === did).length;
    return {
      ran: true,
      ...fleet,
      jobsAdded: count('added'),
      jobsPromoted: count('promoted'),
      stopsSettled: count('settled'),
      purgesLive: live.length,
      repairs: done.slice(0, REPAIRS_LISTED_MAX),
    };
  });
  return report ?? NOTHING;
}

/** A pause that somebody made in the queue, unknown to the ledger, stays. */
async function reconcileFleet(
  parts: ReconcileParts,
): Promise<Pick<ReconcileReport, 'pauseReapplied' | 'queueReleased'>> {
  const control = await parts.commands.readControl();
  const pauseReapplied = control.stopped && !(await parts.queue.isPaused());
  if (pauseReapplied) await parts.queue.pause();
  const queueReleased = !control.stopped && control.queueReleaseDue;
  if (queueReleased) {
    await releaseQueue(parts);
    // A stop of the fleet that came just then has paused the queue before, and wants it so.
    if ((await parts.commands.readControl()).stopped) await parts.queue.pause();
  }
  return { pauseReapplied, queueReleased };
}

/** A restore runs in a command's process: the purge that it undoes wants no job. */
const isDrivenByJob = ({ status }: PurgeRecord): boolean => status !== 'restoring';

/** Commands that the queue has not been told of. */
async function ringDueBells(parts: ReconcileParts): Promise<PurgeRepair[]> {
  const due = await parts.commands.bellsDue(BELLS_MAX);
  const told: PurgeRecord[] = [];
  for (let start = 0; start < due.length; start += CHUNK) {
    told.push(...(await ringBells(parts, due.slice(start, start + CHUNK))));
  }
  return told.map((purge) => repaired(purge, 'promoted'));
}

async function repair(parts: ReconcileParts, purge: PurgeRecord): Promise<PurgeRepair | null> {
  if (isPending(purge)) {
    const settled = await settleIfDead(parts, purge, 'reconciler');
    return settled === null ? null : repaired(settled, 'settled');
  }
  const place = await parts.queue.place(purge);
  if (place === 'none') {
    if (await isDriven(parts, purge)) return null;
    return (await addAgain(parts, purge, delayOf(purge))) ? repaired(purge, 'added') : null;
  }
  if (purge.status === 'paused' && place === 'parked') {
    if (!purge.parked) await parts.purges.markParked(purge.id);
    await parts.queue.renewPark(purge);
    return null;
  }
  // Put off for a year by a worker that saw it paused; meanwhile it was resumed, and perhaps more.
  if (place === 'parked' && !(await isDriven(parts, purge))) {
    await parts.queue.promote(purge);
    return repaired(purge, 'promoted');
  }
  return null;
}

/** Its job is lost or parked, but its worker is not: a new job would only take the purge out of its hands. */
async function isDriven(parts: ReconcileParts, purge: PurgeRecord): Promise<boolean> {
  if (purge.status !== 'running') return false;
  const sign = await parts.purges.lastSignOfLife(purge.id);
  return sign !== null && sign.ageMs < parts.lockMs;
}

const repaired = (purge: PurgeRecord, did: PurgeRepair['did']): PurgeRepair => ({
  purgeId: purge.id,
  tenantId: purge.tenantId,
  status: purge.status,
  did,
});

function delayOf(purge: PurgeRecord): number {
  switch (purge.status) {
    case 'paused':
      return PARK_MS;
    case 'scheduled':
      return Math.max(0, purge.dueAt.getTime() - Date.now());
    default:
      return 0;
  }
}
