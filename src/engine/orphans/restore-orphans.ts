import type { SegmentStore } from '../../archive/store.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { OrphanRestore } from '../../domain/orphans.ts';
import type { OrphanRun, OrphanRunStore } from '../../postgres/ledger/orphan-runs.ts';
import type { KeyState, KeyToRestore } from '../../redis/restore-keys.ts';
import { readArchivedKeys } from './archived-keys.ts';
import { writeOrphanManifest } from './orphan-manifest.ts';

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

export interface RestoreOrphansOptions {
  /** A process silent for longer does not hold the run any more. */
  readonly leaseMs: number;
  readonly operator: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Puts the keys of a run back, with the life that they have left. Idempotent; a key that is there is left
 * alone. In memory stands one chunk, and 16 bytes for each key of the run: of a key that was archived
 * twice the last value counts. The run ends with it, and its archive does not expire meanwhile.
 * @throws PurgeError STATUS_CONFLICT (the run is under way), ARCHIVE_EXPIRED, ARCHIVE_PLACE,
 *   IDENTITY_MISMATCH, ARCHIVE_DAMAGED, STOP_ASKED
 */
export async function restoreOrphans(
  parts: RestoreOrphansParts,
  run: OrphanRun,
  options: RestoreOrphansOptions,
): Promise<OrphanRestore> {
  const { runs } = parts;
  if (run.expiredAt !== null) throw expired(run);
  await requirePlace(parts.store, run);
  requireRedis(parts.redisIdentity, run);
  if (!(await runs.close(run.id, options.leaseMs))) {
    const now = await runs.find(run.id);
    throw now === null || now.expiredAt === null ? underWay(run) : expired(now);
  }
  try {
    const sum = await putAllBack(parts, run, options.signal);
    await runs.note('orphans restored', options.operator, { run: run.id, ...sum });
    return { runId: run.id, ...sum };
  } finally {
    await runs.endRestore(run.id).catch(() => undefined);
  }
}

async function putAllBack(
  parts: RestoreOrphansParts,
  run: OrphanRun,
  signal: AbortSignal | undefined,
): Promise<Omit<OrphanRestore, 'runId'>> {
  const { runs, store } = parts;
  const chunks = await runs.chunks(run.id);
  // An archive that can only be read restores as well.
  if (run.endedAt === null) await noteEnd(parts, run, chunks).catch(() => undefined);
  const seen = new Set<string>();
  const sum = { restored: 0, same: 0, taken: 0, expired: 0 };
  for (const chunk of chunks.toReversed()) {
    for await (const keys of readArchivedKeys(store, run.folder, chunk, seen)) {
      if (signal?.aborted === true) {
        throw new PurgeError(
          'STOP_ASKED',
          `Interrupted: ${sum.restored} keys are back. The same command goes on.`,
        );
      }
      await runs.beat(run.id);
      const states = await parts.look(keys);
      const absent = keys.filter((_, at) => states[at] === 'absent');
      sum.same += states.filter((state) => state === 'same').length;
      sum.taken += states.filter((state) => state === 'taken').length;
      sum.expired += states.filter((state) => state === 'expired').length;
      const put = await parts.putBack(absent);
      sum.restored += put.restored;
      sum.taken += put.skipped;
      sum.expired += put.expired;
    }
  }
  return sum;
}

/** A run that was killed, and ends here, has no manifest yet, or one of before. */
async function noteEnd(
  { store }: RestoreOrphansParts,
  run: OrphanRun,
  chunks: Awaited<ReturnType<OrphanRunStore['chunks']>>,
): Promise<void> {
  await writeOrphanManifest(store, run, { chunks, status: 'interrupted' });
}

async function requirePlace(store: SegmentStore, run: OrphanRun): Promise<void> {
  if ((await store.knownIdentity()) === run.place) return;
  throw new PurgeError(
    'ARCHIVE_PLACE',
    `The keys of run ${run.id} lie at ${run.location}/${run.folder}; this process sees ${store.location()}.`,
    { details: { archive: run.location, here: store.location() } },
  );
}

function requireRedis(identity: string | null, run: OrphanRun): void {
  if (identity === run.redisIdentity) return;
  throw new PurgeError(
    'IDENTITY_MISMATCH',
    `The keys of run ${run.id} came from the Redis at ${run.redisEndpoint}; this is another one, or its key tenant-purge:identity is gone.`,
    {
      remedy: `Point REDIS_URL at that Redis. If it is this one, flushed since: SET tenant-purge:identity ${run.redisIdentity}`,
    },
  );
}

const underWay = (run: OrphanRun): PurgeError =>
  new PurgeError('STATUS_CONFLICT', `Run ${run.id} is under way, held by ${run.holder}.`, {
    remedy: 'Stop it with Ctrl-C there, or wait for its end, then restore again.',
  });

const expired = (run: OrphanRun): PurgeError =>
  new PurgeError(
    'ARCHIVE_EXPIRED',
    `The archive of run ${run.id} was thrown away on ${run.expiredAt?.toISOString() ?? 'some day'} by ${run.expiredBy ?? 'somebody'}.`,
    { remedy: 'Bring the keys back from a backup of Redis, if there is one.' },
  );
