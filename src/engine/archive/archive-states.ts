import {
  type ArchiveState,
  archiveState,
  type UndoAnswer,
  whetherUndoable,
} from '../../domain/archive-state.ts';
import type { CampaignId, PurgeId } from '../../domain/ids.ts';
import type { CampaignRecord, PurgeRecord } from '../../domain/records.ts';
import type { ArchiveView } from '../../postgres/ledger/archive-view.ts';

/** A purge's archive, and whether there is a way back now. */
export interface PurgeArchive {
  readonly state: ArchiveState | null;
  readonly undo: UndoAnswer;
}

export type PurgeArchives = ReadonlyMap<PurgeId, PurgeArchive>;

/** How it stands with each of these purges; reads only. */
export async function readArchiveStates(
  view: ArchiveView,
  of: {
    readonly purges: readonly PurgeRecord[];
    readonly campaigns: readonly Pick<CampaignRecord, 'id' | 'archive'>[];
    readonly keepDays: number;
  },
): Promise<PurgeArchives> {
  const archiving = new Map<CampaignId, boolean>(
    of.campaigns.map(({ id, archive }) => [id, archive]),
  );
  const records = await view.ofPurges(of.purges.map(({ id }) => id));
  return new Map(
    of.purges.map((purge) => {
      const archive = records.get(purge.id) ?? null;
      const facts = {
        status: purge.status,
        endedAt: purge.endedAt,
        archiving: archiving.get(purge.campaignId) ?? archive !== null,
      };
      return [
        purge.id,
        {
          state: archiveState(facts, archive, of.keepDays),
          undo: whetherUndoable({ ...facts, archive }),
        },
      ];
    }),
  );
}
