import type { CampaignId } from '../../src/domain/ids.ts';
import { isLive, type PurgeStatus } from '../../src/domain/purge.ts';
import type { PurgeStore, StatusCount } from '../../src/postgres/ledger/purges.ts';
import type { Session } from './command.ts';
import { makeBar } from './output/bar.ts';
import { formatNumber } from './output/text.ts';

const LOOK_EVERY_MS = 500;
const LINE_EVERY_MS = 5_000;
/** Looks in a row that may fail, e.g. while PostgreSQL restarts: a minute. */
const FAILED_LOOKS_MAX = 120;
/** After this long without any worker the operator is told. */
const NO_WORKER_MS = 10_000;

/** Where a campaign is. */
interface CampaignProgress {
  readonly purges: number;
  readonly ended: number;
  readonly statuses: ReadonlyMap<PurgeStatus, number>;
  readonly rowsDeleted: number;
  readonly rowsTotal: number;
}

export function progressOf(counts: readonly StatusCount[]): CampaignProgress {
  const statuses = new Map<PurgeStatus, number>();
  let purges = 0;
  let ended = 0;
  let rowsDeleted = 0;
  let rowsTotal = 0;
  for (const count of counts) {
    statuses.set(count.status, (statuses.get(count.status) ?? 0) + count.purges);
    purges += count.purges;
    if (!isLive(count.status)) ended += count.purges;
    rowsDeleted += count.rowsDeleted;
    rowsTotal += count.rowsTotal;
  }
  return { purges, ended, statuses, rowsDeleted, rowsTotal };
}

/**
 * Returns when no purge of the campaign is live (`ended`), or on Ctrl-C (`interrupted`), which
 * leaves the campaign running. Draws a bar at a terminal, plain lines elsewhere, and nothing for a
 * program that reads JSON.
 * @throws when the ledger cannot be read for a minute
 */
export async function waitForCampaign(
  session: Session,
  purges: PurgeStore,
  campaignId: CampaignId,
): Promise<'ended' | 'interrupted'> {
  const display = makeDisplay(session);
  const startedAt = performance.now();
  let failedLooks = 0;
  let toldOfWorkers = false;
  try {
    // Ends with the campaign; a paused one may take days.
    for (;;) {
      if (session.io.interrupted.aborted) return 'interrupted';
      try {
        const progress = progressOf(
          await purges.countByStatus({ kind: 'campaign', id: campaignId }),
        );
        failedLooks = 0;
        display.show(progress);
        if (progress.ended === progress.purges) return 'ended';
        const idle = progress.statuses.get('queued') === progress.purges;
        if (!toldOfWorkers && idle && performance.now() - startedAt > NO_WORKER_MS) {
          toldOfWorkers = true;
          display.note('No worker has taken a purge yet. Start one: tenant-purge worker');
        }
      } catch (error) {
        failedLooks += 1;
        if (failedLooks > FAILED_LOOKS_MAX) throw error;
      }
      await sleep(LOOK_EVERY_MS, session.io.interrupted);
    }
  } finally {
    display.stop();
  }
}

interface Display {
  show(progress: CampaignProgress): void;
  note(line: string): void;
  stop(): void;
}

function makeDisplay(session: Session): Display {
  if (session.io.stderr.isTTY === true) return barDisplay(session);
  if (session.json) return { show: () => undefined, note: () => undefined, stop: () => undefined };
  return lineDisplay(session);
}

function barDisplay(session: Session): Display {
  const bar = makeBar(session, '{rows} rows | {tenants} tenants | {rate} rows/s');
  const rate = makeRate();
  let started = false;
  return {
    show(progress) {
      // A campaign of tenants without rows counts tenants instead.
      const byRows = progress.rowsTotal > 0;
      const total = byRows ? progress.rowsTotal : progress.purges;
      const value = Math.min(total, byRows ? progress.rowsDeleted : progress.ended);
      const payload = {
        rows: formatNumber(progress.rowsDeleted),
        tenants: `${formatNumber(progress.ended)}/${formatNumber(progress.purges)}`,
        rate: formatNumber(rate(progress.rowsDeleted)),
      };
      if (started) bar.update(value, payload);
      else bar.start(total, value, payload);
      started = true;
    },
    note(line) {
      session.io.stderr.write(`\n${line}\n`);
    },
    stop: () => bar.stop(),
  };
}

function lineDisplay(session: Session): Display {
  const rate = makeRate();
  let shownAt = Number.NEGATIVE_INFINITY;
  return {
    show(progress) {
      const ended = progress.ended === progress.purges;
      if (!ended && performance.now() - shownAt < LINE_EVERY_MS) return;
      shownAt = performance.now();
      session.note(
        `${formatNumber(progress.ended)} of ${formatNumber(progress.purges)} tenants ended, ` +
          `${formatNumber(progress.rowsDeleted)} of ${formatNumber(progress.rowsTotal)} rows deleted, ` +
          `${formatNumber(rate(progress.rowsDeleted))} rows/s (${describeStatuses(progress)})`,
      );
    },
    note: (line) => session.note(line),
    stop: () => undefined,
  };
}

/** `3 running, 15 queued`. */
const describeStatuses = (progress: CampaignProgress): string =>
  [...progress.statuses].map(([status, count]) => `${formatNumber(count)} ${status}`).join(', ');

/** Rows per second since the wait began. */
function makeRate(): (rows: number) => number {
  let first: { readonly at: number; readonly rows: number } | null = null;
  return (rows) => {
    const now = performance.now();
    first ??= { at: now, rows };
    const seconds = (now - first.at) / 1_000;
    return seconds < 0.1 ? 0 : Math.round((rows - first.rows) / seconds);
  };
}

/** Ends early, without an error, when interrupted. */
export function sleep(durationMs: number, interrupted: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (interrupted.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      interrupted.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, durationMs);
    interrupted.addEventListener('abort', done, { once: true });
  });
}
