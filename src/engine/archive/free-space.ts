import { PurgeError } from '../../domain/errors.ts';
import type { Run } from '../parts.ts';
import type { ArchiveParts } from './archive-parts.ts';

/** Left free besides what the archive may need: manifest, other purges, the operator's patience. */
const RESERVE_BYTES = 64 * 1024 * 1024;

/** No small purge comes near it; with less than this free the figure is worked out all the same. */
const SMALL_BYTES = 1024 * 1024 * 1024;

/**
 * Refuses a purge whose rows would not fit where its archive lies. The estimate is the rows' share of
 * their tables on disk, uncompressed; compressed they take a fraction of it.
 * @throws PurgeError ARCHIVE_SPACE
 */
export async function refuseWithoutSpace(
  { parts, purge }: Pick<Run, 'parts' | 'purge'>,
  archive: ArchiveParts,
): Promise<void> {
  const free = await archive.store.freeBytes();
  if (free === null) return;
  // A look at the sizes of all tables costs as much as deleting a small tenant.
  const isSmall = purge.rowsTotal <= parts.limits.smallPurgeRows;
  if (isSmall && free >= RESERVE_BYTES + SMALL_BYTES) return;
  const left = Math.max(0, purge.rowsTotal - purge.rowsDeleted) / Math.max(1, purge.rowsTotal);
  const needed = (await parts.reader.bytesOf(purge.rowsExpected)) * left + RESERVE_BYTES;
  if (free >= needed) return;
  throw new PurgeError(
    'ARCHIVE_SPACE',
    `Purge ${purge.id}: its archive may take ${mebibytes(needed)} and ${archive.store.location()} has ${mebibytes(free)} free. Nothing was deleted by this try.`,
    {
      details: {
        location: archive.store.location(),
        freeBytes: free,
        neededBytes: Math.ceil(needed),
      },
    },
  );
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 1024 / 1024)} MiB`;
