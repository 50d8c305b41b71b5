import { createHash } from 'node:crypto';
import { copyLines, readChunk } from '../../archive/segment-reader.ts';
import type { SegmentStore } from '../../archive/store.ts';
import type { ArchivedKey } from '../../domain/archive.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { OrphanRestore } from '../../domain/orphans.ts';
import type { OrphanRun, OrphanRunStore } from '../../postgres/ledger/orphan-runs.ts';
import type { KeyState, KeyToRestore } from '../../redis/restore-keys.ts';

export interface RestoreOrphansParts {
  readonly runs: OrphanRunStore;
  readonly store: SegmentStore;
  /** Identity of this Redis; null where it has none. */
  readonly redisIdentity: string | null;
  readonly look: (keys: readonly KeyToRestore[]) => Promise<readonly KeyState[]>;
  /** Leaves keys alone that are there. */
  readonly putBack: (
    keys: readonly KeyToRestore[],
  ) => Promise<{ readonly restored: number; readonly expired: number; readonly skipped: number }>;
}

/** Keys of one pipeline, and bytes at which it is full before. */
const PIPELINE_KEYS = 500;
const PIPELINE_BYTES = 4_000_000;

/**
 * Puts the keys of a run back, with the life that they have left. Idempotent; a key that is there is left
 * alone. In memory stands one chunk, and 16 bytes for each key of the run: of a key that was archived
 * twice the last value counts.
 * @param leaseMs a process silent for longer does not hold the run any more
 * @throws PurgeError STATUS_CONFLICT (the run is under way), ARCHIVE_PLACE, IDENTITY_MISMATCH,
 *   ARCHIVE_DAMAGED, STOP_ASKED
 */
export async function restoreOrphans(
  parts: RestoreOrphansParts,
  run: OrphanRun,
  options: {
    readonly leaseMs: number;
    readonly operator: string;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<OrphanRestore> {
  const { runs, store } = parts;
  await requirePlace(store, run);
  if (parts.redisIdentity !== run.redisIdentity) {
    throw new PurgeError(
      'IDENTITY_MISMATCH',
      `The keys of run ${run.id} came from the Redis at ${run.redisEndpoint}; this is another one, or its key tenant-purge:identity is gone.`,
      {
        remedy: `Point REDIS_URL at that Redis. If it is this one, flushed since: SET tenant-purge:identity ${run.redisIdentity}`,
      },
    );
  }
  if (!(await runs.close(run.id, options.leaseMs))) {
    throw new PurgeError('STATUS_CONFLICT', `Run ${run.id} is under way, held by ${run.holder}.`, {
      remedy: 'Stop it with Ctrl-C there, or wait for its end, then restore again.',
    });
  }
  const seen = new Set<string>();
  const sum = { restored: 0, same: 0, taken: 0, expired: 0 };
  for (const chunk of (await runs.chunks(run.id)).toReversed()) {
    // Within a chunk a key stands once: it is one pipeline's.
    const lines = copyLines(readChunk(store, run.folder, chunk));
    for await (const keys of pipelinesOf(lines, seen)) {
      if (options.signal?.aborted === true) {
        throw new PurgeError(
          'STOP_ASKED',
          `Interrupted: ${sum.restored} keys are back. The same command goes on.`,
        );
      }
      const states = await parts.look(keys);
      const absent = keys.filter((_, at) => states[at] === 'absent');
      sum.same += states.filter((state) => state === 'same').length;
      sum.taken += states.filter((state) => state === 'taken').length;
      sum.expired += states.filter((state) => state === 'expired').length;
      const { restored, expired, skipped } = await parts.putBack(absent);
      sum.restored += restored;
      sum.taken += skipped;
      sum.expired += expired;
    }
  }
  await runs.note('orphans restored', options.operator, { run: run.id, ...sum });
  return { runId: run.id, ...sum };
}

async function requirePlace(store: SegmentStore, run: OrphanRun): Promise<void> {
  if ((await store.knownIdentity()) === run.place) return;
  throw new PurgeError(
    'ARCHIVE_PLACE',
    `The keys of run ${run.id} lie at ${run.location}/${run.folder}; this process sees ${store.location()}.`,
    { details: { archive: run.location, here: store.location() } },
  );
}

async function* pipelinesOf(
  lines: AsyncIterable<readonly Buffer[]>,
  seen: Set<string>,
): AsyncGenerator<KeyToRestore[]> {
  let pipeline: KeyToRestore[] = [];
  let bytes = 0;
  for await (const some of lines) {
    for (const line of some) {
      const { key, dump, expiresAt } = JSON.parse(line.toString('utf8')) as ArchivedKey;
      const mark = createHash('sha256').update(key).digest().toString('latin1', 0, 16);
      if (seen.has(mark)) continue;
      seen.add(mark);
      pipeline.push({
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
