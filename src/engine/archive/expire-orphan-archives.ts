import type { SegmentStore } from '../../archive/store.ts';
import { isPastKeeping } from '../../domain/archive-state.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { OrphanArchiveRecord, OrphanArchives } from '../../postgres/ledger/orphan-archives.ts';
import { ORPHANS_FOLDER } from '../orphans/orphan-archive.ts';

interface ExpireOrphansParts {
  readonly store: SegmentStore;
  readonly orphans: OrphanArchives;
}

/** Whose archives: of the runs that are named, or of all that ended so long ago. */
type OrphanExpiryRequest =
  | { readonly kind: 'named'; readonly runs: readonly OrphanArchiveRecord[] }
  | { readonly kind: 'older'; readonly keepDays: number; readonly now: Date };

/** What an expiry would do with the archives of runs over the orphans. */
export interface OrphanExpiryPlan {
  /** Nothing restores from these afterwards. */
  readonly runs: readonly OrphanArchiveRecord[];
  /** Expired before, by a process that died before their folder was gone. */
  readonly leftovers: readonly OrphanArchiveRecord[];
  /** Due, but this process does not see the place where they lie. */
  readonly elsewhere: readonly OrphanArchiveRecord[];
}

export interface OrphanExpiryResult {
  readonly expired: readonly OrphanArchiveRecord[];
  /** Being restored, or another expiry was faster. */
  readonly kept: readonly OrphanArchiveRecord[];
  readonly foldersRemoved: number;
}

/** A restore that has said nothing for so long is taken to be dead. */
const SILENCE_MS = 60_000;

/**
 * Whose archives would go. Changes nothing.
 * @throws PurgeError STATUS_CONFLICT, ARCHIVE_PLACE for archives that were named and may not go
 */
export async function planOrphanExpiry(
  { store, orphans }: ExpireOrphansParts,
  request: OrphanExpiryRequest,
): Promise<OrphanExpiryPlan> {
  const place = await store.knownIdentity();
  const all = await orphans.all();
  const folders = new Set(place === null ? [] : await store.folders(ORPHANS_FOLDER));
  const leftovers = all.filter(
    (run) => run.place === place && run.expiredAt !== null && folders.has(run.id),
  );
  const wanted = request.kind === 'named' ? request.runs : all;
  const found = wanted.filter((run) => {
    if (request.kind === 'named' && run.endedAt === null) throw notEnded(run);
    if (run.expiredAt !== null || run.endedAt === null) return false;
    return request.kind === 'named' || isPastKeeping(run.endedAt, request);
  });
  const elsewhere = found.filter((run) => run.place !== place);
  const [away] = elsewhere;
  if (request.kind === 'named' && away !== undefined) throw otherPlace(store, away);
  return { runs: found.filter((run) => run.place === place), leftovers, elsewhere };
}

/**
 * Marks each archive in the ledger, then removes its folder. Who dies in between leaves folders that the
 * next expiry removes. Idempotent.
 * @throws PurgeError ARCHIVE_FAILED where a folder cannot be removed; those before it are gone
 */
export async function expireOrphanArchives(
  { store, orphans }: ExpireOrphansParts,
  plan: OrphanExpiryPlan,
  operator: string,
): Promise<OrphanExpiryResult> {
  const expired: OrphanArchiveRecord[] = [];
  const kept: OrphanArchiveRecord[] = [];
  for (const run of plan.runs) {
    const isMarked = await orphans.expire(run.id, { operator, silenceMs: SILENCE_MS });
    (isMarked ? expired : kept).push(run);
  }
  // Another expiry may have marked it meanwhile, or a restore begun: only a mark removes a folder.
  const doomed = [...expired, ...plan.leftovers];
  for (const { folder } of doomed) await store.removeFolder(folder);
  return { expired, kept, foldersRemoved: doomed.length };
}

const notEnded = ({ id, holder }: OrphanArchiveRecord): PurgeError =>
  new PurgeError(
    'STATUS_CONFLICT',
    `Run ${id} of redis orphans has not ended; ${holder} worked at it last. Its archive is needed.`,
    {
      details: { runId: id, holder },
      remedy:
        'Let it end with `tenant-purge redis orphans --delete`, or bring its keys back with --restore; then expire its archive.',
    },
  );

const otherPlace = (store: SegmentStore, run: OrphanArchiveRecord): PurgeError =>
  new PurgeError(
    'ARCHIVE_PLACE',
    `The archive of run ${run.id} lies at ${run.location}/${run.folder}; this process looks at ${store.location()}.`,
    {
      details: { runId: run.id, archive: run.location, here: store.location() },
      remedy: 'Run the command where that place can be seen, with archive.dir set to it.',
    },
  );
