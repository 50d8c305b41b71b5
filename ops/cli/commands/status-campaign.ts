import { EXIT, toPurgeError } from '../../../src/domain/errors.ts';
import { isLive } from '../../../src/domain/purge.ts';
import type { CampaignRecord } from '../../../src/domain/records.ts';
import { sumArchives } from '../../../src/engine/archive/archive-sum.ts';
import {
  type CampaignReport,
  makeCampaignReport,
} from '../../../src/engine/campaign/campaign-report.ts';
import { ThrottleStore } from '../../../src/postgres/ledger/throttle.ts';
import type { Answer, Session } from '../command.ts';
import { type LedgerView, withObserver } from '../open.ts';
import { renderCampaignReport } from '../output/campaign-report.ts';
import { renderCampaign } from '../output/status.ts';
import { holdLines } from '../output/throttle.ts';
import { waitForCampaign } from '../wait.ts';
import { archivesOf, listedDocument, type StatusParts, stopLines } from './status-parts.ts';

/** One campaign: its progress while it is live, its report once it has ended. */
export async function showCampaign(
  session: Session,
  { desk, ledger }: StatusParts,
  campaign: CampaignRecord,
  { watch }: { readonly watch: boolean },
): Promise<Answer> {
  if (watch) await waitForCampaign(session, ledger.purges, campaign.id);
  const interrupted = session.io.interrupted.aborted;
  const purges = await ledger.purges.select({ kind: 'campaign', id: campaign.id });
  const live = purges.some((purge) => isLive(purge.status));
  const report = interrupted ? null : await reportOf(session, ledger, campaign);
  const stops = await ledger.commands.pendingStops({ kind: 'campaign', id: campaign.id });
  const holdings = await new ThrottleStore(desk.database).readHoldings();
  const archives = await archivesOf(desk, purges, [campaign]);
  const holds = holdLines(purges, holdings);
  const next = live
    ? `\n\nNext: tenant-purge status ${campaign.id} --watch`
    : '\n\nOne purge: tenant-purge status PURGE';
  return {
    exitCode: interrupted ? EXIT.interrupted : EXIT.done,
    document: {
      campaignId: campaign.id,
      purges: purges.map((purge) => listedDocument(purge, holdings, archives)),
      refused: [],
      stops,
      ...(report === null ? {} : { report }),
    },
    text:
      (live || report === null
        ? renderCampaign(campaign, { purges, archive: sumArchives(archives) }, session)
        : renderCampaignReport(report, session)) +
      (holds.length === 0 ? '' : `\n\n${holds.join('\n')}`) +
      stopLines(stops, desk.config.worker.lockMs) +
      next,
  };
}

/** Null while Redis is away: the report counts its keys. What else there is to say stands in the ledger. */
async function reportOf(
  session: Session,
  ledger: LedgerView,
  campaign: CampaignRecord,
): Promise<CampaignReport | null> {
  try {
    return await withObserver(session, (observer) =>
      makeCampaignReport(
        {
          ...observer,
          ...ledger,
          database: observer.database,
          keepDays: observer.config.archive.keepDays,
        },
        campaign,
      ),
    );
  } catch (thrown) {
    const error = toPurgeError(thrown);
    if (error.code !== 'REDIS_UNREACHABLE') throw thrown;
    session.note(`Without the campaign's report, which looks at Redis: ${error.message}`);
    return null;
  }
}
