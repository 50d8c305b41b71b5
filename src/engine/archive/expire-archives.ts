import { PURGES_FOLDER, SWEEPS_FOLDER } from '../../archive/file-name.ts';
import type { SegmentStore } from '../../archive/store.ts';
import { isPastKeeping } from '../../domain/archive-state.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import { isLive } from '../../domain/purge.ts';
import type { PurgeRecord } from '../../domain/records.ts';
import type { ArchiveRecord, ArchiveStore } from '../../postgres/ledger/archives.ts';
import type { PurgeStore } from '../../postgres/ledger/purges.ts';
import { purgeFolder } from './archive-place.ts';

interface ExpireParts {
  readonly store: SegmentStore;
  readonly ledger: ArchiveStore;
  readonly purges: PurgeStore;
}

/** Whose archives: those named, or all whose purge ended so long ago. */
type ExpiryRequest =
  | { readonly kind: 'named'; readonly purges: readonly PurgeRecord[] }
  | { readonly kind: 'older'; readonly keepDays: number; readonly now: Date };

export interface ExpiringArchive {
  readonly record: ArchiveRecord;
  readonly purge: PurgeRecord;
}

/** What an expiry would do. */
export interface ExpiryPlan {
  /** Nothing restores from these afterwards. */
  readonly archives: readonly ExpiringArchive[];
  /** Expired before, by a process that died before their folder was gone. */
  readonly leftovers: readonly PurgeId[];
  /** Due, but this process does not see the place where they lie. */
  readonly elsewhere: readonly ExpiringArchive[];
}

/** What an expiry has done. */
export interface ExpiryResult {
  readonly expired: readonly PurgeId[];
  /** Live by now, or being restored: they keep their archive. */
  readonly kept: readonly PurgeId[];
  readonly foldersRemoved: number;
  /** Segments of Redis keys that no purge needs any more. */
  readonly sweepSegmentsRemoved: number;
}

/**
 * Whose archives would go. Changes nothing.
 * @throws PurgeError NOT_FOUND, STATUS_CONFLICT, ARCHIVE_PLACE for archives that were named and may not go
 */
export async function planExpiry(parts: ExpireParts, request: ExpiryRequest): Promise<ExpiryPlan> {
  const place = await parts.store.knownIdentity();
  const records = await parts.ledger.list();
  const folders = new Set(place === null ? [] : await parts.store.folders(PURGES_FOLDER));
  const leftovers = records.filter(
    (record) => record.place === place && record.expiredAt !== null && folders.has(record.purgeId),
  );
  const purges =
    request.kind === 'named' ? request.purges : await parts.purges.select({ kind: 'all' });
  const byId = new Map(records.map((record) => [record.purgeId, record]));
  const found = purges.flatMap((purge): ExpiringArchive[] => {
    const record = byId.get(purge.id);
    if (record === undefined) {
      if (request.kind === 'named') throw noArchive(purge);
      return [];
    }
    if (request.kind === 'named' && isLive(purge.status)) throw stillLive(purge);
    if (record.expiredAt !== null || isLive(purge.status)) return [];
    return request.kind === 'named' || isPastKeeping(purge.endedAt, request)
      ? [{ record, purge }]
      : [];
  });
  const elsewhere = found.filter(({ record }) => record.place !== place);
  const [away] = elsewhere;
  if (request.kind === 'named' && away !== undefined) throw otherPlace(parts, away);
  return {
    archives: found.filter(({ record }) => record.place === place),
    leftovers: leftovers.map(({ purgeId }) => purgeId),
    elsewhere,
  };
}

/**
 * Marks each archive in the ledger, then removes its folder; afterwards the segments of keys that no
 * purge needs any more. Who dies in between leaves folders that the next expiry removes. Idempotent.
 * @throws PurgeError ARCHIVE_FAILED where a folder cannot be removed; those before it are gone
 */
export async function expireArchives(
  parts: ExpireParts,
  plan: ExpiryPlan,
  operator: string,
): Promise<ExpiryResult> {
  const expired: PurgeId[] = [];
  const kept: PurgeId[] = [];
  for (const { record } of plan.archives) {
    const marked = await parts.ledger.expire(record.purgeId, operator);
    (marked ? expired : kept).push(record.purgeId);
  }
  // Another expiry may have marked it meanwhile, or a restore begun: only a mark removes a folder.
  const doomed = [...expired, ...plan.leftovers];
  for (const purgeId of doomed) await parts.store.removeFolder(purgeFolder(purgeId));
  return {
    expired,
    kept,
    foldersRemoved: doomed.length,
    sweepSegmentsRemoved: await removeSweeps(parts),
  };
}

/** By the names that the ledger has: another database may archive into the same place. */
async function removeSweeps({ store, ledger }: ExpireParts): Promise<number> {
  const place = await store.knownIdentity();
  if (place === null) return 0;
  const doomed = await ledger.expiredSweepSegments(place);
  if (doomed.size === 0) return 0;
  const there = (await store.files(SWEEPS_FOLDER)).filter(({ name }) => doomed.has(name));
  for (const { name } of there) await store.removeFile(SWEEPS_FOLDER, name);
  return there.length;
}

const noArchive = (purge: PurgeRecord): PurgeError =>
  new PurgeError('NOT_FOUND', `Purge ${purge.id} of ${purge.tenantLabel} has no archive.`, {
    details: { purgeId: purge.id },
    remedy: 'List the archives with `tenant-purge archive list`.',
  });

const stillLive = (purge: PurgeRecord): PurgeError =>
  new PurgeError(
    'STATUS_CONFLICT',
    `Purge ${purge.id} of ${purge.tenantLabel} is ${purge.status}: its archive is needed.`,
    {
      details: { purgeId: purge.id, status: purge.status },
      remedy: 'Wait until it has ended, or cancel it; then expire its archive.',
    },
  );

const otherPlace = ({ store }: ExpireParts, { record }: ExpiringArchive): PurgeError =>
  new PurgeError(
    'ARCHIVE_PLACE',
    `The archive of purge ${record.purgeId} lies at ${record.location}/${record.folder}; this process looks at ${store.location()}.`,
    {
      details: { purgeId: record.purgeId, archive: record.location, here: store.location() },
      remedy: 'Run the command where that place can be seen, with archive.dir set to it.',
    },
  );
