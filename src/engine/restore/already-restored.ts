import { NO_KEYS, type RestoredTable, type RestoreReport } from '../../domain/restore.ts';
import type { RestoreRecord } from '../../postgres/restore/restore-record.ts';
import type { RestoreStore } from '../../postgres/restore/restore-store.ts';
import type { RestoreParts } from './restore-request.ts';
import { changePiece, DoneWork, verifyPiece } from './restore-run.ts';

/** The report of a restore that has ended, as its ledger has it. Changes nothing. */
export async function alreadyRestored(
  store: RestoreStore,
  before: RestoreRecord,
  { archive, keysOmitted }: Pick<RestoreParts, 'archive' | 'keysOmitted'>,
): Promise<RestoreReport> {
  const done = new DoneWork(await store.done(before.purgeId));
  const changed = archive.chunks.filter(({ kind }) => kind === 'changed');
  return {
    purgeId: before.purgeId,
    outcome: 'already',
    rowsTotal: before.rowsTotal,
    rowsRestored: before.rowsRestored,
    rowsSkipped: before.rowsSkipped,
    rowsChangedBack: changed
      .flatMap(({ seq }) => done.of(changePiece(seq)))
      .reduce((sum, { rows }) => sum + rows, 0),
    keys: { ...NO_KEYS, restored: before.keysRestored, omitted: keysOmitted },
    tables: verifiedTables(archive, done),
    sequences: [],
    conflicts: [],
    error: null,
  };
}

function verifiedTables({ chunks }: RestoreParts['archive'], done: DoneWork): RestoredTable[] {
  const names = [...new Set(chunks.map(({ table }) => table))].sort();
  return names.flatMap((table): RestoredTable[] => {
    const [verified] = done.of(verifyPiece(table));
    if (verified === undefined) return [];
    const archived = chunks
      .filter((chunk) => chunk.table === table && chunk.kind === 'deleted')
      .reduce((sum, { rows }) => sum + rows, 0);
    const { rows, digest } = verified;
    return [
      { table, rows, skipped: archived - rows, verified: digest === null ? 'count' : 'values' },
    ];
  });
}
