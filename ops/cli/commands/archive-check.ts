import { z } from 'zod';
import type { ArchiveProblem, IgnoredBytes } from '../../../src/archive/check.ts';
import { CREATED_FOLDER } from '../../../src/archive/file-name.ts';
import { EXIT, PurgeError, toPurgeError } from '../../../src/domain/errors.ts';
import {
  type CheckedArchive,
  checkCreatedArchive,
  checkPurgeArchive,
} from '../../../src/engine/archive/check-archive.ts';
import { checkOrphanArchive } from '../../../src/engine/archive/check-orphan-archive.ts';
import type { ArchiveRecord } from '../../../src/postgres/ledger/archives.ts';
import type { OrphanArchiveRecord } from '../../../src/postgres/ledger/orphan-archives.ts';
import { type Answer, defineCommand, readOptions, type Session } from '../command.ts';
import { formatBytes } from '../output/archive.ts';
import { formatNumber, plural, wrap } from '../output/text.ts';
import { type ArchiveDesk, purgesNamed, withArchiveDesk } from './archive-desk.ts';
import { orphanName, splitRuns } from './archive-orphans.ts';

const optionsSchema = z.object({ all: z.boolean().default(false) });

interface Options {
  /** Null: all of them. */
  readonly targets: readonly string[] | null;
}

/** Of each archive; the rest is counted, and listed in JSON. */
const SHOWN_MAX = 20;

/** Are the archives what was committed? Reads every byte of them, changes nothing. */
export const archiveCheck = defineCommand<Options>({
  usage: 'check [archive...]',
  summary: 'Read archives and compare every chunk with the ledger; exit 1 where one is damaged',
  examples: [
    'archive check 31c06fc4-db22-4740-83ea-48ac14f25810',
    'archive check --all --json',
    'archive check created/42-20260301T040506Z',
    'archive check orphans/5b0c5a7e-8f0e-4d52-a3a5-6f0a4c1a2b3c',
  ],
  describe: (command) => command.option('--all', 'every archive that is not expired'),
  validate: (raw, targets) => {
    const { all } = readOptions(optionsSchema, raw);
    if (targets.length > 0 === all) {
      throw new PurgeError(
        'USAGE',
        `archive check takes archives, or --all${all ? ', not both' : ''}.`,
      );
    }
    return { targets: all ? null : targets };
  },
  run: (session, { targets }) =>
    withArchiveDesk(session, async (desk) => {
      const named = await wanted(desk, targets);
      const reports: Report[] = [];
      for (const one of named) reports.push(await checkOne(session, desk, one));
      return answer(session, reports);
    }),
});

type Wanted =
  | { readonly kind: 'purge'; readonly record: ArchiveRecord }
  | { readonly kind: 'created'; readonly name: string }
  | { readonly kind: 'orphans'; readonly record: OrphanArchiveRecord };

interface Report {
  readonly archive: string;
  readonly location: string;
  /** `skipped`: it expired, or lies where this process sees nothing. */
  readonly verdict: 'sound' | 'damaged' | 'skipped';
  readonly why: string | null;
  readonly chunks: number;
  readonly rows: number;
  readonly keys: number;
  readonly bytes: number;
  readonly problems: readonly ArchiveProblem[];
  readonly ignored: readonly IgnoredBytes[];
}

const CREATED_PREFIX = `${CREATED_FOLDER}/`;

async function wanted(desk: ArchiveDesk, targets: readonly string[] | null): Promise<Wanted[]> {
  if (targets === null) {
    const records = [...(await desk.view.all()).values()];
    const created = await desk.store.folders(CREATED_FOLDER);
    const runs = await desk.orphans.all();
    return [
      ...records
        .filter(({ expiredAt }) => expiredAt === null)
        .map((record) => ({ kind: 'purge' as const, record })),
      ...created.map((name) => ({ kind: 'created' as const, name })),
      ...runs
        .filter(({ expiredAt }) => expiredAt === null)
        .map((record) => ({ kind: 'orphans' as const, record })),
    ];
  }
  const created = targets.filter((word) => word.startsWith(CREATED_PREFIX));
  const { runs, rest } = await splitRuns(
    desk,
    targets.filter((word) => !word.startsWith(CREATED_PREFIX)),
  );
  const purges = await purgesNamed(desk, rest);
  const records = await desk.view.ofPurges(purges.map(({ id }) => id));
  return [
    ...purges.map((purge) => {
      const record = records.get(purge.id);
      if (record !== undefined) return { kind: 'purge' as const, record };
      throw new PurgeError('NOT_FOUND', `Purge ${purge.id} has no archive.`, {
        details: { purgeId: purge.id },
        remedy: 'List the archives with `tenant-purge archive list`.',
      });
    }),
    ...created.map((word) => ({
      kind: 'created' as const,
      name: word.slice(CREATED_PREFIX.length),
    })),
    ...runs.map((record) => ({ kind: 'orphans' as const, record })),
  ];
}

async function checkOne(session: Session, desk: ArchiveDesk, one: Wanted): Promise<Report> {
  const { store, archives, place } = desk;
  const blank = { chunks: 0, rows: 0, keys: 0, bytes: 0, problems: [], ignored: [] };
  if (one.kind === 'created') {
    const archive = `${CREATED_PREFIX}${one.name}`;
    const where = { archive, location: store.location() };
    try {
      return { ...where, ...verdictOf(await checkCreatedArchive(store, one.name)) };
    } catch (error) {
      return { ...where, ...blank, verdict: 'damaged', why: toPurgeError(error).message };
    }
  }
  const { record } = one;
  const archive = one.kind === 'purge' ? one.record.purgeId : orphanName(one.record);
  const where = { archive, location: `${record.location}/${record.folder}` };
  if (record.expiredAt !== null) {
    return { ...where, ...blank, verdict: 'skipped', why: 'it has expired' };
  }
  if (record.place !== place) {
    const why = `it lies at another place than ${store.location()}`;
    return { ...where, ...blank, verdict: 'skipped', why };
  }
  session.note(`Reading ${archive}: ${formatBytes(record.bytes)}`);
  const checked =
    one.kind === 'purge'
      ? await checkPurgeArchive({ store, ledger: archives }, one.record)
      : await checkOrphanArchive({ store, orphans: desk.orphans }, one.record);
  return { ...where, ...verdictOf(checked) };
}

const verdictOf = ({
  chunks,
  rows,
  keys,
  bytes,
  problems,
  ignored,
}: CheckedArchive): Omit<Report, 'archive' | 'location'> => ({
  verdict: problems.length === 0 ? 'sound' : 'damaged',
  why: null,
  chunks,
  rows,
  keys,
  bytes,
  problems,
  ignored,
});

function answer(session: Session, reports: readonly Report[]): Answer {
  const { colors, columns } = session;
  const damaged = reports.filter(({ verdict }) => verdict === 'damaged');
  const skipped = reports.filter(({ verdict }) => verdict === 'skipped');
  const sound = reports.length - damaged.length - skipped.length;
  const error =
    damaged.length === 0
      ? null
      : new PurgeError(
          'ARCHIVE_DAMAGED',
          `${plural(damaged.length, 'archive')} of ${reports.length} damaged: ${damaged.map(({ archive }) => archive).join(', ')}.`,
          { details: { archives: damaged.map(({ archive }) => archive) } },
        );
  return {
    exitCode: error?.exitCode ?? EXIT.done,
    document: {
      sound,
      damaged: damaged.length,
      skipped: skipped.length,
      archives: reports,
      ...(error === null ? {} : { error: error.toReport() }),
    },
    text: [
      ...reports.flatMap((report) => linesOf(report, session)),
      reports.length === 0
        ? 'There is no archive to check.'
        : wrap(
            error === null
              ? colors.green(`${formatNumber(sound)} sound, ${skipped.length} skipped.`)
              : colors.red(`${damaged.length} damaged, ${sound} sound, ${skipped.length} skipped.`),
            columns,
          ),
    ].join('\n'),
    errors: error === null ? [] : [error],
  };
}

function linesOf(report: Report, { colors, columns }: Session): string[] {
  const { archive, verdict, why, problems, ignored } = report;
  const mark = {
    sound: colors.green('✓'),
    damaged: colors.red('✗'),
    skipped: colors.yellow('!'),
  }[verdict];
  const figures = `${plural(report.rows, 'row')}, ${plural(report.keys, 'key')}, ${plural(report.chunks, 'chunk')}, ${formatBytes(report.bytes)}`;
  const more = problems.length - SHOWN_MAX;
  return [
    wrap(`${mark} ${archive}: ${why === null ? `${verdict}, ${figures}` : why}`, columns),
    ...problems.slice(0, SHOWN_MAX).map((problem) => wrap(describeProblem(problem), columns, '  ')),
    ...(more > 0 ? [`  … and ${more} more; --json lists all`] : []),
    ...ignored
      .slice(0, SHOWN_MAX)
      .map(({ file, offset, bytes, why: reason }) =>
        wrap(
          `ignored: ${file} from byte ${offset}, ${formatBytes(bytes)}: ${reason}`,
          columns,
          '  ',
        ),
      ),
  ];
}

function describeProblem({ segment, offset, table, what }: ArchiveProblem): string {
  const where = offset === null ? '' : ` at byte ${offset}`;
  return `damaged: ${segment}${where}${table === null ? '' : ` (${table})`}: ${what}`;
}
