import { rowSegmentName } from '../../archive/file-name.ts';
import { SegmentWriter } from '../../archive/segment-writer.ts';
import type { OpenBatchSink } from '../../domain/archive.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { Fence } from '../../domain/records.ts';
import type { Run } from '../parts.ts';
import type { ArchiveParts } from './archive-parts.ts';
import { openPurgeArchive } from './archive-place.ts';
import { refuseWithoutSpace } from './free-space.ts';

/**
 * Begins or goes on with the archive of a claimed purge. Null where the operator wanted none.
 * @throws PurgeError ARCHIVE_PLACE, ARCHIVE_SPACE, ARCHIVE_FAILED; nothing was deleted
 */
export async function openRunArchive(
  run: Pick<Run, 'parts' | 'purge' | 'fence' | 'campaign'>,
): Promise<RunArchive | null> {
  const { parts, purge, campaign } = run;
  if (!campaign.archive) return null;
  if (parts.archive === null) {
    throw new PurgeError(
      'ARCHIVE_PLACE',
      `Purge ${purge.id} is to be archived and this process has no archive.`,
    );
  }
  const { folder } = await openPurgeArchive(parts.archive, purge.id);
  await refuseWithoutSpace(run, parts.archive);
  return new RunArchive(parts.archive, folder, run.fence);
}

/** The segments of one claim. Each step writes to its own, so that steps go on side by side. */
export class RunArchive {
  readonly #parts: ArchiveParts;
  readonly #folder: string;
  readonly #fence: Fence;
  readonly #writers = new Map<string, SegmentWriter>();

  constructor(parts: ArchiveParts, folder: string, fence: Fence) {
    this.#parts = parts;
    this.#folder = folder;
    this.#fence = fence;
  }

  /**
   * Where the batches of a step write to, one after the other.
   * @param step as in the checkpoint: steps that go on side by side never share a segment
   * @param name of the segments, for people
   */
  sinkOf(step: string, name: string): OpenBatchSink {
    const known = this.#writers.get(step);
    const writer =
      known ??
      new SegmentWriter({
        store: this.#parts.store,
        folder: this.#folder,
        nameOf: (part) => rowSegmentName(this.#fence.epoch, name, part),
      });
    this.#writers.set(step, writer);
    return () => writer.open();
  }

  /** Closes its files. Idempotent. */
  async close(): Promise<void> {
    await Promise.all([...this.#writers.values()].map((writer) => writer.close()));
    this.#writers.clear();
  }
}
