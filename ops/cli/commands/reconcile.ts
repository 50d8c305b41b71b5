import { EXIT } from '../../../src/domain/errors.ts';
import { reconcile as reconcileQueue } from '../../../src/queue/reconcile.ts';
import { defineCommand } from '../command.ts';
import { withActor, withObserver } from '../open.ts';
import { plural } from '../output/text.ts';

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
        const report = await reconcileQueue(actor.reconcile, { young: true });
        return {
          exitCode: EXIT.done,
          document: report,
          text: report.ran
            ? [
                `${plural(report.purgesLive, 'live purge')} looked at:`,
                `  ${plural(report.jobsAdded, 'lost job')} added again`,
                `  ${plural(report.jobsPromoted, 'parked job')} woken`,
                `  ${plural(report.stopsSettled, 'stop')} of dead workers settled`,
                ...(report.pauseReapplied ? ['  the pause of the fleet applied again'] : []),
              ].join('\n')
            : 'Another reconciler is at work; nothing was done.',
        };
      }),
    ),
});
