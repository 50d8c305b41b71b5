import { createFileSystemStore } from '../../../src/archive/file-system-store.ts';
import type { SegmentStore } from '../../../src/archive/store.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { ArchiveView } from '../../../src/postgres/ledger/archive-view.ts';
import { ArchiveStore } from '../../../src/postgres/ledger/archives.ts';
import { OrphanArchives } from '../../../src/postgres/ledger/orphan-archives.ts';
import type { Session } from '../command.ts';
import { type LedgerDesk, purgesOf, withLedgerDesk } from './ledger-desk.ts';

/** Ledger and archives; works while Redis is away. */
export interface ArchiveDesk extends LedgerDesk {
  readonly view: ArchiveView;
  /** Only for a ledger of this version: migrate it first. */
  readonly archives: ArchiveStore;
  readonly orphans: OrphanArchives;
  readonly store: SegmentStore;
  /** Identity of the place that this process sees; null where there is none. */
  readonly place: string | null;
}

export const withArchiveDesk = <Result>(
  session: Session,
  work: (desk: ArchiveDesk) => Promise<Result>,
): Promise<Result> =>
  withLedgerDesk(session, async (desk) => {
    const store = createFileSystemStore(desk.config.archive.dir);
    return work({
      ...desk,
      view: new ArchiveView(desk.database),
      archives: new ArchiveStore(desk.database),
      orphans: new OrphanArchives(desk.database),
      store,
      place: await store.knownIdentity(),
    });
  });

/**
 * The purges that the words mean, each once.
 * @throws PurgeError NOT_FOUND
 */
export async function purgesNamed(
  desk: ArchiveDesk,
  words: readonly string[],
): Promise<PurgeRecord[]> {
  const found = new Map<string, PurgeRecord>();
  for (const word of words) {
    for (const purge of await purgesOf(desk, word)) found.set(purge.id, purge);
  }
  return [...found.values()];
}
