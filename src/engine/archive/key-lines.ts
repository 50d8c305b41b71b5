import type { SegmentWriter } from '../../archive/segment-writer.ts';
import type { ArchivedKey, StoredChunk } from '../../domain/archive.ts';
import { asTenantId } from '../../domain/ids.ts';
import type { SweptKey } from '../sweep.ts';

/**
 * Makes the keys of one pipeline durable, a JSON line each, and has them booked: the ledger must know
 * where they lie before they are unlinked. Where that fails nobody writes behind their bytes, which then
 * no ledger speaks of.
 * @throws PurgeError ARCHIVE_FAILED; what `book` throws
 */
export async function archiveKeys(
  writer: SegmentWriter,
  keys: readonly SweptKey[],
  book: (chunk: StoredChunk) => Promise<void>,
): Promise<void> {
  const sink = writer.open();
  try {
    for (const key of keys) {
      if (!sink.write(0, keyLine(key))) await sink.drained();
    }
    for (const { part: _, ...chunk } of await sink.store()) await book(chunk);
  } catch (error) {
    sink.abandon();
    throw error;
  }
}

/** A key as it stands in a segment, with the end of its line. */
export function keyLine({ id, key, dump, expiresAt }: SweptKey): Buffer {
  const archived: ArchivedKey = {
    tenantId: asTenantId(id),
    key: key.toString('base64'),
    dump: dump.toString('base64'),
    expiresAt,
  };
  return Buffer.from(`${JSON.stringify(archived)}\n`, 'utf8');
}
