import type { PurgeId } from '../domain/ids.ts';
import { sealForgotten } from '../engine/archive/seal-archive.ts';
import { type Failpoint, noFailpoint } from '../engine/failpoints.ts';
import { runPurge } from '../engine/run-purge.ts';
import type { SweptPurge } from '../postgres/ledger/sweeps.ts';
import { runCommand } from '../queue/commands.ts';
import { startPurgeWorker } from '../queue/purge-worker.ts';
import { reconcile } from '../queue/reconcile.ts';
import { ringBells } from '../queue/tell-queue.ts';
import { type Actor, queueAddress } from './actor.ts';
import { engineParts } from './engine-parts.ts';
import { processIdentity } from './process-identity.ts';

export interface RunningWorker {
  /** Resolves when every worker is connected to the queue and takes jobs. */
  ready(): Promise<void>;
  /**
   * Each purge finishes its batch and is given back; then the reconciler and the queue close. A read
   * under way is given up after two seconds.
   */
  stop(): Promise<void>;
}

/** Manifests that a round of the reconciler writes. */
const SEALED_AT_ONCE = 100;
const CONFIRM_EVERY_MS = 50;
const CONFIRM_TRIES_MAX = 40;
/** By a clock that is so wrong a job that was put off for a year may be due. */
const CLOCK_AHEAD_MAX_MS = 24 * 3_600_000;
/** Jobs woken side by side. */
const WAKE_CHUNK = 100;

/** Workers and a reconciler in this process. The actor stays the caller's, to be closed after. */
export function startWorker(actor: Actor, failpoint?: Failpoint): RunningWorker {
  const parts = engineParts(actor, (purges) => wakeSwept(actor, purges), failpoint);
  const { queue, log, config } = actor;
  const identity = processIdentity();
  const worker = startPurgeWorker({
    address: queueAddress(config),
    queue,
    slots: config.worker.slots,
    lockMs: config.worker.lockMs,
    identity,
    log,
    runPurge: (purgeId, control) => runPurge(parts, purgeId, control),
    currentJobNumber: (purgeId) => actor.purges.jobNumberOf(purgeId),
    resumePromoted: async (purgeId) => {
      const aheadMs = await actor.purges.clockAheadMs();
      if (aheadMs > CLOCK_AHEAD_MAX_MS) {
        log.error(
          { purgeId, aheadMs },
          "this host's clock is far ahead of PostgreSQL's: a paused purge came back by itself, and stays paused",
        );
        return;
      }
      await runCommand(actor.reconcile, 'resume', {
        selection: { kind: 'purge', id: purgeId },
        fleet: false,
        operator: 'promoted in the queue',
        waitMs: 0,
      });
    },
    confirmParked: (purgeId) => {
      confirmParked(actor, purgeId).catch((error: unknown) =>
        log.warn({ purgeId, err: error }, 'the parked job will be confirmed by the reconciler'),
      );
    },
  });
  const ticker = startReconciling(actor, parts.failpoint);
  return {
    ready: () => worker.ready(),
    async stop() {
      ticker.stop();
      const unhurry = actor.database.hurry();
      try {
        await worker.stop();
        await parts.sweeper?.stop();
        await ticker.idle();
      } finally {
        unhurry();
      }
    },
  };
}

/** Their jobs need not wait out their delay. */
async function wakeSwept(actor: Actor, purges: readonly SweptPurge[]): Promise<void> {
  for (let start = 0; start < purges.length; start += WAKE_CHUNK) {
    const chunk = purges.slice(start, start + WAKE_CHUNK);
    await Promise.all(chunk.map((purge) => actor.queue.wakeFirst(purge)));
  }
}

/** Reconciles every `worker.reconcileMs`, one at a time; a failure is logged and tried again. */
export function startReconciling(
  actor: Actor,
  failpoint: Failpoint = noFailpoint,
): { stop(): void; idle(): Promise<void> } {
  let running: Promise<unknown> = Promise.resolve();
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    running = reconcile(actor.reconcile, { young: false })
      .then((report) => {
        if (
          report.jobsAdded + report.jobsPromoted + report.stopsSettled > 0 ||
          report.pauseReapplied ||
          report.queueReleased
        ) {
          actor.log.warn(report, 'the queue was derived from the ledger again');
        }
      })
      .then(() => sealForgotten({ ...actor, failpoint }, actor.archive, SEALED_AT_ONCE))
      .catch((error: unknown) => actor.log.warn({ err: error }, 'reconciling failed; tried again'))
      .finally(() => {
        busy = false;
      });
  }, actor.config.worker.reconcileMs);
  return {
    stop: () => clearInterval(timer),
    idle: async () => {
      await running;
    },
  };
}

/**
 * Books that the job is among the delayed ones. Where a command came while it was on its way there, the
 * queue could not be told: it is now.
 */
async function confirmParked(actor: Actor, purgeId: PurgeId): Promise<void> {
  for (let tries = 1; tries <= CONFIRM_TRIES_MAX; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, CONFIRM_EVERY_MS));
    const purge = await actor.purges.find(purgeId);
    const place = purge === null ? 'none' : await actor.queue.place(purge);
    if (place === 'active') continue;
    if (purge === null || place !== 'parked') return;
    if (purge.status === 'paused') await actor.purges.markParked(purgeId);
    else await ringBells(actor, [purge]);
    return;
  }
}
