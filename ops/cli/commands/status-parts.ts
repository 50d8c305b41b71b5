import type { CampaignRecord, PurgeRecord } from '../../../src/domain/records.ts';
import {
  type PurgeArchives,
  readArchiveStates,
} from '../../../src/engine/archive/archive-states.ts';
import { ArchiveView } from '../../../src/postgres/ledger/archive-view.ts';
import type { PendingStop } from '../../../src/postgres/ledger/commands.ts';
import type { Holdings } from '../../../src/postgres/ledger/throttle.ts';
import type { LedgerView } from '../open.ts';
import { purgeDocument } from '../output/purges.ts';
import { holdingDocument } from '../output/throttle.ts';
import type { LedgerDesk } from './ledger-desk.ts';
import { describePending } from './stop-wording.ts';

/** What each view of `status` reads from. */
export interface StatusParts {
  readonly desk: LedgerDesk;
  readonly ledger: LedgerView;
}

/** Pending stops described; the campaign's figures count the rest. */
const STOPS_SHOWN_MAX = 10;

/** How the archives of these purges are, by purge. */
export const archivesOf = (
  { database, config }: LedgerDesk,
  purges: readonly PurgeRecord[],
  campaigns: readonly CampaignRecord[],
): Promise<PurgeArchives> =>
  readArchiveStates(new ArchiveView(database), {
    purges,
    campaigns,
    keepDays: config.archive.keepDays,
  });

/** A purge in the JSON of a list. */
export const listedDocument = (
  purge: PurgeRecord,
  holdings: Holdings,
  archives: PurgeArchives,
): object => ({
  ...purgeDocument(purge),
  archive: archives.get(purge.id)?.state ?? null,
  ...holdingDocument(holdings.get(purge.id)),
});

/** Stops that are not yet so, for people: what each waits for. */
export const stopLines = (stops: readonly PendingStop[], lockMs: number): string =>
  stops
    .slice(0, STOPS_SHOWN_MAX)
    .map((stop) => {
      const lines = describePending(stop, lockMs);
      return `\n\n${stop.status} ${stop.purgeId}\n  ${lines.join('\n  ')}`;
    })
    .join('');
