import { type Request, type Response, Router, urlencoded } from 'express';
import { asPurgeId, type CampaignId, type PurgeId } from '../../src/domain/ids.ts';
import { isLive } from '../../src/domain/purge.ts';
import type { CampaignRecord, PurgeRecord } from '../../src/domain/records.ts';
import { ThrottleStore } from '../../src/postgres/ledger/throttle.ts';
import type { CommandOutcome } from '../../src/queue/commands.ts';
import { recordRefusal } from './audit.ts';
import { type BoardCommand, type CommandTarget, commandAsVisitor, FLEET } from './commands.ts';
import { readCounts, readFleetState, readPurgeFigures, selectionOf } from './figures.ts';
import {
  type Came,
  campaignOf,
  fieldOf,
  idOf,
  notFound,
  noticeOf,
  purgeOf,
  sendPage,
} from './page-answers.ts';
import { LIVE_SCRIPT, STYLE } from './pages/assets.ts';
import { renderCampaign } from './pages/campaign-page.ts';
import { type CancelPage, renderCancel } from './pages/cancel-page.ts';
import { gone } from './pages/elements.ts';
import { renderFleet } from './pages/fleet-page.ts';
import { campaignPath, fleetPath, livePath, purgePath, stylePath } from './pages/links.ts';
import { renderPurge } from './pages/purge-page.ts';
import { formatNumber } from './pages/text.ts';
import type { BoardParts } from './parts.ts';
import { configuredKnobs, tunePages } from './tune-pages.ts';
import { currentVisitor } from './visitor.ts';

const CAMPAIGNS_SHOWN = 10;
const BODY_MAX = '4kb';

/** Our own pages beside Bull Board's: the fleet, a campaign, a purge, and what may be done to them. */
export function controlPages(parts: BoardParts): Router {
  const router = Router();
  router.get(stylePath, (_, response) => void response.type('css').send(STYLE));
  router.get(livePath, (_, response) => void response.type('js').send(LIVE_SCRIPT));
  router.use(['/fleet', '/campaigns', '/purges'], urlencoded({ extended: false, limit: BODY_MAX }));

  router.use(tunePages(parts));
  router.get(fleetPath, (request, response) => showFleet(parts, request, response));
  for (const name of ['pause', 'resume'] as const) {
    router.post(`${fleetPath}/${name}`, (_, response) =>
      act(parts, response, { name, target: FLEET, back: fleetPath }),
    );
    router.post(`/purges/:id/${name}`, async (request, response) => {
      const purge = await purgeOf(parts, request);
      if (purge === null) return notFound(response, 'purge');
      await act(parts, response, { name, ...purgeTarget(purge.id) });
    });
    router.post(`/campaigns/:id/${name}`, async (request, response) => {
      const campaign = await campaignOf(parts, request);
      if (campaign === null) return notFound(response, 'campaign');
      await act(parts, response, { name, ...campaignTarget(campaign.id) });
    });
  }
  router.post('/purges/:id/pause-after-level', async (request, response) => {
    const purge = await purgeOf(parts, request);
    if (purge === null) return notFound(response, 'purge');
    await act(parts, response, { name: 'pause', afterLevel: true, ...purgeTarget(purge.id) });
  });
  router.get('/purges/:id', (request, response) => showPurge(parts, request, response));
  router.all('/purges/:id/cancel', async (request, response) => {
    const purge = await purgeOf(parts, request);
    if (purge === null) return notFound(response, 'purge');
    await confirmCancel(parts, request, response, {
      ...purgeTarget(purge.id),
      purgeId: purge.id,
      page: await purgeCancel(parts, purge),
    });
  });
  router.get('/campaigns/:id', (request, response) => showCampaign(parts, request, response));
  router.all('/campaigns/:id/cancel', async (request, response) => {
    const campaign = await campaignOf(parts, request);
    if (campaign === null) return notFound(response, 'campaign');
    await confirmCancel(parts, request, response, {
      ...campaignTarget(campaign.id),
      purgeId: null,
      page: await campaignCancel(parts, campaign),
    });
  });
  return router;
}

interface Target {
  readonly target: CommandTarget;
  /** The page that shows what came of it. */
  readonly back: string;
}

const purgeTarget = (id: PurgeId): Target => ({
  target: { selection: { kind: 'purge', id }, fleet: false },
  back: purgePath(id),
});

const campaignTarget = (id: CampaignId): Target => ({
  target: { selection: selectionOf(id), fleet: false },
  back: campaignPath(id),
});

/** Does it, then leads to a page that reads the ledger again, so that a reload repeats nothing. */
async function act(
  parts: BoardParts,
  response: Response,
  { back, ...command }: Target & BoardCommand,
): Promise<void> {
  const outcome = await commandAsVisitor(parts, command);
  const came = cameOf(command, outcome);
  response.redirect(303, came === null ? back : `${back}?came=${came}`);
}

/** What the next page has to say of a click besides how things stand. */
function cameOf({ target }: BoardCommand, outcome: CommandOutcome | null): Came | null {
  if (outcome === null || !outcome.drained) return 'late';
  if (outcome.queueError !== null) return 'untold';
  const isIdle = outcome.results.every(({ effect }) => effect !== 'changed');
  return isIdle && !target.fleet ? 'idle' : null;
}

interface Cancel extends Target {
  readonly purgeId: PurgeId | null;
  readonly page: Omit<CancelPage, 'path' | 'back' | 'typed'>;
}

async function confirmCancel(
  parts: BoardParts,
  request: Request,
  response: Response,
  cancel: Cancel,
): Promise<void> {
  const { page, back } = cancel;
  let typed: string | null = null;
  if (request.method === 'POST') {
    typed = fieldOf(request, 'phrase');
    if (typed === page.phrase) {
      await act(parts, response, { ...cancel, name: 'cancel' });
      return;
    }
    const asked = `cancel of ${page.what}`;
    const reason = 'the confirmation was another one';
    await recordRefusal(parts, { asked, reason, purgeId: cancel.purgeId });
    response.status(422);
  }
  const main = renderCancel({ ...page, path: `${back}/cancel`, back, typed });
  sendPage(parts, response, { title: `Cancel ${page.what}`, live: false, main });
}

async function purgeCancel(parts: BoardParts, found: PurgeRecord): Promise<Cancel['page']> {
  const [purge = found] = await parts.purges.select({ kind: 'purge', id: found.id });
  const campaign = await parts.campaigns.find(purge.campaignId);
  return {
    what: `the purge of ${purge.tenantLabel}`,
    stands: `It is ${purge.status}: ${gone(purge.rowsDeleted, purge.rowsTotal)}.`,
    phrase: purge.tenantId,
    phraseIs: "the tenant's id",
    archive: campaign?.archive ?? false,
  };
}

async function campaignCancel(
  parts: BoardParts,
  campaign: CampaignRecord,
): Promise<Cancel['page']> {
  const figures = await readCounts(parts, selectionOf(campaign.id));
  const live = figures.counts
    .filter(({ status }) => isLive(status))
    .reduce((sum, { purges }) => sum + purges, 0);
  return {
    what: `${formatNumber(live)} live ${live === 1 ? 'purge' : 'purges'} of the campaign`,
    stands: `${gone(figures.rowsDeleted, figures.rowsTotal)}.`,
    phrase: campaign.id,
    phraseIs: "the campaign's id",
    archive: campaign.archive,
  };
}

async function showFleet(parts: BoardParts, request: Request, response: Response): Promise<void> {
  const throttle = new ThrottleStore(parts.database);
  const [fleet, live, liveFigures, campaigns, holdings, { fleetTuned }] = await Promise.all([
    readFleetState(parts),
    parts.purges.select({ kind: 'live' }),
    readCounts(parts, { kind: 'live' }),
    parts.campaigns.list(CAMPAIGNS_SHOWN),
    throttle.readHoldings(),
    throttle.read('fleet'),
  ]);
  const counted = await Promise.all(
    campaigns.map(async (campaign) => ({
      campaign,
      figures: await readCounts(parts, selectionOf(campaign.id)),
    })),
  );
  const knobs = { own: null, fleet: fleetTuned, configured: configuredKnobs(parts) };
  const view = { fleet, live, liveFigures, campaigns: counted, holdings, knobs };
  const main = renderFleet(view, { visitor: currentVisitor(), notice: noticeOf(request) });
  sendPage(parts, response, {
    title: fleet.stopped ? 'Paused: the fleet' : 'The fleet',
    live: true,
    main,
  });
}

async function showCampaign(
  parts: BoardParts,
  request: Request,
  response: Response,
): Promise<void> {
  const campaign = await campaignOf(parts, request);
  if (campaign === null) return notFound(response, 'campaign');
  const selection = selectionOf(campaign.id);
  const [fleet, figures, purges, holdings] = await Promise.all([
    readFleetState(parts),
    readCounts(parts, selection),
    parts.purges.select(selection),
    new ThrottleStore(parts.database).readHoldings(),
  ]);
  const main = renderCampaign(
    { campaign, fleet, figures, purges, holdings },
    { visitor: currentVisitor(), notice: noticeOf(request) },
  );
  sendPage(parts, response, { title: 'Campaign', live: true, main });
}

async function showPurge(parts: BoardParts, request: Request, response: Response): Promise<void> {
  const id = idOf(request);
  const figures = id === null ? null : await readPurgeFigures(parts, asPurgeId(id));
  if (figures === null) return notFound(response, 'purge');
  const main = renderPurge(figures, {
    visitor: currentVisitor(),
    lockMs: parts.config.worker.lockMs,
    configured: configuredKnobs(parts),
    notice: noticeOf(request),
  });
  const title = `${figures.purge.status}: ${figures.purge.tenantLabel}`;
  sendPage(parts, response, { title, live: true, main });
}
