import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { SegmentStore } from '../../archive/store.ts';
import type { ArchiveChunk, ArchiveLayout, KeyChunk, StoredChunk } from '../../domain/archive.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import { wholeLines } from './line-editor.ts';

/** What was archived of one purge, and how it is read. */
export interface RestoreArchive {
  readonly tenantId: TenantId;
  readonly searchPath: string;
  readonly layouts: readonly ArchiveLayout[];
  readonly chunks: readonly ArchiveChunk[];
  readonly keyChunks: readonly KeyChunk[];
  /** COPY text in blocks of whole lines. @throws PurgeError ARCHIVE_DAMAGED before the first block */
  lines(chunk: StoredChunk): AsyncIterable<Buffer>;
}

/** Bytes that gunzip hands on at once. */
const BLOCK_BYTES = 256 * 1024;

/** Lines of a chunk of this folder; its digest is compared before a byte of it is believed. */
export async function* readLines(
  store: SegmentStore,
  folder: string,
  chunk: StoredChunk & { readonly table?: string },
): AsyncGenerator<Buffer> {
  const bytes = await store.read(folder, chunk.segment, {
    offset: chunk.offset,
    length: chunk.length,
  });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== chunk.sha256) {
    throw new PurgeError(
      'ARCHIVE_DAMAGED',
      `${store.location(folder)}/${chunk.segment}: the bytes from ${chunk.offset} to ${chunk.offset + chunk.length} are not those that were archived.`,
      { details: { segment: chunk.segment, offset: chunk.offset, table: chunk.table ?? null } },
    );
  }
  const gunzip = createGunzip({ chunkSize: BLOCK_BYTES });
  // Not `pipe`: whoever stops reading in the middle must not leave the inflater behind.
  const source = Readable.from([bytes]).pipe(gunzip);
  try {
    yield* wholeLines(source);
  } finally {
    gunzip.destroy();
  }
}
