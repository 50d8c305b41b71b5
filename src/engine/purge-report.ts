import { archiveState, describeUndo, whetherUndoable } from '../domain/archive-state.ts';
import type { PurgeRecord } from '../domain/records.ts';
import type { PurgeReport, Residue } from '../domain/report.ts';
import type { EngineParts } from './parts.ts';

/** What one purge did, from the ledger's committed batches. */
export async function makePurgeReport(
  parts: Pick<EngineParts, 'reader' | 'campaigns' | 'archive'>,
  purge: PurgeRecord,
  residue: readonly Residue[],
): Promise<PurgeReport> {
  const [tables, campaign, archive] = await Promise.all([
    parts.reader.deletedRows(purge.id),
    parts.campaigns.get(purge.campaignId),
    parts.archive?.ledger.find(purge.id) ?? null,
  ]);
  const facts = { status: purge.status, endedAt: purge.endedAt, archiving: campaign.archive };
  return {
    purgeId: purge.id,
    campaignId: purge.campaignId,
    tenantId: purge.tenantId,
    tenantLabel: purge.tenantLabel,
    status: purge.status,
    tables,
    rowsDeleted: tables.reduce((sum, { rows }) => sum + rows, 0),
    redisKeysDeleted: purge.redisKeysDeleted,
    residue,
    archive: archiveState(facts, archive, parts.archive?.keepDays ?? null),
    undo: describeUndo(whetherUndoable({ ...facts, archive }), purge.id),
    startedAt: purge.startedAt?.toISOString() ?? null,
    endedAt: purge.endedAt?.toISOString() ?? null,
  };
}
