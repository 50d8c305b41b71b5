import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import { CREATED_FOLDER, RESTORE_FILE, SWEEPS_FOLDER } from '../../../src/archive/file-name.ts';
import { createFileSystemStore } from '../../../src/archive/file-system-store.ts';
import { type PlainFile, writePlainForm } from '../../../src/archive/plain-form.ts';
import type { Manifest } from '../../../src/domain/archive.ts';
import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import { readCreated } from '../../../src/engine/archive/check-archive.ts';
import { describeArchive } from '../../../src/engine/archive/seal-archive.ts';
import { type Answer, defineCommand, readOptions, type Session } from '../command.ts';
import { formatBytes } from '../output/archive.ts';
import { renderTable } from '../output/table.ts';
import { formatNumber, plural } from '../output/text.ts';
import { type ArchiveDesk, purgesNamed, withArchiveDesk } from './archive-desk.ts';

const optionsSchema = z.object({
  dir: z.string({ error: 'name a folder.' }).min(1),
  gzip: z.boolean().default(false),
});

interface Options extends z.output<typeof optionsSchema> {
  readonly target: string;
}

/** The plain form: what any tool reads. The archive stays as it is. */
export const archiveExport = defineCommand<Options>({
  usage: 'export <archive>',
  summary: 'Write an archive as plain COPY text, one file a table, with a restore.sql for it',
  examples: [
    'archive export 31c06fc4-db22-4740-83ea-48ac14f25810 --dir ./plain',
    'archive export 42 --dir ./plain --gzip',
    'archive export created/42-20260301T040506Z --dir ./plain',
  ],
  describe: (command) =>
    command
      .requiredOption('--dir <folder>', 'a new or empty folder')
      .option('--gzip', 'compress the files of rows'),
  validate: (raw, [target = '']) => ({ ...readOptions(optionsSchema, raw), target }),
  run: (session, options) =>
    withArchiveDesk(session, (desk) => exportArchive(session, desk, options)),
});

async function exportArchive(
  session: Session,
  desk: ArchiveDesk,
  options: Options,
): Promise<Answer> {
  const source = await sourceOf(desk, options.target);
  const dir = resolve(session.io.cwd, options.dir);
  await refuseFilled(dir);
  const files = await writePlainForm({
    store: desk.store,
    folder: source.folder,
    keysFolder: source.keysFolder,
    manifest: source.manifest,
    tenantId: source.manifest.tenant.id,
    target: createFileSystemStore(dir),
    gzip: options.gzip,
  });
  return answer(session, { dir, manifest: source.manifest, files });
}

interface Source {
  readonly folder: string;
  readonly keysFolder: string;
  readonly manifest: Manifest;
}

const CREATED_PREFIX = `${CREATED_FOLDER}/`;

async function sourceOf(desk: ArchiveDesk, word: string): Promise<Source> {
  const { store, archives, view, place, database, ledger } = desk;
  if (word.startsWith(CREATED_PREFIX)) {
    const manifest = await readCreated(store, word.slice(CREATED_PREFIX.length));
    return { folder: word, keysFolder: word, manifest };
  }
  const [purge, ...others] = await purgesNamed(desk, [word]);
  if (purge === undefined || ledger === null || others.length > 0) {
    throw new PurgeError('USAGE', `${word} is a campaign: export its purges one by one.`);
  }
  const record = (await view.ofPurges([purge.id])).get(purge.id);
  if (record === undefined || record.expiredAt !== null) {
    const why = record === undefined ? 'has no archive' : 'has an archive that expired';
    throw new PurgeError('NOT_FOUND', `Purge ${purge.id} of ${purge.tenantLabel} ${why}.`, {
      details: { purgeId: purge.id },
      remedy: 'List the archives with `tenant-purge archive list`.',
    });
  }
  if (record.place !== place) {
    throw new PurgeError(
      'ARCHIVE_PLACE',
      `The archive of purge ${purge.id} lies at ${record.location}/${record.folder}; this process looks at ${store.location()}.`,
      { details: { archive: record.location, here: store.location() } },
    );
  }
  const parts = { store, ledger: archives, databaseVersion: database.version };
  const manifest = await describeArchive({ campaigns: ledger.campaigns }, parts, { record, purge });
  return { folder: record.folder, keysFolder: SWEEPS_FOLDER, manifest };
}

/** Files of somebody else must not look like the archive's. */
async function refuseFilled(dir: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(dir);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw new PurgeError('USAGE', `--dir: ${String(error)}.`, { cause: error });
  }
  if (names.length > 0) throw new PurgeError('USAGE', `--dir: ${dir} is not empty.`);
}

function answer(
  { columns }: Session,
  { dir, manifest, files }: { dir: string; manifest: Manifest; files: readonly PlainFile[] },
): Answer {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return {
    exitCode: EXIT.done,
    document: {
      dir,
      purgeId: manifest.purgeId,
      tenantId: manifest.tenant.id,
      bytes,
      files,
    },
    text: [
      renderTable(
        [{ head: 'file' }, { head: 'rows', align: 'right' }, { head: 'size', align: 'right' }],
        files.map((file) => [
          file.name,
          file.lines === null ? '' : formatNumber(file.lines),
          formatBytes(file.bytes),
        ]),
        columns,
      ),
      `${plural(files.length + 1, 'file')}, ${formatBytes(bytes)}, in ${dir}`,
      `To put the rows back by hand: cd there, then psql -X -v ON_ERROR_STOP=1 -f ${RESTORE_FILE} "$DATABASE_URL"`,
    ].join('\n'),
  };
}
