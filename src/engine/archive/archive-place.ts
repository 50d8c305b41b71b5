import { PURGES_FOLDER } from '../../archive/file-name.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import type { ArchiveRecord } from '../../postgres/ledger/archives.ts';
import type { ArchiveParts } from './archive-parts.ts';

/** The folder of a purge's archive, inside its place. */
export const purgeFolder = (purgeId: PurgeId): string => `${PURGES_FOLDER}/${purgeId}`;

/** Places that this process has made known to the ledger. */
const registered = new WeakMap<ArchiveParts, Promise<string>>();

/** Identity of the place this process writes to; makes it known to the ledger once. */
export function ownPlace(parts: ArchiveParts): Promise<string> {
  const known = registered.get(parts);
  if (known !== undefined) return known;
  const made = register(parts);
  registered.set(parts, made);
  made.catch(() => registered.delete(parts));
  return made;
}

async function register({ store, ledger }: ArchiveParts): Promise<string> {
  const id = await store.identity();
  await ledger.registerPlace(id, store.location());
  return id;
}

/**
 * The archive of a purge, begun where it has none yet.
 * @throws PurgeError ARCHIVE_PLACE where it was begun in another place; ARCHIVE_FAILED
 */
export async function openPurgeArchive(
  parts: ArchiveParts,
  purgeId: PurgeId,
): Promise<ArchiveRecord> {
  const place = await ownPlace(parts);
  const record = await parts.ledger.open(purgeId, place, purgeFolder(purgeId));
  refuseOtherPlace(parts, record, place);
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
  const record = await parts.ledger.find(purgeId);
  if (record === null) return null;
  const place = await ownPlace(parts);
  return record.place === place ? null : otherPlace(parts, record);
}

function refuseOtherPlace(parts: ArchiveParts, record: ArchiveRecord, place: string): void {
  if (record.place !== place) throw otherPlace(parts, record);
}

const otherPlace = ({ store }: ArchiveParts, record: ArchiveRecord): PurgeError =>
  new PurgeError(
    'ARCHIVE_PLACE',
    `Purge ${record.purgeId}: its archive lies at ${record.location}/${record.folder}; this process sees another one at ${store.location()}.`,
    { details: { archive: record.location, here: store.location() } },
  );
