import { PurgeError } from '../../domain/errors.ts';
import type { RestoreReport } from '../../domain/restore.ts';
import { RestoreStore } from '../../postgres/restore/restore-store.ts';
import { alreadyRestored } from './already-restored.ts';
import { RESTORE_SILENT_MS } from './hold.ts';
import { prepareRestore } from './prepare.ts';
import { refuseConflicts, refuseStatus } from './refusals.ts';
import type { RestoreParts, RestoreRequest } from './restore-request.ts';
import { runHeld } from './run-held.ts';

/** Others may come between a look and the claim so many times. */
const CLAIMS_MAX = 5;

/**
 * Puts back what a purge has archived: conflicts first, then rows, parents first, then references and
 * values that the purge had changed, sequences, keys. Whatever kills it, the next call goes on from the
 * last commit; called again after its end it changes nothing.
 * @throws PurgeError RESTORE_CONFLICTS, RESTORE_HELD, STATUS_CONFLICT, TENANT_BUSY, ARCHIVE_EXPIRED,
 *   NOT_RESTORABLE, ARCHIVE_DAMAGED, RESTORE_MISMATCH, STOP_ASKED, STALE_FENCE, INTERRUPTED
 */
export async function runRestore(
  parts: RestoreParts,
  request: RestoreRequest,
): Promise<RestoreReport> {
  refuseStatus(request.purge);
  // Here the purge's own status keeps its archive from expiring, from the claim on.
  if (request.movesPurge) return claimAndRun(parts, request);
  const kept = await parts.archive.hold();
  try {
    const signal = AbortSignal.any([request.signal, kept.signal]);
    return await claimAndRun(parts, { ...request, signal });
  } finally {
    await kept.end();
  }
}

/** Looks, takes hold, restores; looks again where somebody else came between look and claim. */
async function claimAndRun(parts: RestoreParts, request: RestoreRequest): Promise<RestoreReport> {
  const { purge, movesPurge } = request;
  const store = new RestoreStore(parts.database);
  let confirmed = false;
  for (let claims = 1; claims <= CLAIMS_MAX; claims += 1) {
    const before = await store.refuseHeld(purge.id, RESTORE_SILENT_MS);
    if (before?.endedAt != null) return alreadyRestored(store, before, parts);
    if (movesPurge) await store.refuseBusy(purge.id);
    const prepared = await prepareRestore(parts, request, { store, before });
    const { rowsTotal, conflicts } = prepared.report;
    if (request.dryRun) return { ...prepared.report, outcome: 'checked' };
    refuseConflicts(purge, conflicts);
    if (!confirmed) {
      await request.confirm({ rows: rowsTotal, conflicts });
      confirmed = true;
    }
    const hold = await store.claim({
      purgeId: purge.id,
      holder: request.holder,
      operator: request.operator,
      rules: prepared.rules,
      rowsTotal,
      seenEpoch: before?.epoch ?? null,
      skips: prepared.skips,
      doneLines: prepared.doneLines,
      movesPurge,
      silentMsMax: RESTORE_SILENT_MS,
    });
    if (hold !== null) return await runHeld(parts, request, { store, hold, prepared });
  }
  throw new PurgeError(
    'RESTORE_HELD',
    `Purge ${purge.id}: other processes claim its restore all the time.`,
  );
}
