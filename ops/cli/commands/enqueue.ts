import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text as readStream } from 'node:stream/consumers';
import { z } from 'zod';
import type { Config } from '../../../src/config/config.ts';
import { CANNOT_BE_UNDONE, confirmationPhrase } from '../../../src/domain/confirmation.ts';
import { isGuardedEnvironment } from '../../../src/domain/environment.ts';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import { HAZARD_TYPES } from '../../../src/domain/hazard.ts';
import {
  exitCodeOfStatuses,
  makeCampaignReport,
} from '../../../src/engine/campaign/campaign-report.ts';
import { checkGuards, findObstacles } from '../../../src/engine/campaign/guards.ts';
import { type PreparedCampaign, prepareCampaign } from '../../../src/engine/campaign/prepare.ts';
import { parseTargetList } from '../../../src/engine/campaign/target-list.ts';
import type { TargetRequest } from '../../../src/engine/campaign/targets.ts';
import { LedgerHistory } from '../../../src/postgres/ledger/history.ts';
import { enqueueCampaign } from '../../../src/queue/enqueue.ts';
import { plantRedisIdentity } from '../../../src/redis/identity.ts';
import type { Actor, Observer } from '../../../src/runtime/compose.ts';
import {
  type Answer,
  defineCommand,
  parseDuration,
  readOptions,
  requireKnown,
  type Session,
} from '../command.ts';
import { confirm } from '../confirm.ts';
import { withActor, withObserver } from '../open.ts';
import { operatorIdentity } from '../operator.ts';
import { renderCampaignReport } from '../output/campaign-report.ts';
import { renderDryRun, renderTenants, sizeOf } from '../output/dry-run.ts';
import { purgeDocument } from '../output/purges.ts';
import { plural } from '../output/text.ts';
import { waitForCampaign } from '../wait.ts';

const optionsSchema = z.object({
  tenant: z.array(z.string()).optional(),
  /** True where no id follows the flag. */
  allExcept: z.union([z.array(z.string()), z.literal(true)]).optional(),
  from: z.string().optional(),
  dryRun: z.boolean().default(false),
  delay: z.string().optional(),
  wait: z.boolean().default(false),
  confirm: z.string().optional(),
  allow: z.array(z.string()).default([]),
  allowProduction: z.boolean().default(false),
  archive: z.boolean().default(true),
  withDescendants: z.boolean().default(false),
  config: z.string().optional(),
});

interface Options extends Omit<z.output<typeof optionsSchema>, 'delay'> {
  readonly delay: string | null;
  readonly delayMs: number;
}

/** A delay beyond half a year would look like a parked job. */
const DELAY_MAX_MS = 90 * 86_400_000;

/** Makes a campaign: the one command that leads to deletes. */
export const enqueue = defineCommand<Options>({
  usage: 'enqueue',
  summary: 'Enqueue one purge per tenant, after every guard; --dry-run writes nothing',
  examples: [
    'enqueue --tenant 42 --dry-run',
    'enqueue --tenant 42 --no-archive --confirm "DELETE 42"',
    'enqueue --all-except 7 8 --no-archive --wait',
    'enqueue --from doomed.txt --delay 24h --no-archive',
  ],
  describe: (command) =>
    command
      .option('--tenant <id...>', 'purge these tenants')
      .option('--all-except [id...]', 'purge every tenant but these and the keep list')
      .option('--from <file>', 'purge the tenants listed: one id a line, or JSON; - is stdin')
      .option('--dry-run', 'count and print what would go; write nothing anywhere')
      .option('--delay <duration>', 'let the purges become due later, e.g. 24h')
      .option('--wait', 'wait for the end, with a progress bar')
      .option('--confirm <phrase>', 'the confirmation phrase, instead of the prompt')
      .option('--allow <type...>', 'accept hazards of this type')
      .option('--allow-production', 'go on in production, staging, or with ENVIRONMENT unset')
      .option('--no-archive', 'purge without an archive: it cannot be undone')
      .option('--with-descendants', 'purge the tenants below a tenant with it'),
  validate,
  handlesInterrupt: true,
  run: async (session, options) => {
    const request = await readTargets(session, options);
    return withObserver(session, async (observer) => {
      const prepared = await prepareCampaign(observer.prepare, request);
      if (session.io.interrupted.aborted) throw interruptedBefore();
      return options.dryRun
        ? dryRun(session, observer.config, options, prepared)
        : realRun(session, observer, options, { request, prepared });
    });
  },
});

function validate(raw: Readonly<Record<string, unknown>>): Options {
  const options = readOptions(optionsSchema, raw);
  const named = [
    options.tenant === undefined ? [] : ['--tenant'],
    options.allExcept === undefined ? [] : ['--all-except'],
    options.from === undefined ? [] : ['--from'],
  ].flat();
  if (named.length !== 1) {
    throw new PurgeError(
      'USAGE',
      named.length === 0
        ? 'Nobody is named: use one of --tenant, --all-except and --from.'
        : `${named.join(' and ')} exclude each other: use one.`,
    );
  }
  if (options.withDescendants) {
    throw new PurgeError('USAGE', '--with-descendants is not supported yet.', {
      remedy: 'Purge the tenants below first, the lowest first, then the one above.',
    });
  }
  requireKnown(options.allow, HAZARD_TYPES, '--allow');
  return {
    ...options,
    delay: options.delay ?? null,
    delayMs:
      options.delay === undefined ? 0 : parseDuration(options.delay, '--delay', DELAY_MAX_MS),
  };
}

async function readTargets(session: Session, options: Options): Promise<TargetRequest> {
  if (options.tenant !== undefined) return { kind: 'tenants', ids: options.tenant };
  if (options.from === undefined) {
    return { kind: 'all-except', ids: options.allExcept === true ? [] : (options.allExcept ?? []) };
  }
  const ids = parseTargetList(await readList(session, options.from), options.from);
  if (ids.length === 0) throw new PurgeError('USAGE', `${options.from} names no tenant.`);
  return { kind: 'tenants', ids };
}

async function readList(session: Session, from: string): Promise<string> {
  if (from === '-') return readStream(session.io.stdin);
  try {
    return await readFile(resolve(session.io.cwd, from), 'utf8');
  } catch (cause) {
    throw new PurgeError('USAGE', `--from: ${String(cause)}.`, { cause });
  }
}

/** Accepted types: by flag, and by configuration. */
const allowedBy = (options: Options, config: Config): string[] => [
  ...new Set([...options.allow, ...config.allow]),
];

function dryRun(
  session: Session,
  config: Config,
  options: Options,
  prepared: PreparedCampaign,
): Answer {
  const errors = findObstacles(prepared, allowedBy(options, config));
  const size = sizeOf(prepared);
  const command = errors.length === 0 ? realCommand(options, config, prepared) : null;
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
      })),
      refused: prepared.refused,
      fingerprint: prepared.plan.fingerprint,
      ...size,
      hazards: prepared.hazards,
      undo: CANNOT_BE_UNDONE,
      command,
      ...errorsOf(errors),
    },
    text: renderDryRun(prepared, size, {
      command,
      colors: session.colors,
      columns: session.columns,
    }),
    errors,
  };
}

async function realRun(
  session: Session,
  observer: Observer,
  options: Options,
  asked: { readonly request: TargetRequest; readonly prepared: PreparedCampaign },
): Promise<Answer> {
  const { config } = observer;
  const { prepared, request } = asked;
  const allowed = allowedBy(options, config);
  const errors = checkGuards(prepared, {
    environment: config.environment,
    allowed,
    allowProduction: options.allowProduction,
    noArchive: !options.archive,
  });
  const targetsAreClear = prepared.refused.length === 0 && prepared.tenants.length > 0;
  const given = options.confirm ?? config.confirmation;
  // Nobody is asked to type a phrase for what is refused anyway.
  if (targetsAreClear && (errors.length === 0 || given !== null || !isInteractive(session))) {
    const refused = await confirm(session, {
      phrase: confirmationPhrase(prepared.tenants.map(({ id }) => id)),
      given,
      describe: () => describe(prepared),
    });
    if (refused !== null) errors.push(refused);
  }
  if (errors.length > 0) return refuse(errors, prepared);
  if (session.io.interrupted.aborted) throw interruptedBefore();
  return withActor(observer, async (actor) => {
    const campaign = await enqueueCampaign(
      {
        campaigns: actor.campaigns,
        queue: actor.queue,
        whereabouts: actor.whereabouts,
        plantRedisIdentity: (id) => plantRedisIdentity(actor.redis, id),
        log: actor.log,
      },
      prepared,
      {
        operator: operatorIdentity(),
        allowed,
        kept: [...new Set([...config.keep, ...(request.kind === 'all-except' ? request.ids : [])])],
        delayMs: options.delayMs,
      },
    );
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
  const document = { campaignId, purges: records.map(purgeDocument), refused: [] };
  if (end === 'interrupted') {
    return {
      exitCode: EXIT.interrupted,
      document: { ...document, interrupted: true },
      text: ['Interrupted; the campaign goes on.', ...nextCommands(campaignId)].join('\n'),
    };
  }
  const campaign = await actor.campaigns.find(campaignId);
  if (campaign === null) throw new PurgeError('NOT_FOUND', `Campaign ${campaignId} is gone.`);
  const report = await makeCampaignReport(
    { ...actor, history: new LedgerHistory(actor.database) },
    campaign,
  );
  return {
    exitCode: exitCodeOfStatuses(records.map(({ status }) => status)),
    document: { ...document, report },
    text: renderCampaignReport(report, { colors: session.colors, columns: session.columns }),
  };
}

function refuse(errors: readonly PurgeError[], prepared: PreparedCampaign): Answer {
  return {
    exitCode: errors[0]?.exitCode ?? EXIT.refused,
    document: { campaignId: null, purges: [], refused: prepared.refused, ...errorsOf(errors) },
    text: '',
    errors,
  };
}

/** The first one in the form of the contract; all of them where there are more. */
function errorsOf(errors: readonly PurgeError[]): object {
  const [first] = errors;
  if (first === undefined) return {};
  const all = errors.map((error) => error.toReport());
  return { error: first.toReport(), ...(all.length > 1 ? { errors: all } : {}) };
}

function describe(prepared: PreparedCampaign): string {
  const { tenants, rows, redisKeys } = sizeOf(prepared);
  return [
    `${plural(tenants, 'tenant')} will be deleted:`,
    renderTenants(prepared),
    `${plural(rows, 'row')} and ${plural(redisKeys, 'Redis key')} will go. ${CANNOT_BE_UNDONE}`,
  ].join('\n');
}

/** The command line that would do what the dry run showed. */
function realCommand(options: Options, config: Config, prepared: PreparedCampaign): string {
  const phrase = confirmationPhrase(prepared.tenants.map(({ id }) => id));
  const words = [
    'tenant-purge',
    'enqueue',
    ...(options.tenant === undefined ? [] : ['--tenant', ...options.tenant]),
    ...(options.from === undefined ? [] : ['--from', options.from]),
    ...(options.allExcept === undefined
      ? []
      : ['--all-except', ...(options.allExcept === true ? [] : options.allExcept)]),
    ...options.allow.flatMap((type) => ['--allow', type]),
    ...(isGuardedEnvironment(config.environment) ? ['--allow-production'] : []),
    '--no-archive',
    ...(options.delay === null ? [] : ['--delay', options.delay]),
    ...(options.config === undefined ? [] : ['--config', options.config]),
    '--confirm',
    phrase,
  ];
  return words.map(quoteForShell).join(' ');
}

const quoteForShell = (word: string): string =>
  /^[\w./:@=-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

const nextCommands = (campaignId: string): string[] => [
  'Next:',
  `  tenant-purge status ${campaignId} --watch`,
  `  tenant-purge pause ${campaignId}`,
  `  tenant-purge cancel ${campaignId}`,
];

const isInteractive = (session: Session): boolean =>
  session.io.stdin.isTTY === true && session.io.stderr.isTTY === true;

const interruptedBefore = (): PurgeError =>
  new PurgeError('STOP_ASKED', 'Interrupted. Nothing was enqueued.');
