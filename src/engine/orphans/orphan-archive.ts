import { manifestDigest } from '../../archive/chain.ts';
import { MANIFEST_FILE } from '../../archive/file-name.ts';
import { segmentsOf } from '../../archive/manifest.ts';
import { SegmentWriter } from '../../archive/segment-writer.ts';
import type { SegmentStore } from '../../archive/store.ts';
import { ARCHIVE_FORMAT, type ArchivedKey } from '../../domain/archive.ts';
import { PurgeError } from '../../domain/errors.ts';
import { asTenantId } from '../../domain/ids.ts';
import type { OrphanRun, OrphanRunStore } from '../../postgres/ledger/orphan-runs.ts';
import type { DumpedKey } from '../../redis/archive-keys.ts';

/** Writes the keys of a run's pipelines; used one after the other. */
export interface OrphanArchive {
  /**
   * Resolves when the keys are durable and the ledger knows.
   * @throws PurgeError ARCHIVE_FAILED, STALE_FENCE
   */
  keep(keys: readonly DumpedKey<string>[]): Promise<void>;
  close(): Promise<void>;
}

const EPOCH_DIGITS = 6;
const PART_DIGITS = 3;

export function openOrphanArchive(
  store: SegmentStore,
  runs: OrphanRunStore,
  run: OrphanRun,
): OrphanArchive {
  const writer = new SegmentWriter({
    store,
    folder: run.folder,
    // The epoch: no holder writes to a predecessor's segment.
    nameOf: (part) =>
      `${String(run.epoch).padStart(EPOCH_DIGITS, '0')}-${String(part).padStart(PART_DIGITS, '0')}.keys.gz`,
  });
  return {
    async keep(keys) {
      const sink = writer.open();
      try {
        for (const key of keys) {
          if (!sink.write(0, Buffer.from(`${lineOf(key)}\n`, 'utf8'))) await sink.drained();
        }
        for (const { part: _, ...chunk } of await sink.store()) {
          if (await runs.addChunk(run, { ...chunk, keys: keys.length })) continue;
          throw lostRun(run);
        }
      } catch (error) {
        sink.abandon();
        throw error;
      }
    },
    close: () => writer.close(),
  };
}

export const lostRun = (run: OrphanRun): PurgeError =>
  new PurgeError('STALE_FENCE', `Another process holds run ${run.id} of the orphans now.`);

/**
 * `manifest.json` of a run: what a reader of the folder needs. Says what the ledger says, so it may be
 * written again at any time. @returns its digest
 */
export async function writeOrphanManifest(
  store: SegmentStore,
  runs: OrphanRunStore,
  run: OrphanRun,
  facts: { readonly databaseIdentity: string; readonly isDone: boolean },
): Promise<string> {
  const chunks = await runs.chunks(run.id);
  const segments = segmentsOf(chunks);
  const digest = manifestDigest(segments);
  const manifest = {
    format: ARCHIVE_FORMAT,
    kind: 'redis-orphans',
    runId: run.id,
    operator: run.operator,
    tenantTable: run.tenantTable,
    database: { identity: facts.databaseIdentity },
    redis: { identity: run.redisIdentity, endpoint: run.redisEndpoint },
    templates: run.templates,
    startedAt: run.startedAt.toISOString(),
    writtenAt: new Date().toISOString(),
    status: facts.isDone ? 'completed' : 'interrupted',
    keys: chunks.reduce((sum, { keys }) => sum + keys, 0),
    chunks,
    segments,
    digest,
  };
  await store.put(run.folder, MANIFEST_FILE, `${JSON.stringify(manifest, null, 2)}\n`);
  return digest;
}

function lineOf({ id, key, dump, expiresAt }: DumpedKey<string>): string {
  const archived: ArchivedKey = {
    tenantId: asTenantId(id),
    key: key.toString('base64'),
    dump: dump.toString('base64'),
    expiresAt,
  };
  return JSON.stringify(archived);
}
