import type { Config } from '../../../src/config/config.ts';
import { confirmationPhrase } from '../../../src/domain/confirmation.ts';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import { readArchiveStates } from '../../../src/engine/archive/archive-states.ts';
import {
  exitCodeOfStatuses,
  makeCampaignReport,
} from '../../../src/engine/campaign/campaign-report.ts';
import { checkGuards, findObstacles } from '../../../src/engine/campaign/guards.ts';
import { type PreparedCampaign, prepareCampaign } from '../../../src/engine/campaign/prepare.ts';
import type { TargetRequest } from '../../../src/engine/campaign/targets.ts';
import { placesInTree, type TreePlace } from '../../../src/engine/campaign/tenant-tree.ts';
import { ArchiveView } from '../../../src/postgres/ledger/archive-view.ts';
import { LedgerHistory } from '../../../src/postgres/ledger/history.ts';
import { enqueueCampaign } from '../../../src/queue/enqueue.ts';
import { type Actor, enqueueParts } from '../../../src/runtime/actor.ts';
import type { Observer } from '../../../src/runtime/observer.ts';
import { type Answer, defineCommand, type Session } from '../command.ts';
import { confirm } from '../confirm.ts';
import {
  allowedBy,
  checkReport,
  checkReportTable,
  type EnqueueOptions,
  readTargets,
  validateEnqueue,
} from '../enqueue-options.ts';
import { withActor, withObserver } from '../open.ts';
import { operatorIdentity } from '../operator.ts';
import { renderCampaignReport } from '../output/campaign-report.ts';
import { renderDryRun, sizeOf } from '../output/dry-run.ts';
import {
  archiveDocument,
  describeCampaign,
  errorsOf,
  nextCommands,
  realCommand,
  refuse,
  undoSentence,
} from '../output/enqueue.ts';
import { purgeDocument } from '../output/purges.ts';
import { plural } from '../output/text.ts';
import { waitForCampaign } from '../wait.ts';

/** Makes a campaign: the one command that leads to deletes. */
export const enqueue = defineCommand<EnqueueOptions>({
  usage: 'enqueue',
  summary: 'Enqueue one purge per tenant, after every guard; --dry-run writes nothing',
  examples: [
    'enqueue --tenant 42 --dry-run',
    'enqueue --tenant 42 --confirm "DELETE 42"',
    'enqueue --all-except 7 8 --wait',
    'enqueue --from doomed.txt --delay 24h',
    'enqueue --tenant 42 --with-descendants --dry-run',
    'enqueue --tenant 42 --no-archive --confirm "DELETE 42 FOREVER"',
  ],
  describe: (command) =>
    command
      .option('--tenant <id...>', 'purge these tenants')
      .option('--all-except [id...]', 'purge every tenant but these and the keep list')
      .option(
        '--from <file>',
        'purge the tenants listed: one id a line, JSON, or what diagnose recommends; - is stdin',
      )
      .option('--dry-run', 'count and print what would go; write nothing anywhere')
      .option('--delay <duration>', 'let the purges become due later, e.g. 24h')
      .option('--wait', 'wait for the end, with a progress bar')
      .option('--confirm <phrase>', 'the confirmation phrase, instead of the prompt')
      .option('--allow <type...>', 'accept hazards of this type')
      .option('--allow-production', 'go on in production, staging, or with ENVIRONMENT unset')
      .option(
        '--no-archive',
        'purge without an archive: it cannot be undone; wants a phrase of its own',
      )
      .option('--with-descendants', 'also every tenant below those named; the lowest go first'),
  validate: validateEnqueue,
  handlesInterrupt: true,
  run: async (session, options) => {
    const { request, report } = await readTargets(session, options);
    return withObserver(session, async (observer) => {
      const { databaseIdentity: database, environment } = observer.whereabouts;
      checkReport(report, { database, environment }, new Date());
      const prepared = await prepareCampaign(observer.prepare, request);
      checkReportTable(report, prepared.plan.tenant.table);
      if (session.io.interrupted.aborted) throw interruptedBefore();
      // There are no figures to show, nor anything to confirm.
      if (!prepared.isCounted) return refuseUncounted(observer.config, options, prepared);
      return options.dryRun
        ? dryRun(session, observer.config, options, prepared)
        : realRun(session, observer, options, { request, prepared });
    });
  },
});

function refuseUncounted(
  config: Config,
  options: EnqueueOptions,
  prepared: PreparedCampaign,
): Answer {
  const errors = errorsFor(options, config, prepared);
  const answer = refuse(errors, prepared);
  if (!options.dryRun) return answer;
  const { hazards, refused } = prepared;
  const found = { dryRun: true, campaignId: null, purges: [], refused, hazards, command: null };
  return { ...answer, document: { ...found, ...errorsOf(errors) } };
}

/** What stands in the way; a dry run is allowed anywhere. */
function errorsFor(
  options: EnqueueOptions,
  config: Config,
  prepared: PreparedCampaign,
): PurgeError[] {
  const allowed = allowedBy(options, config);
  if (options.dryRun) return findObstacles(prepared, allowed);
  const { environment } = config;
  return checkGuards(prepared, { environment, allowed, allowProduction: options.allowProduction });
}

function dryRun(
  session: Session,
  config: Config,
  options: EnqueueOptions,
  prepared: PreparedCampaign,
): Answer {
  const errors = errorsFor(options, config, prepared);
  const size = sizeOf(prepared);
  const command = errors.length === 0 ? realCommand(options, config, prepared) : null;
  const places = placesInTree(prepared.tenants);
  return {
    exitCode: errors[0]?.exitCode ?? EXIT.done,
    document: {
      dryRun: true,
      campaignId: null,
      purges: prepared.tenants.map(({ id, label, rowsTotal, redisKeys }) => ({
        purgeId: null,
        tenantId: id,
        tenantLabel: label,
        status: 'planned',
        rowsTotal,
        rowsDeleted: 0,
        redisKeys,
        ...belowOf(places.get(id)),
      })),
      refused: prepared.refused,
      fingerprint: prepared.plan.fingerprint,
      ...size,
      hazards: prepared.hazards,
      archive: archiveDocument(options, config),
      undo: undoSentence(options, config),
      command,
      ...errorsOf(errors),
    },
    text: renderDryRun(prepared, size, {
      command,
      undo: undoSentence(options, config),
      colors: session.colors,
      columns: session.columns,
    }),
    errors,
  };
}

/** Only where a tenant goes with one above it. */
const belowOf = (place: TreePlace | undefined): object =>
  place === undefined || place.depth === 0 ? {} : { below: place.top, depth: place.depth };

async function realRun(
  session: Session,
  observer: Observer,
  options: EnqueueOptions,
  asked: { readonly request: TargetRequest; readonly prepared: PreparedCampaign },
): Promise<Answer> {
  const { config } = observer;
  const { prepared, request } = asked;
  const allowed = allowedBy(options, config);
  const errors = errorsFor(options, config, prepared);
  const targetsAreClear = prepared.refused.length === 0 && prepared.tenants.length > 0;
  const given = options.confirm ?? config.confirmation;
  // Nobody is asked to type a phrase for what is refused anyway.
  if (targetsAreClear && (errors.length === 0 || given !== null || !isInteractive(session))) {
    const refused = await confirm(session, {
      phrase: confirmationPhrase(
        prepared.tenants.map(({ id }) => id),
        options,
      ),
      given,
      describe: () => describeCampaign(prepared, undoSentence(options, config)),
    });
    if (refused !== null) errors.push(refused);
  }
  if (errors.length > 0) return refuse(errors, prepared);
  if (session.io.interrupted.aborted) throw interruptedBefore();
  return withActor(observer, async (actor) => {
    const campaign = await enqueueCampaign(enqueueParts(actor), prepared, {
      operator: operatorIdentity(),
      allowed,
      kept: [...new Set([...config.keep, ...(request.kind === 'all-except' ? request.ids : [])])],
      delayMs: options.delayMs,
      archive: options.archive,
    });
    const { stopped } = await actor.commands.readControl();
    if (stopped) session.note('The fleet is paused: release it with tenant-purge resume --all');
    if (options.wait) return waitAndReport(session, actor, campaign.campaignId);
    return {
      exitCode: EXIT.done,
      document: {
        campaignId: campaign.campaignId,
        purges: campaign.purges.map((purge) => ({ ...purge, rowsDeleted: 0 })),
        refused: [],
      },
      text: [
        `Campaign ${campaign.campaignId}: ${plural(campaign.purges.length, 'purge')} ` +
          (options.delay === null ? 'queued.' : `scheduled, due in ${options.delay}.`),
        undoSentence(options, config),
        ...nextCommands(campaign.campaignId),
      ].join('\n'),
    };
  });
}

async function waitAndReport(
  session: Session,
  actor: Actor,
  campaignId: Parameters<Actor['campaigns']['find']>[0],
): Promise<Answer> {
  const end = await waitForCampaign(session, actor.purges, campaignId);
  const records = await actor.purges.select({ kind: 'campaign', id: campaignId });
  const campaign = await actor.campaigns.get(campaignId);
  const archives = await readArchiveStates(new ArchiveView(actor.database), {
    purges: records,
    campaigns: [campaign],
    keepDays: actor.config.archive.keepDays,
  });
  const document = {
    campaignId,
    purges: records.map((purge) => ({
      ...purgeDocument(purge),
      archive: archives.get(purge.id)?.state ?? null,
    })),
    refused: [],
  };
  if (end === 'interrupted') {
    return {
      exitCode: EXIT.interrupted,
      document: { ...document, interrupted: true },
      text: ['Interrupted; the campaign goes on.', ...nextCommands(campaignId)].join('\n'),
    };
  }
  const report = await makeCampaignReport(
    {
      ...actor,
      history: new LedgerHistory(actor.database),
      keepDays: actor.config.archive.keepDays,
    },
    campaign,
  );
  return {
    exitCode: exitCodeOfStatuses(records.map(({ status }) => status)),
    document: { ...document, report },
    text: renderCampaignReport(report, { colors: session.colors, columns: session.columns }),
  };
}

const isInteractive = (session: Session): boolean =>
  session.io.stdin.isTTY === true && session.io.stderr.isTTY === true;

const interruptedBefore = (): PurgeError =>
  new PurgeError('STOP_ASKED', 'Interrupted. Nothing was enqueued.');
