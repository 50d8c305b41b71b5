import { PurgeError } from '../../domain/errors.ts';
import { type KeysReport, NO_KEYS, type RestoreReport } from '../../domain/restore.ts';
import { changeRowsBack } from './change-phase.ts';
import { restoreUnits } from './insert-phase.ts';
import { restoreKeys } from './keys-phase.ts';
import { linkUnits } from './link-phase.ts';
import { describeMismatches, describeUnproven, failed } from './mismatch.ts';
import { proveChangedRows } from './proof-phase.ts';
import type { RestoreParts } from './restore-request.ts';
import { changePiece, type RestoreRun } from './restore-run.ts';
import { moveSequences } from './sequence-phase.ts';
import { verifyTables } from './verify-phase.ts';

/**
 * The phases of a held restore, in their order, and its end. Each does what is not done yet.
 * @param before the report of the look
 * @throws PurgeError as `runRestore`; driver errors of class `shrink`
 */
export async function runPhases(
  run: RestoreRun,
  parts: RestoreParts,
  { before, movesPurge }: { readonly before: RestoreReport; readonly movesPurge: boolean },
): Promise<RestoreReport> {
  const { progress, store, hold } = run;
  const { rowsTotal } = before;
  const changed = run.tables.flatMap((table) => table.changed);
  const rowsChanged = changed.reduce((sum, { rows }) => sum + rows, 0);

  progress.enter('restoring', rowsTotal, rowsBack(run));
  await restoreUnits(run, parts.limits.connections);
  await linkUnits(run, rowsTotal);
  await run.failpoint('restore-linked');

  progress.enter('verifying', rowsTotal);
  const { tables, mismatches } = await verifyTables(run);
  if (mismatches.length > 0) {
    throw await failed(run, { movesPurge }, describeMismatches(mismatches), { mismatches });
  }

  progress.enter('changing back', rowsChanged);
  await changeRowsBack(run);
  await run.failpoint('restore-changed');

  progress.enter('verifying', rowsChanged);
  const unproven = await proveChangedRows(run);
  if (unproven.length > 0) {
    throw await failed(run, { movesPurge }, describeUnproven(unproven), { unproven });
  }
  const rowsChangedBack = changed
    .flatMap(({ seq }) => run.done.of(changePiece(seq)))
    .reduce((sum, { rows }) => sum + rows, 0);

  const sequences = await moveSequences(run);
  const keys = await putKeysBack(run, parts);
  await run.failpoint('restore-ended');

  const record = await store.find(hold.purgeId);
  const report: RestoreReport = {
    ...before,
    outcome: 'restored',
    rowsRestored: record?.rowsRestored ?? 0,
    rowsSkipped: record?.rowsSkipped ?? 0,
    rowsChangedBack,
    keys,
    tables,
    sequences,
  };
  const { conflicts: _, ...details } = report;
  const isOurs = await store.end(hold, 'restored', { error: null, details, movesPurge });
  if (!isOurs) {
    throw new PurgeError('STALE_FENCE', `Another process restores purge ${hold.purgeId} now.`);
  }
  return report;
}

const rowsBack = ({ tables, done }: RestoreRun): number =>
  tables
    .flatMap(({ deleted }) => deleted)
    .reduce((sum, { seq, rows }) => sum + Math.min(rows, done.nextLine(seq)), 0);

async function putKeysBack(
  run: RestoreRun,
  { archive, keyspace, keysOmitted }: RestoreParts,
): Promise<KeysReport> {
  if (keyspace === null) return { ...NO_KEYS, omitted: keysOmitted };
  const total = archive.keyChunks.reduce((sum, { keys }) => sum + keys, 0);
  run.progress.enter('keys', total);
  return restoreKeys(archive, keyspace, {
    onTaken: run.rules.settle.KEY_TAKEN ?? 'skip',
    onPipeline: async (keys) => {
      run.signal.throwIfAborted();
      await run.failpoint('restore-keys');
      await run.store.noteKeys(run.hold, keys);
      // A shared sweep's chunks hold other purges' keys too: how many are this one's is known at the end.
      run.progress.enter('keys', keys, keys);
    },
  });
}
