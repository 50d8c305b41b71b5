import { PURGES_FOLDER } from '../../archive/file-name.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import type { ArchiveRecord } from '../../postgres/ledger/archives.ts';
import type { ArchiveParts } from './archive-parts.ts';

/** The folder of a purge's archive, inside its place. */
export const purgeFolder = (purgeId: PurgeId): string => `${PURGES_FOLDER}/${purgeId}`;

/**
 * The archive of a purge, begun where it has none yet.
 * @throws PurgeError ARCHIVE_PLACE where it was begun in another place; ARCHIVE_FAILED
 */
export async function openPurgeArchive(
  parts: ArchiveParts,
  purgeId: PurgeId,
): Promise<ArchiveRecord> {
  const id = await parts.store.identity();
  const location = parts.store.location();
  const record = await parts.ledger.open(purgeId, { id, location, folder: purgeFolder(purgeId) });
  if (record.place !== id) throw otherPlace(parts, record);
  return record;
}

/**
 * Why this process must not go on with the purge: its archive was begun where this process cannot see
 * it. Null: nothing speaks against it.
 */
export async function whyOtherPlace(
  parts: ArchiveParts,
  purgeId: PurgeId,
): Promise<PurgeError | null> {
  const begun = await parts.ledger.placeOf(purgeId);
  if (begun === null || begun === (await parts.store.identity())) return null;
  const record = await parts.ledger.find(purgeId);
  return record === null ? null : otherPlace(parts, record);
}

const otherPlace = ({ store }: ArchiveParts, record: ArchiveRecord): PurgeError =>
  new PurgeError(
    'ARCHIVE_PLACE',
    `Purge ${record.purgeId}: its archive lies at ${record.location}/${record.folder}; this process sees another one at ${store.location()}.`,
    { details: { archive: record.location, here: store.location() } },
  );
