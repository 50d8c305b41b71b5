import { EXIT } from '../../../src/domain/errors.ts';
import { type ReconcileReport, reconcile as reconcileQueue } from '../../../src/queue/reconcile.ts';
import { defineCommand, type Session } from '../command.ts';
import { withActor, withObserver } from '../open.ts';
import { formatNumber, plural } from '../output/text.ts';
import { sleep } from '../wait.ts';

/** A worker's round takes less; then it is this one's turn. */
const TRIES_MAX = 20;
const TRY_EVERY_MS = 500;
/** More than these are counted, not listed. */
const LISTED_MAX = 20;

/** Derives the queue from the ledger again, at once; workers do it by themselves. */
export const reconcile = defineCommand<null>({
  usage: 'reconcile',
  summary: 'Derive the queue from the ledger again, e.g. after Redis was flushed',
  examples: ['reconcile'],
  describe: (command) => command,
  validate: () => null,
  run: async (session) =>
    withObserver(session, (observer) =>
      withActor(observer, async (actor) => {
        const report = await whenFree(session, () =>
          reconcileQueue(actor.reconcile, { young: true }),
        );
        return { exitCode: EXIT.done, document: report, text: describe(report) };
      }),
    ),
});

/** Workers reconcile by themselves: one that is at it just now is waited for. */
async function whenFree(
  session: Session,
  work: () => Promise<ReconcileReport>,
): Promise<ReconcileReport> {
  let report = await work();
  for (let tries = 2; !report.ran && tries <= TRIES_MAX; tries += 1) {
    await sleep(TRY_EVERY_MS, session.io.interrupted);
    report = await work();
  }
  return report;
}

const DID: Record<ReconcileReport['repairs'][number]['did'], string> = {
  added: 'its lost job was added again',
  promoted: 'its job was woken',
  settled: 'its worker is gone; the stop was settled without it',
};

function describe(report: ReconcileReport): string {
  if (!report.ran) return 'Another reconciler is at work; nothing was done.';
  const { repairs } = report;
  const done = report.jobsAdded + report.jobsPromoted + report.stopsSettled;
  const more = done - Math.min(repairs.length, LISTED_MAX);
  return [
    `${plural(report.purgesLive, 'live purge')} looked at:`,
    ...(report.pauseReapplied ? ['  the pause of the fleet applied again'] : []),
    ...(report.queueReleased ? ['  the queue released, as the fleet was'] : []),
    `  ${plural(report.jobsAdded, 'lost job')} added again`,
    `  ${plural(report.jobsPromoted, 'parked job')} woken`,
    `  ${plural(report.stopsSettled, 'stop')} of dead workers settled`,
    ...repairs
      .slice(0, LISTED_MAX)
      .map(
        ({ purgeId, tenantId, status, did }) =>
          `  purge ${purgeId} of ${tenantId}, ${status}: ${DID[did]}`,
      ),
    ...(more > 0 ? [`  … and ${formatNumber(more)} more`] : []),
  ].join('\n');
}
