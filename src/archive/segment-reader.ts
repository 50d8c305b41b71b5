import { createGunzip } from 'node:zlib';
import type { StoredChunk } from '../domain/archive.ts';
import { damaged } from './archive-error.ts';
import { sha256Of } from './chain.ts';
import type { SegmentStore } from './store.ts';

/** Larger pieces cost fewer turns of the loop. */
const PIECE_BYTES = 256 * 1024;

/** What names a chunk in errors. */
export type ReadableChunk = StoredChunk & { readonly table?: string };

/**
 * The text of a chunk: COPY lines, or JSON lines of keys. Not a byte is given before all of the chunk's
 * compressed bytes, which are held in memory, were found to be those that were written.
 * @param folder the segment's, inside the store
 * @throws PurgeError ARCHIVE_DAMAGED, which names segment, offset and table
 */
export async function* readChunk(
  store: SegmentStore,
  folder: string,
  chunk: ReadableChunk,
): AsyncGenerator<Buffer, void, undefined> {
  const { segment, offset, length, rawBytes } = chunk;
  const compressed = await store.read(folder, segment, { offset, length });
  if (sha256Of(compressed) !== chunk.sha256) {
    throw chunkDamaged(chunk, 'is not what was written: its sha256 is another');
  }
  const gunzip = createGunzip({ chunkSize: PIECE_BYTES });
  gunzip.end(compressed);
  let read = 0;
  try {
    for await (const piece of gunzip as AsyncIterable<Buffer>) {
      read += piece.byteLength;
      if (read > rawBytes) break;
      yield piece;
    }
  } catch (error) {
    if (!isZlibError(error)) throw error;
    throw chunkDamaged(chunk, `cannot be decompressed: ${error.message}`, error);
  }
  if (read !== rawBytes) {
    throw chunkDamaged(
      chunk,
      `holds ${read > rawBytes ? 'more than ' : ''}${Math.min(read, rawBytes)} bytes of text instead of ${rawBytes}`,
    );
  }
}

/**
 * Lines of a text that comes in pieces, without their newlines; those that a piece completed at a time.
 * They are views of the pieces.
 * @throws PurgeError ARCHIVE_DAMAGED where the last line is not ended
 */
export async function* copyLines(
  pieces: AsyncIterable<Buffer>,
): AsyncGenerator<readonly Buffer[], void, undefined> {
  // Beginnings of a line that spans pieces: a value of 1 GB must not be copied for each of them.
  let begun: Buffer[] = [];
  for await (const piece of pieces) {
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = piece.indexOf(0x0a); end !== -1; end = piece.indexOf(0x0a, start)) {
      const rest = piece.subarray(start, end);
      lines.push(begun.length === 0 ? rest : Buffer.concat([...begun, rest]));
      begun = [];
      start = end + 1;
    }
    if (start < piece.byteLength) begun.push(piece.subarray(start));
    if (lines.length > 0) yield lines;
  }
  if (begun.length > 0) throw damaged('The text of a chunk ends within a line.', {});
}

const chunkDamaged = (chunk: ReadableChunk, what: string, cause?: unknown): Error => {
  const { segment, offset, length, table } = chunk;
  const of = table === undefined ? '' : ` (${table})`;
  return damaged(
    `${segment} from byte ${offset} to ${offset + length}${of} ${what}.`,
    { segment, offset, length, what, ...(table === undefined ? {} : { table }) },
    { cause },
  );
};

const isZlibError = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('Z_');
