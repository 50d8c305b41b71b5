import { createHash } from 'node:crypto';
import { copyLines, readChunk } from '../../archive/segment-reader.ts';
import type { SegmentStore } from '../../archive/store.ts';
import type { ArchivedKey, StoredChunk } from '../../domain/archive.ts';
import type { DumpedKey } from '../../redis/archive-keys.ts';

/** Keys of one pipeline, and bytes at which it is full before. */
const PIPELINE_KEYS = 500;
const PIPELINE_BYTES = 4_000_000;

/**
 * The keys of a run's chunk, in pipelines. In memory stands one chunk's compressed bytes.
 * @param seen keys of chunks that were read before, which are left out; 16 bytes for each. Within a chunk
 *   a key stands once: it is one pipeline's
 * @throws PurgeError ARCHIVE_DAMAGED
 */
export async function* readArchivedKeys(
  store: SegmentStore,
  folder: string,
  chunk: StoredChunk,
  seen: Set<string>,
): AsyncGenerator<DumpedKey<string>[]> {
  let pipeline: DumpedKey<string>[] = [];
  let bytes = 0;
  for await (const lines of copyLines(readChunk(store, folder, chunk))) {
    for (const line of lines) {
      const { tenantId, key, dump, expiresAt } = JSON.parse(line.toString('utf8')) as ArchivedKey;
      const mark = createHash('sha256').update(key).digest().toString('latin1', 0, 16);
      if (seen.has(mark)) continue;
      seen.add(mark);
      pipeline.push({
        id: tenantId,
        key: Buffer.from(key, 'base64'),
        dump: Buffer.from(dump, 'base64'),
        expiresAt,
      });
      bytes += dump.length;
      if (pipeline.length < PIPELINE_KEYS && bytes < PIPELINE_BYTES) continue;
      yield pipeline;
      pipeline = [];
      bytes = 0;
    }
  }
  if (pipeline.length > 0) yield pipeline;
}
