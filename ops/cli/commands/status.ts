import { z } from 'zod';
import { EXIT, toPurgeError } from '../../../src/domain/errors.ts';
import { deleteSteps } from '../../../src/domain/plan.ts';
import { isLive } from '../../../src/domain/purge.ts';
import type { CampaignRecord, PurgeRecord } from '../../../src/domain/records.ts';
import {
  type PurgeArchives,
  readArchiveStates,
} from '../../../src/engine/archive/archive-states.ts';
import { sumArchives } from '../../../src/engine/archive/archive-sum.ts';
import {
  type CampaignReport,
  makeCampaignReport,
} from '../../../src/engine/campaign/campaign-report.ts';
import { findTarget, notFound } from '../../../src/engine/campaign/find-target.ts';
import { ArchiveView } from '../../../src/postgres/ledger/archive-view.ts';
import type { FleetControl, PendingStop } from '../../../src/postgres/ledger/commands.ts';
import { type Holdings, ThrottleStore } from '../../../src/postgres/ledger/throttle.ts';
import { type Answer, defineCommand, readOptions, type Session } from '../command.ts';
import { type LedgerView, withObserver } from '../open.ts';
import { renderCampaignReport } from '../output/campaign-report.ts';
import { purgeDocument } from '../output/purges.ts';
import {
  type PurgeDetail,
  renderCampaign,
  renderCampaigns,
  renderPurge,
} from '../output/status.ts';
import { holdingDocument, holdLines, throttleDocument, throttleLines } from '../output/throttle.ts';
import { sleep, waitForCampaign } from '../wait.ts';
import { type LedgerDesk, withLedgerDesk } from './ledger-desk.ts';
import { describePending, describeStopper } from './stop-wording.ts';

const optionsSchema = z.object({ watch: z.boolean().default(false) });

interface Options {
  readonly target: string | null;
  readonly watch: boolean;
}

const CAMPAIGNS_MAX = 1_000;
const EVENTS_SHOWN = 8;
const RATE_WINDOW_MS = 10_000;
const LOOK_EVERY_MS = 500;
/** Pending stops described; the campaign's figures count the rest. */
const STOPS_SHOWN_MAX = 10;

/** What is going on. Only looks; it does not even create the ledger, and works while Redis is away. */
export const status = defineCommand<Options>({
  usage: 'status [target]',
  summary: 'Progress of all campaigns, or of one campaign, purge or tenant',
  examples: [
    'status',
    'status 31c06fc4-db22-4740-83ea-48ac14f25810 --watch',
    'status --json | jq .purges',
  ],
  describe: (command) =>
    command.option('--watch', 'until it has ended; with --json one document at the end'),
  validate: (raw, [target]) => ({ ...readOptions(optionsSchema, raw), target: target ?? null }),
  handlesInterrupt: true,
  run: async (session, options) =>
    withLedgerDesk(session, async (desk) => {
      const { ledger } = desk;
      if (options.target === null) return showAll(session, { desk, ledger }, options);
      if (ledger === null) throw notFound(options.target);
      const target = await findTarget(ledger, options.target);
      return target.kind === 'campaign'
        ? showCampaign(session, { desk, ledger }, target.campaign, options)
        : showPurge(session, { desk, ledger }, target.purge, options);
    }),
});

interface Parts {
  readonly desk: LedgerDesk;
  readonly ledger: LedgerView;
}

async function showAll(
  session: Session,
  { desk, ledger }: { readonly desk: LedgerDesk; readonly ledger: LedgerView | null },
  options: Options,
): Promise<Answer> {
  if (ledger === null) {
    return allAnswer(session, [], {
      control: NEVER_STOPPED,
      holdings: new Map(),
      archives: new Map(),
    });
  }
  const campaigns = await ledger.campaigns.list(CAMPAIGNS_MAX);
  if (options.watch) {
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

async function showCampaign(
  session: Session,
  { desk, ledger }: Parts,
  campaign: CampaignRecord,
  options: Options,
): Promise<Answer> {
  if (options.watch) await waitForCampaign(session, ledger.purges, campaign.id);
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

const archivesOf = (
  { database, config }: LedgerDesk,
  purges: readonly PurgeRecord[],
  campaigns: readonly CampaignRecord[],
): Promise<PurgeArchives> =>
  readArchiveStates(new ArchiveView(database), {
    purges,
    campaigns,
    keepDays: config.archive.keepDays,
  });

const listedDocument = (
  purge: PurgeRecord,
  holdings: Holdings,
  archives: PurgeArchives,
): object => ({
  ...purgeDocument(purge),
  archive: archives.get(purge.id)?.state ?? null,
  ...holdingDocument(holdings.get(purge.id)),
});

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

function stopLines(stops: readonly PendingStop[], lockMs: number): string {
  const shown = stops.slice(0, STOPS_SHOWN_MAX);
  return shown
    .map((stop) => {
      const lines = describePending(stop, lockMs);
      return `\n\n${stop.status} ${stop.purgeId}\n  ${lines.join('\n  ')}`;
    })
    .join('');
}

async function showPurge(
  session: Session,
  parts: Parts,
  found: PurgeRecord,
  options: Options,
): Promise<Answer> {
  let purge = found;
  while (options.watch && isLive(purge.status) && !session.io.interrupted.aborted) {
    await sleep(LOOK_EVERY_MS, session.io.interrupted);
    const [now] = await parts.ledger.purges.select({ kind: 'purge', id: purge.id });
    if (now === undefined) break;
    if (now.status !== purge.status || now.stage !== purge.stage) {
      session.note(`${now.status}, stage ${now.stage}, ${now.rowsDeleted} rows deleted`);
    }
    purge = now;
  }
  const detail = await readDetail(parts, purge);
  const throttle = await new ThrottleStore(parts.desk.database).read(purge.id);
  const stops = await parts.ledger.commands.pendingStops({ kind: 'purge', id: purge.id });
  const control = await parts.ledger.commands.readControl();
  return {
    exitCode: session.io.interrupted.aborted ? EXIT.interrupted : EXIT.done,
    document: {
      campaignId: purge.campaignId,
      purges: [
        {
          ...purgeDocument(purge),
          archive: detail.archive?.state ?? null,
          level: purge.level,
          worker: purge.worker,
          waitsFor: purge.waitsFor,
          stop: stops[0] ?? null,
          ...throttleDocument(throttle),
          rowsPerSec: detail.rowsPerSec,
          tables: detail.tables,
          events: detail.events,
        },
      ],
      refused: [],
    },
    text:
      renderPurge(detail, session) +
      (isLive(purge.status)
        ? throttleLines(throttle)
            .map((line) => `\n${line}`)
            .join('')
        : '') +
      stopLines(stops, parts.desk.config.worker.lockMs) +
      (isLive(purge.status) && control.stopped
        ? `\nThe fleet is paused${describeStopper(control)}: nothing runs until \`resume --all\`.`
        : ''),
  };
}

async function readDetail({ desk, ledger }: Parts, purge: PurgeRecord): Promise<PurgeDetail> {
  const deleted = new Map(
    (await desk.reader.deletedRows(purge.id)).map(({ table, rows }) => [table, rows]),
  );
  const campaign = await ledger.campaigns.find(purge.campaignId);
  const archives = await archivesOf(desk, [purge], campaign === null ? [] : [campaign]);
  const planned =
    campaign === null
      ? []
      : deleteSteps(await ledger.campaigns.plan(campaign.planFingerprint)).map(
          ({ table }) => table,
        );
  const names = [
    ...new Set<string>([...planned, ...Object.keys(purge.rowsExpected), ...deleted.keys()]),
  ];
  const tables = names.map((table) => {
    const expected = purge.rowsExpected[table] ?? 0;
    const gone = deleted.get(table) ?? 0;
    return { table, expected, deleted: gone, remaining: Math.max(0, expected - gone) };
  });
  return {
    purge,
    tables,
    rowsPerSec: await rateOf(ledger, purge),
    awaited: isLive(purge.status) ? (await ledger.purges.awaited(purge)).live : 0,
    archive: archives.get(purge.id) ?? null,
    events: await ledger.history.events(purge.id, EVENTS_SHOWN),
  };
}

/** Of the last seconds while it runs, of the whole run afterwards. */
async function rateOf(ledger: LedgerView, purge: PurgeRecord): Promise<number | null> {
  if (purge.startedAt === null) return null;
  if (purge.endedAt === null) {
    const ageMs = Math.max(1, Date.now() - purge.startedAt.getTime());
    const windowMs = Math.min(RATE_WINDOW_MS, ageMs);
    const rows = await ledger.history.rowsLately(purge.id, windowMs);
    return Math.round((rows * 1_000) / windowMs);
  }
  const durationMs = purge.endedAt.getTime() - purge.startedAt.getTime();
  return durationMs <= 0 ? null : Math.round((purge.rowsDeleted * 1_000) / durationMs);
}
