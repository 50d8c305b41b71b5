import type { PurgeRecord } from '../domain/records.ts';
import { addAgain, type CommandParts, isPending, settleIfDead } from './commands.ts';
import { PARK_MS } from './contracts.ts';

export interface ReconcileReport {
  /** False when another reconciler was at work: nothing was done. */
  readonly ran: boolean;
  readonly pauseReapplied: boolean;
  readonly jobsAdded: number;
  readonly jobsPromoted: number;
  readonly stopsSettled: number;
  readonly purgesLive: number;
}

export interface ReconcileParts extends CommandParts {
  /** Runs the work if no other reconciler does; one at a time in the fleet. */
  readonly exclusively: <Result>(work: () => Promise<Result>) => Promise<Result | null>;
}

const NOTHING: ReconcileReport = {
  ran: false,
  pauseReapplied: false,
  jobsAdded: 0,
  jobsPromoted: 0,
  stopsSettled: 0,
  purgesLive: 0,
};

/** Purges looked at side by side. */
const CHUNK = 200;
/** `enqueue` commits the ledger first and adds the jobs then; it gets this long. */
const YOUNG_MS = 10_000;

/**
 * Derives the queue from the ledger again: after a FLUSHALL, a crash between ledger and queue, or a
 * worker that died with a stop pending. The pause comes first, so that nothing re-enqueued runs
 * although everything was stopped. Harmless when run twice.
 * @param options.young also look at purges enqueued in the last seconds
 */
export async function reconcile(
  parts: ReconcileParts,
  options: { readonly young: boolean },
): Promise<ReconcileReport> {
  const report = await parts.exclusively(async () => {
    const control = await parts.commands.readControl();
    const pauseReapplied = control.stopped && !(await parts.queue.isPaused());
    if (pauseReapplied) await parts.queue.pause();
    const live = (await parts.purges.select({ kind: 'live' })).filter(
      (purge) => options.young || Date.now() - purge.createdAt.getTime() > YOUNG_MS,
    );
    const done: Repair[] = [];
    for (let start = 0; start < live.length; start += CHUNK) {
      const chunk = live.slice(start, start + CHUNK);
      done.push(...(await Promise.all(chunk.map((purge) => repair(parts, purge)))));
    }
    const count = (kind: Repair): number => done.filter((repair) => repair === kind).length;
    return {
      ran: true,
      pauseReapplied,
      jobsAdded: count('added'),
      jobsPromoted: count('promoted'),
      stopsSettled: count('settled'),
      purgesLive: live.length,
    };
  });
  return report ?? NOTHING;
}

type Repair = 'none' | 'added' | 'promoted' | 'settled';

async function repair(parts: ReconcileParts, purge: PurgeRecord): Promise<Repair> {
  const place = await parts.queue.place(purge);
  if (isPending(purge)) {
    const settled = await settleIfDead(parts, purge, 'reconciler');
    return settled === null ? 'none' : 'settled';
  }
  if (place === 'none') {
    return (await addAgain(parts, purge, delayOf(purge))) ? 'added' : 'none';
  }
  if (purge.status === 'paused' && place === 'parked') {
    if (!purge.parked) await parts.purges.markParked(purge.id);
    await parts.queue.renewPark(purge);
    return 'none';
  }
  if (purge.status === 'queued' && place === 'parked') {
    await parts.queue.promote(purge);
    return 'promoted';
  }
  return 'none';
}

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
