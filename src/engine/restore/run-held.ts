import { toPurgeError } from '../../domain/errors.ts';
import type { RestoreHold, RestoreReport } from '../../domain/restore.ts';
import type { RestoreStore } from '../../postgres/restore/restore-store.ts';
import { privilegeError } from '../../postgres/sqlstate.ts';
import { keepHold } from './hold.ts';
import type { PreparedRestore } from './prepare.ts';
import type { RestoreParts, RestoreRequest } from './restore-request.ts';
import { DoneWork, type RestoreRun, tookTooLong } from './restore-run.ts';
import { runPhases } from './run-phases.ts';

/**
 * A restore from its claim to its end: shows signs of life meanwhile, and lets go where it cannot end.
 * @throws PurgeError as `runRestore`
 */
export async function runHeld(
  parts: RestoreParts,
  request: RestoreRequest,
  {
    store,
    hold,
    prepared,
  }: {
    readonly store: RestoreStore;
    readonly hold: RestoreHold;
    readonly prepared: PreparedRestore;
  },
): Promise<RestoreReport> {
  const keeper = keepHold(store, hold, request.signal);
  const run: RestoreRun = {
    hold,
    store,
    sessions: prepared.sessions,
    archive: parts.archive,
    target: prepared.target,
    tables: prepared.tables,
    units: prepared.units,
    rules: prepared.rules,
    done: new DoneWork(await store.done(hold.purgeId)),
    progress: prepared.progress,
    signal: keeper.signal,
    failpoint: parts.failpoint,
    statementTimeoutMs: parts.limits.statementTimeoutMs,
  };
  try {
    await parts.failpoint('restore-claimed');
    return await runPhases(run, parts, { before: prepared.report, movesPurge: request.movesPurge });
  } catch (thrown) {
    const error = tookTooLong(run, thrown) ?? toPurgeError(privilegeError(thrown));
    // Neither is ours to let go of: another process holds the restore, or it has ended.
    if (error.code !== 'STALE_FENCE' && error.code !== 'RESTORE_MISMATCH') {
      const isStop = error.code === 'STOP_ASKED';
      await store.release(hold, isStop ? null : error.toReport()).catch(() => undefined);
    }
    throw error;
  } finally {
    keeper.end();
  }
}
