import { SegmentWriter } from '../../archive/segment-writer.ts';
import type { SegmentStore } from '../../archive/store.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { OrphanRun, OrphanRunStore } from '../../postgres/ledger/orphan-runs.ts';
import type { DumpedKey } from '../../redis/archive-keys.ts';
import { archiveKeys } from '../archive/key-lines.ts';

/** Folder inside an archive, of the folders of runs. */
export const ORPHANS_FOLDER = 'orphans';

/** Writes the keys of a run's pipelines; used one after the other. */
export interface OrphanArchive {
  /**
   * Resolves when the keys are durable and the ledger knows. What `approve` rejects, asked between the
   * two, is in no archive: a restore does not bring it back.
   * @throws PurgeError ARCHIVE_FAILED, STALE_FENCE; what `approve` throws
   */
  keep(keys: readonly DumpedKey<string>[], approve: () => Promise<void>): Promise<void>;
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
    keep: (keys, approve) =>
      archiveKeys(writer, keys, async (chunk) => {
        await approve();
        if (!(await runs.addChunk(run, { ...chunk, keys: keys.length }))) throw lostRun(run);
      }),
    close: () => writer.close(),
  };
}

export const lostRun = (run: OrphanRun): PurgeError =>
  new PurgeError('STALE_FENCE', `Another process holds run ${run.id} of the orphans now.`);
