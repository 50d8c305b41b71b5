import { z } from 'zod';
import { dayOf } from '../../../src/domain/archive-state.ts';
import { expiryPhrase } from '../../../src/domain/confirmation.ts';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import {
  type ExpiringArchive,
  type ExpiryPlan,
  type ExpiryResult,
  expireArchives,
  planExpiry,
} from '../../../src/engine/archive/expire-archives.ts';
import { PurgeStore } from '../../../src/postgres/ledger/purges.ts';
import { migrateLedger } from '../../../src/postgres/migrate.ts';
import {
  type Answer,
  defineCommand,
  parseDuration,
  readOptions,
  type Session,
} from '../command.ts';
import { confirm } from '../confirm.ts';
import { operatorIdentity } from '../operator.ts';
import { formatBytes } from '../output/archive.ts';
import { errorsOf } from '../output/enqueue.ts';
import { renderTable } from '../output/table.ts';
import { formatNumber, plural } from '../output/text.ts';
import { type ArchiveDesk, purgesNamed, withArchiveDesk } from './archive-desk.ts';

const optionsSchema = z.object({
  olderThan: z.string().optional(),
  dryRun: z.boolean().default(false),
  confirm: z.string().optional(),
});

interface Options {
  /** Empty: by age. */
  readonly targets: readonly string[];
  /** Null: the configuration's. */
  readonly olderThanMs: number | null;
  readonly dryRun: boolean;
  readonly confirm: string | null;
}

const DAY_MS = 86_400_000;
const AGE_MAX_MS = 36_500 * DAY_MS;

/** Throws archives away. Nothing else does: no worker, no reconciler. */
export const archiveExpire = defineCommand<Options>({
  usage: 'expire [purge...]',
  summary: 'Throw archives away for good; the ledger keeps that they existed',
  examples: [
    'archive expire --dry-run',
    'archive expire --older-than 30d --confirm "EXPIRE 12 ARCHIVES"',
    'archive expire 31c06fc4-db22-4740-83ea-48ac14f25810',
  ],
  describe: (command) =>
    command
      .option(
        '--older-than <duration>',
        'of purges that ended so long ago; default: archive.keepDays',
      )
      .option('--dry-run', 'list what would go; change nothing')
      .option('--confirm <phrase>', 'the confirmation phrase, instead of the prompt'),
  validate: (raw, targets) => {
    const options = readOptions(optionsSchema, raw);
    if (targets.length > 0 && options.olderThan !== undefined) {
      throw new PurgeError('USAGE', 'archive expire takes purges or --older-than, not both.');
    }
    return {
      targets,
      olderThanMs:
        options.olderThan === undefined
          ? null
          : parseDuration(options.olderThan, '--older-than', AGE_MAX_MS),
      dryRun: options.dryRun,
      confirm: options.confirm ?? null,
    };
  },
  run: (session, options) => withArchiveDesk(session, (desk) => expire(session, desk, options)),
});

async function expire(session: Session, desk: ArchiveDesk, options: Options): Promise<Answer> {
  const named = await purgesNamed(desk, options.targets);
  if (desk.ledger === null) return answer({ kind: 'done', plan: NOTHING, result: NONE }, session);
  if (!options.dryRun) await migrateLedger(desk.database);
  else if ((await desk.view.all()).size === 0) {
    return answer({ kind: 'dry-run', plan: NOTHING }, session);
  }
  const parts = {
    store: desk.store,
    ledger: desk.archives,
    purges: new PurgeStore(desk.database),
  };
  const keepDays =
    options.olderThanMs === null ? desk.config.archive.keepDays : options.olderThanMs / DAY_MS;
  const plan = await planExpiry(
    parts,
    options.targets.length > 0
      ? { kind: 'named', purges: named }
      : { kind: 'older', keepDays, now: new Date() },
  );
  if (options.dryRun) return answer({ kind: 'dry-run', plan }, session);
  if (plan.archives.length > 0) {
    const refused = await confirm(session, {
      phrase: phraseOf(plan),
      given: options.confirm ?? desk.config.confirmation,
      nothing: 'Nothing was expired.',
      describe: () => describePlan(plan, session).join('\n'),
    });
    if (refused !== null) return answer({ kind: 'refused', plan, error: refused }, session);
  }
  const result = await expireArchives(parts, plan, operatorIdentity());
  return answer({ kind: 'done', plan, result }, session);
}

const NOTHING: ExpiryPlan = { archives: [], leftovers: [], elsewhere: [] };
const NONE: ExpiryResult = {
  expired: [],
  kept: [],
  foldersRemoved: 0,
  sweepSegmentsRemoved: 0,
};

const phraseOf = (plan: ExpiryPlan): string =>
  expiryPhrase(plan.archives.map(({ record }) => record.purgeId));

type Ending =
  | { readonly kind: 'dry-run'; readonly plan: ExpiryPlan }
  | { readonly kind: 'refused'; readonly plan: ExpiryPlan; readonly error: PurgeError }
  | { readonly kind: 'done'; readonly plan: ExpiryPlan; readonly result: ExpiryResult };

function answer(ending: Ending, session: Session): Answer {
  const { plan } = ending;
  const document = {
    dryRun: ending.kind === 'dry-run',
    archives: plan.archives.map(documentOf),
    leftovers: plan.leftovers,
    elsewhere: plan.elsewhere.map(documentOf),
    phrase: plan.archives.length === 0 ? null : phraseOf(plan),
  };
  switch (ending.kind) {
    case 'dry-run':
      return {
        exitCode: EXIT.done,
        document,
        text: [
          session.colors.bold('Dry run: nothing was changed.'),
          ...describePlan(plan, session),
          ...(plan.archives.length === 0 ? [] : [`The phrase: ${phraseOf(plan)}`]),
        ].join('\n'),
      };
    case 'refused':
      return {
        exitCode: ending.error.exitCode,
        document: { ...document, ...errorsOf([ending.error]) },
        text: '',
        errors: [ending.error],
      };
    case 'done':
      return {
        exitCode: EXIT.done,
        document: { ...document, ...ending.result },
        text: [...describeResult(ending.result), ...elsewhereLines(plan)].join('\n'),
      };
    default:
      return ending satisfies never;
  }
}

const documentOf = ({ record, purge }: ExpiringArchive): object => ({
  purgeId: record.purgeId,
  tenantId: purge.tenantId,
  tenantLabel: purge.tenantLabel,
  status: purge.status,
  endedAt: purge.endedAt?.toISOString() ?? null,
  location: record.location,
  folder: record.folder,
  bytes: record.bytes,
  rows: record.rows,
});

function describePlan(plan: ExpiryPlan, { columns }: Session): string[] {
  const { archives, leftovers } = plan;
  const bytes = archives.reduce((sum, { record }) => sum + record.bytes, 0);
  return [
    ...(archives.length === 0
      ? ['No archive is due.']
      : [
          `${plural(archives.length, 'archive')} (${formatBytes(bytes)}) would be thrown away; these purges could not be undone any more:`,
          renderTable(
            [
              { head: 'purge' },
              { head: 'tenant' },
              { head: 'status' },
              { head: 'ended' },
              { head: 'size', align: 'right' },
              { head: 'rows', align: 'right' },
            ],
            archives.map(({ record, purge }) => [
              purge.id,
              purge.tenantLabel,
              purge.status,
              purge.endedAt === null ? '' : dayOf(purge.endedAt),
              formatBytes(record.bytes),
              formatNumber(record.rows),
            ]),
            columns,
          ),
        ]),
    ...(leftovers.length === 0
      ? []
      : [
          `${plural(leftovers.length, 'folder')} of archives that expired before would be removed.`,
        ]),
    ...elsewhereLines(plan),
  ];
}

const elsewhereLines = ({ elsewhere }: ExpiryPlan): string[] =>
  elsewhere.length === 0
    ? []
    : [
        `${plural(elsewhere.length, 'archive')} due at another place, untouched: ` +
          [...new Set(elsewhere.map(({ record }) => record.location))].join(', '),
      ];

function describeResult(result: ExpiryResult): string[] {
  const { expired, kept, foldersRemoved, sweepSegmentsRemoved } = result;
  return [
    expired.length === 0 && foldersRemoved === 0
      ? 'No archive was due: nothing was thrown away.'
      : `${plural(expired.length, 'archive')} expired, ${plural(foldersRemoved, 'folder')} removed.`,
    ...(sweepSegmentsRemoved === 0
      ? []
      : [`${plural(sweepSegmentsRemoved, 'segment')} of Redis keys removed.`]),
    ...(kept.length === 0
      ? []
      : [
          `${plural(kept.length, 'archive')} kept: the purge is live again, or another expiry was faster.`,
        ]),
  ];
}
