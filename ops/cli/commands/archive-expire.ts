import { z } from 'zod';
import { expiryPhrase } from '../../../src/domain/confirmation.ts';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import { asPurgeId } from '../../../src/domain/ids.ts';
import {
  type ExpiringArchive,
  expireArchives,
  planExpiry,
} from '../../../src/engine/archive/expire-archives.ts';
import {
  expireOrphanArchives,
  planOrphanExpiry,
} from '../../../src/engine/archive/expire-orphan-archives.ts';
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
import { errorsOf } from '../output/enqueue.ts';
import { type ArchiveDesk, purgesNamed, withArchiveDesk } from './archive-desk.ts';
import {
  describeElsewhere,
  describePlan,
  describeResult,
  type WholePlan,
  type WholeResult,
} from './archive-expiry-text.ts';
import { orphanName, runDocument, splitRuns } from './archive-orphans.ts';

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
  usage: 'expire [archive...]',
  summary: 'Throw archives away for good; the ledger keeps that they existed',
  examples: [
    'archive expire --dry-run',
    'archive expire --older-than 30d --confirm "EXPIRE 12 ARCHIVES"',
    'archive expire 31c06fc4-db22-4740-83ea-48ac14f25810',
    'archive expire orphans/5b0c5a7e-8f0e-4d52-a3a5-6f0a4c1a2b3c',
  ],
  describe: (command) =>
    command
      .option(
        '--older-than <duration>',
        'of purges and runs of redis orphans that ended so long ago; default: archive.keepDays',
      )
      .option('--dry-run', 'list what would go; change nothing')
      .option('--confirm <phrase>', 'the confirmation phrase, instead of the prompt'),
  validate: (raw, targets) => {
    const options = readOptions(optionsSchema, raw);
    if (targets.length > 0 && options.olderThan !== undefined) {
      throw new PurgeError('USAGE', 'archive expire takes archives or --older-than, not both.');
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
  const { runs, rest } = await splitRuns(desk, options.targets);
  const named = await purgesNamed(desk, rest);
  const about = { session, desk };
  if (desk.ledger === null) return answer({ kind: 'done', plan: NOTHING, result: NONE }, about);
  if (!options.dryRun) await migrateLedger(desk.database);
  else if ((await desk.view.all()).size === 0 && (await desk.orphans.all()).length === 0) {
    return answer({ kind: 'dry-run', plan: NOTHING }, about);
  }
  const parts = {
    store: desk.store,
    ledger: desk.archives,
    purges: new PurgeStore(desk.database),
    orphans: desk.orphans,
  };
  const keepDays =
    options.olderThanMs === null ? desk.config.archive.keepDays : options.olderThanMs / DAY_MS;
  const older = { kind: 'older', keepDays, now: new Date() } as const;
  const isNamed = options.targets.length > 0;
  const plan = {
    purges: await planExpiry(parts, isNamed ? { kind: 'named', purges: named } : older),
    orphans: await planOrphanExpiry(parts, isNamed ? { kind: 'named', runs } : older),
  };
  if (options.dryRun) return answer({ kind: 'dry-run', plan }, about);
  const phrase = phraseOf(plan);
  if (phrase !== null) {
    const refused = await confirm(session, {
      phrase,
      given: options.confirm ?? desk.config.confirmation,
      nothing: 'Nothing was expired.',
      describe: () => describePlan(plan, desk, session).join('\n'),
    });
    if (refused !== null) return answer({ kind: 'refused', plan, error: refused }, about);
  }
  const operator = operatorIdentity();
  const result = {
    purges: await expireArchives(parts, plan.purges, operator),
    orphans: await expireOrphanArchives(parts, plan.orphans, operator),
  };
  return answer({ kind: 'done', plan, result }, about);
}

const NOTHING: WholePlan = {
  purges: { archives: [], leftovers: [], elsewhere: [] },
  orphans: { runs: [], leftovers: [], elsewhere: [] },
};
const NONE: WholeResult = {
  purges: { expired: [], kept: [], foldersRemoved: 0, sweepSegmentsRemoved: 0 },
  orphans: { expired: [], kept: [], foldersRemoved: 0 },
};

/** Null where nothing is due. An archive is one archive, whosever it is. */
function phraseOf({ purges, orphans }: WholePlan): string | null {
  const ids = [
    ...purges.archives.map(({ record }) => record.purgeId),
    ...orphans.runs.map(({ id }) => asPurgeId(id)),
  ];
  return ids.length === 0 ? null : expiryPhrase(ids);
}

type Ending =
  | { readonly kind: 'dry-run'; readonly plan: WholePlan }
  | { readonly kind: 'refused'; readonly plan: WholePlan; readonly error: PurgeError }
  | { readonly kind: 'done'; readonly plan: WholePlan; readonly result: WholeResult };

function answer(
  ending: Ending,
  { session, desk }: { readonly session: Session; readonly desk: ArchiveDesk },
): Answer {
  const { purges, orphans } = ending.plan;
  const phrase = phraseOf(ending.plan);
  const document = {
    dryRun: ending.kind === 'dry-run',
    archives: purges.archives.map(documentOf),
    orphans: orphans.runs.map((run) => runDocument(run, desk)),
    leftovers: [...purges.leftovers, ...orphans.leftovers.map(orphanName)],
    elsewhere: [
      ...purges.elsewhere.map(documentOf),
      ...orphans.elsewhere.map((run) => runDocument(run, desk)),
    ],
    phrase,
  };
  switch (ending.kind) {
    case 'dry-run':
      return {
        exitCode: EXIT.done,
        document,
        text: [
          session.colors.bold('Dry run: nothing was changed.'),
          ...describePlan(ending.plan, desk, session),
          ...(phrase === null ? [] : [`The phrase: ${phrase}`]),
        ].join('\n'),
      };
    case 'refused':
      return {
        exitCode: ending.error.exitCode,
        document: { ...document, ...errorsOf([ending.error]) },
        text: '',
        errors: [ending.error],
      };
    case 'done': {
      const { result } = ending;
      return {
        exitCode: EXIT.done,
        document: {
          ...document,
          ...result.purges,
          foldersRemoved: result.purges.foldersRemoved + result.orphans.foldersRemoved,
          expiredRuns: result.orphans.expired.map(({ id }) => id),
          keptRuns: result.orphans.kept.map(({ id }) => id),
        },
        text: [...describeResult(result), ...describeElsewhere(ending.plan)].join('\n'),
      };
    }
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
