import { EXIT } from '../../../src/domain/errors.ts';
import type { CampaignRecord, PurgeRecord } from '../../../src/domain/records.ts';
import type { PurgeArchives } from '../../../src/engine/archive/archive-states.ts';
import type { FleetControl } from '../../../src/postgres/ledger/commands.ts';
import { type Holdings, ThrottleStore } from '../../../src/postgres/ledger/throttle.ts';
import type { Answer, Session } from '../command.ts';
import { renderCampaigns } from '../output/status.ts';
import { holdLines } from '../output/throttle.ts';
import { waitForCampaign } from '../wait.ts';
import { archivesOf, listedDocument, type StatusParts } from './status-parts.ts';
import { describeStopper } from './stop-wording.ts';

const CAMPAIGNS_MAX = 1_000;

/** All campaigns; with `watch` once the last of them has ended. */
export async function showAll(
  session: Session,
  { desk, ledger }: StatusParts,
  { watch }: { readonly watch: boolean },
): Promise<Answer> {
  const campaigns = await ledger.campaigns.list(CAMPAIGNS_MAX);
  if (watch) {
    for (const campaign of campaigns) {
      const end = await waitForCampaign(session, ledger.purges, campaign.id);
      if (end === 'interrupted') break;
    }
  }
  const byCampaign = new Map<string, PurgeRecord[]>(campaigns.map(({ id }) => [id, []]));
  for (const purge of await ledger.purges.select({ kind: 'all' })) {
    byCampaign.get(purge.campaignId)?.push(purge);
  }
  const found = campaigns.map((campaign) => ({
    campaign,
    purges: byCampaign.get(campaign.id) ?? [],
  }));
  return allAnswer(session, found, {
    control: await ledger.commands.readControl(),
    holdings: await new ThrottleStore(desk.database).readHoldings(),
    archives: await archivesOf(
      desk,
      found.flatMap(({ purges }) => purges),
      campaigns,
    ),
  });
}

/** The same answer where nothing was ever enqueued, and there is no ledger. */
export const showNothing = (session: Session): Answer =>
  allAnswer(session, [], {
    control: NEVER_STOPPED,
    holdings: new Map(),
    archives: new Map(),
  });

const NEVER_STOPPED: FleetControl = {
  stopped: false,
  changedBy: null,
  changedAt: null,
  queueReleaseDue: false,
};

/** The shape of one campaign holds for all of them too; `campaigns` has them one by one. */
function allAnswer(
  session: Session,
  found: readonly { readonly campaign: CampaignRecord; readonly purges: readonly PurgeRecord[] }[],
  {
    control,
    holdings,
    archives,
  }: {
    readonly control: FleetControl;
    readonly holdings: Holdings;
    readonly archives: PurgeArchives;
  },
): Answer {
  const { stopped, changedBy } = control;
  const holds = holdLines(
    found.flatMap(({ purges }) => purges),
    holdings,
  );
  const campaigns = found.map(({ campaign, purges }) => ({
    campaignId: campaign.id,
    createdAt: campaign.createdAt.toISOString(),
    purges: purges.map((purge) => listedDocument(purge, holdings, archives)),
    refused: [],
  }));
  return {
    exitCode: session.io.interrupted.aborted ? EXIT.interrupted : EXIT.done,
    document: {
      campaignId: campaigns.length === 1 ? campaigns[0]?.campaignId : null,
      purges: campaigns.flatMap(({ purges }) => purges),
      refused: [],
      campaigns,
      fleet: { stopped, changedBy, changedAt: control.changedAt?.toISOString() ?? null },
    },
    text:
      renderCampaigns(found, stopped, session) +
      holds.map((line) => `\n${line}`).join('') +
      (stopped ? `\nPaused${describeStopper(control)}.` : ''),
  };
}
