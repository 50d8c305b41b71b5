import { SWEEPS_FOLDER } from '../../archive/file-name.ts';
import { readChunk } from '../../archive/segment-reader.ts';
import type {
  ArchiveChunk,
  ArchivedKey,
  ArchiveLayout,
  KeyChunk,
  StoredChunk,
} from '../../domain/archive.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { PurgeRecord } from '../../domain/records.ts';
import type { ArchiveHold } from '../../postgres/ledger/archive-hold.ts';
import type { ArchiveParts } from '../archive/archive-parts.ts';
import { linesOf, wholeLines } from './line-editor.ts';

/** What was archived of one purge, and how it is read. */
export interface RestoreArchive {
  readonly tenantId: TenantId;
  readonly searchPath: string;
  readonly layouts: readonly ArchiveLayout[];
  readonly chunks: readonly ArchiveChunk[];
  readonly keyChunks: readonly KeyChunk[];
  /** COPY text in blocks of whole lines. @throws PurgeError ARCHIVE_DAMAGED before the first block */
  lines(chunk: StoredChunk): AsyncIterable<Buffer>;
  /** Keys of this purge's tenant, as one pipeline unlinked them. */
  keys(chunk: KeyChunk): AsyncIterable<readonly ArchivedKey[]>;
  /** Keeps it from expiring where the purge's status does not. @throws PurgeError ARCHIVE_EXPIRED */
  hold(): Promise<ArchiveHold>;
}

/**
 * Opens the archive of a purge as the ledger knows it, sealed or not: what is committed is there.
 * @throws PurgeError NOT_RESTORABLE, ARCHIVE_EXPIRED, ARCHIVE_PLACE
 */
export async function openRestoreArchive(
  parts: ArchiveParts,
  purge: PurgeRecord,
): Promise<RestoreArchive> {
  const record = await parts.ledger.find(purge.id);
  if (record === null) {
    throw new PurgeError(
      'NOT_RESTORABLE',
      `Purge ${purge.id} of tenant ${purge.tenantId} (${purge.status}) has no archive: it ran with --no-archive, or deleted nothing.`,
    );
  }
  if (record.expiredAt !== null) {
    throw new PurgeError(
      'ARCHIVE_EXPIRED',
      `Purge ${purge.id}: its archive was expired on ${record.expiredAt.toISOString()} by ${record.expiredBy ?? 'somebody'}.`,
      { details: { expiredAt: record.expiredAt.toISOString(), expiredBy: record.expiredBy } },
    );
  }
  // Only looks: a wrong folder must not become an archive.
  if ((await parts.store.knownIdentity()) !== record.place) {
    throw new PurgeError(
      'ARCHIVE_PLACE',
      `Purge ${purge.id}: its archive lies at ${record.location}/${record.folder}; this process looks at ${parts.store.location()}.`,
      { details: { archive: record.location, here: parts.store.location() } },
    );
  }
  const [layouts, chunks, keyChunks] = await Promise.all([
    parts.ledger.layouts(purge.id),
    parts.ledger.chunks(purge.id),
    parts.ledger.keyChunks(purge.id),
  ]);
  return {
    tenantId: purge.tenantId,
    searchPath: record.searchPath,
    layouts,
    chunks,
    keyChunks,
    lines: (chunk) => wholeLines(readChunk(parts.store, record.folder, chunk)),
    keys: (chunk) =>
      keysOf(wholeLines(readChunk(parts.store, SWEEPS_FOLDER, chunk)), purge.tenantId),
    hold: () => parts.ledger.hold(purge.id),
  };
}

async function* keysOf(
  blocks: AsyncIterable<Buffer>,
  tenantId: TenantId,
): AsyncGenerator<ArchivedKey[]> {
  for await (const block of blocks) {
    const keys: ArchivedKey[] = [];
    for (const line of linesOf(block)) {
      const key = JSON.parse(line.toString('utf8')) as ArchivedKey;
      if (key.tenantId === tenantId) keys.push(key);
    }
    if (keys.length > 0) yield keys;
  }
}
