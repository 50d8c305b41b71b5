import { CANNOT_BE_UNDONE } from '../domain/confirmation.ts';
import type { PurgeRecord } from '../domain/records.ts';
import type { PurgeReport, Residue } from '../domain/report.ts';
import type { EngineParts } from './parts.ts';

/** What one purge did, from the ledger's committed batches. */
export async function makePurgeReport(
  parts: Pick<EngineParts, 'reader'>,
  purge: PurgeRecord,
  residue: readonly Residue[],
): Promise<PurgeReport> {
  const tables = await parts.reader.deletedRows(purge.id);
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
    undo: CANNOT_BE_UNDONE,
    startedAt: purge.startedAt?.toISOString() ?? null,
    endedAt: purge.endedAt?.toISOString() ?? null,
  };
}
