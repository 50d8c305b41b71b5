import { manifestDigest } from '../../archive/chain.ts';
import {
  type ArchiveCheck,
  type ArchiveProblem,
  checkKeys,
  checkRows,
} from '../../archive/check.ts';
import {
  CREATED_FOLDER,
  MANIFEST_FILE,
  RESTORE_FILE,
  SWEEPS_FOLDER,
} from '../../archive/file-name.ts';
import { readManifest, segmentsOf } from '../../archive/manifest.ts';
import type { SegmentStore } from '../../archive/store.ts';
import type { KeyChunk, Manifest, StoredChunk } from '../../domain/archive.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { ArchiveRecord, ArchiveStore } from '../../postgres/ledger/archives.ts';

/** What lies in a folder, compared with what should. */
export interface CheckedArchive extends ArchiveCheck {
  /** Keys in sound chunks; of sweeps that several purges share, all of them. */
  readonly keys: number;
}

interface CheckParts {
  readonly store: SegmentStore;
  readonly ledger: ArchiveStore;
}

type Progress = (checked: number, of: number) => void;

/**
 * Reads every byte that the ledger has committed for a purge, its Redis keys too, and compares the
 * manifest with the ledger. Changes nothing.
 */
export async function checkPurgeArchive(
  { store, ledger }: CheckParts,
  record: ArchiveRecord,
  onProgress?: Progress,
): Promise<CheckedArchive> {
  const [chunks, layouts, keyChunks] = await Promise.all([
    ledger.chunks(record.purgeId),
    ledger.layouts(record.purgeId),
    ledger.keyChunks(record.purgeId),
  ]);
  const options = { store, ...(onProgress === undefined ? {} : { onProgress }) };
  const rows = await checkRows({ ...options, folder: record.folder, chunks, layouts });
  const keys = await checkKeys({ ...options, folder: SWEEPS_FOLDER, chunks: keyChunks });
  const manifest = await compareManifest(store, record, { chunks, keyChunks });
  return together(rows, keys, manifest);
}

/**
 * As `checkPurgeArchive`, for a folder that stands alone: one that `archive create` has made.
 * @throws PurgeError NOT_FOUND where there is none of that name; ARCHIVE_DAMAGED by its manifest
 */
export async function checkCreatedArchive(
  store: SegmentStore,
  name: string,
  onProgress?: Progress,
): Promise<CheckedArchive & { readonly manifest: Manifest }> {
  const folder = `${CREATED_FOLDER}/${name}`;
  const manifest = await readCreated(store, name);
  const options = { store, folder, ...(onProgress === undefined ? {} : { onProgress }) };
  const { chunks, layouts, keys } = manifest;
  const rows = await checkRows({ ...options, chunks, layouts });
  const ownKeys = await checkKeys({ ...options, chunks: keys.chunks });
  const known = new Set(keys.chunks.map(({ segment }) => segment));
  const ignored = rows.ignored.filter(({ file }) => !known.has(file));
  return { ...together({ ...rows, ignored }, ownKeys, []), manifest };
}

/** @throws PurgeError NOT_FOUND, ARCHIVE_DAMAGED */
export async function readCreated(store: SegmentStore, name: string): Promise<Manifest> {
  const manifest = await readManifest(store, `${CREATED_FOLDER}/${name}`);
  if (manifest !== null) return manifest;
  throw new PurgeError(
    'NOT_FOUND',
    `${store.location()} has no archive ${CREATED_FOLDER}/${name} with a manifest.`,
    { details: { name }, remedy: 'List the archives with `tenant-purge archive list`.' },
  );
}

const together = (
  rows: ArchiveCheck,
  keys: ArchiveCheck,
  others: readonly ArchiveProblem[],
): CheckedArchive => ({
  problems: [...others, ...rows.problems, ...keys.problems],
  ignored: [...rows.ignored, ...keys.ignored],
  chunks: rows.chunks + keys.chunks,
  rows: rows.rows,
  keys: keys.rows,
  bytes: rows.bytes + keys.bytes,
});

/** The manifest of a sealed archive says exactly what the ledger says. */
async function compareManifest(
  store: SegmentStore,
  { folder, sealedAt, digest }: ArchiveRecord,
  ledger: { readonly chunks: readonly StoredChunk[]; readonly keyChunks: readonly KeyChunk[] },
): Promise<ArchiveProblem[]> {
  let manifest: Manifest | null;
  try {
    manifest = await readManifest(store, folder);
  } catch (error) {
    if (!(error instanceof PurgeError) || error.code !== 'ARCHIVE_DAMAGED') throw error;
    return problem(MANIFEST_FILE, error.message);
  }
  // Before its seal an archive need not have one; what lies there may speak of an earlier end.
  if (sealedAt === null) return [];
  if (manifest === null) return problem(MANIFEST_FILE, 'is missing');
  const expected = manifestDigest(segmentsOf(ledger.chunks));
  return [
    ...(manifest.digest !== expected || expected !== digest
      ? problem(MANIFEST_FILE, `has the digest ${manifest.digest}; the ledger has ${expected}`)
      : []),
    ...(sameChunks(manifest.keys.chunks, ledger.keyChunks)
      ? []
      : problem(MANIFEST_FILE, 'names other segments of Redis keys than the ledger')),
    ...((await store.size(folder, RESTORE_FILE)) === null
      ? problem(RESTORE_FILE, 'is missing')
      : []),
  ];
}

const problem = (segment: string, what: string): ArchiveProblem[] => [
  { segment, offset: null, table: null, what },
];

const sameChunks = (left: readonly StoredChunk[], right: readonly StoredChunk[]): boolean =>
  textOf(left) === textOf(right);

const textOf = (chunks: readonly StoredChunk[]): string =>
  chunks
    .map(({ segment, offset, length, chain }) => `${segment} ${offset} ${length} ${chain}`)
    .sort()
    .join('\n');
