import { createFileSystemStore } from '../../../src/archive/file-system-store.ts';
import type { SegmentStore } from '../../../src/archive/store.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { findTarget, notFound } from '../../../src/engine/campaign/find-target.ts';
import { ArchiveView } from '../../../src/postgres/ledger/archive-view.ts';
import { ArchiveStore } from '../../../src/postgres/ledger/archives.ts';
import type { Session } from '../command.ts';
import { type LedgerDesk, withLedgerDesk } from './ledger-desk.ts';

/** Ledger and archives; works while Redis is away. */
export interface ArchiveDesk extends LedgerDesk {
  readonly view: ArchiveView;
  /** Only for a ledger of this version: migrate it first. */
  readonly archives: ArchiveStore;
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
      store,
      place: await store.knownIdentity(),
    });
  });

/**
 * The purges that the words mean: a purge, a tenant's newest one, or all of a campaign.
 * @throws PurgeError NOT_FOUND
 */
export async function purgesNamed(
  { ledger }: ArchiveDesk,
  words: readonly string[],
): Promise<PurgeRecord[]> {
  const found = new Map<string, PurgeRecord>();
  for (const word of words) {
    if (ledger === null) throw notFound(word);
    const target = await findTarget(ledger, word);
    const purges =
      target.kind === 'purge'
        ? [target.purge]
        : await ledger.purges.select({ kind: 'campaign', id: target.campaign.id });
    for (const purge of purges) found.set(purge.id, purge);
  }
  return [...found.values()];
}
