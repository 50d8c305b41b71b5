import { PurgeError, toPurgeError } from '../../domain/errors.ts';
import type { PurgeRecord } from '../../domain/records.ts';
import {
  type Conflict,
  type KeysReport,
  NO_KEYS,
  type RestoreHold,
  type RestoreReport,
  type RestoreRules,
} from '../../domain/restore.ts';
import type { Database } from '../../postgres/database.ts';
import { RestoreSessions } from '../../postgres/restore/restore-session.ts';
import {
  type RestoreClaim,
  type RestoreRecord,
  RestoreStore,
} from '../../postgres/restore/restore-store.ts';
import { readTarget } from '../../postgres/restore/target.ts';
import type { BatchLimits } from '../../postgres/rows/batch-bookkeeping.ts';
import { privilegeError } from '../../postgres/sqlstate.ts';
import type { Failpoint } from '../failpoints.ts';
import { changeRowsBack } from './change-phase.ts';
import { findConflicts } from './check.ts';
import type { RestoreArchive } from './chunk-source.ts';
import { keepHold } from './hold.ts';
import { linkUnit, restoreUnits } from './insert-phase.ts';
import { findTakenKeys, type RestoreKeyspace, restoreKeys } from './keys-phase.ts';
import { describeMismatches, describeUnproven, failed } from './mismatch.ts';
import { proveChangedRows } from './proof-phase.ts';
import { refuseConflicts, refuseStatus, refuseUnknownTriggers } from './refusals.ts';
import { planUnits, tablesOf } from './restore-plan.ts';
import { type OnRestoreState, Progress } from './restore-progress.ts';
import { changePiece, DoneWork, type RestoreRun, tookTooLong } from './restore-run.ts';
import { moveSequences } from './sequence-phase.ts';
import { staticConflicts } from './static-conflicts.ts';
import { verifyTables } from './verify-phase.ts';

export interface RestoreParts {
  /** What the rows go back into; its ledger is migrated. */
  readonly database: Database;
  readonly archive: RestoreArchive;
  /** Null where keys are none of this restore's business; `keysOmitted` says why. */
  readonly keyspace: RestoreKeyspace | null;
  readonly keysOmitted: string | null;
  /** `connections`: tables that go back side by side. */
  readonly limits: BatchLimits & { readonly connections: number };
  readonly failpoint: Failpoint;
}

export interface RestoreRequest {
  readonly purge: PurgeRecord;
  /** Rules given now; null: those of the restore that goes on. */
  readonly rules: RestoreRules | null;
  readonly operator: string;
  /** `host:pid`, for people. */
  readonly holder: string;
  /** False where the purge's own ledger is another database's. */
  readonly movesPurge: boolean;
  readonly dryRun: boolean;
  /** Asked once nothing stands in the way any more, before the first change. @throws what refuses */
  readonly confirm: (found: {
    readonly rows: number;
    readonly conflicts: readonly Conflict[];
  }) => Promise<void>;
  readonly signal: AbortSignal;
  readonly onState: OnRestoreState;
}

/** A holder that is silent for longer is taken to be dead. */
export const RESTORE_SILENT_MS = 15_000;
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
  if (request.movesPurge) return claimAndRestore(parts, request);
  const kept = await parts.archive.hold();
  try {
    const signal = AbortSignal.any([request.signal, kept.signal]);
    return await claimAndRestore(parts, { ...request, signal });
  } finally {
    await kept.end();
  }
}

async function claimAndRestore(
  parts: RestoreParts,
  request: RestoreRequest,
): Promise<RestoreReport> {
  const store = new RestoreStore(parts.database);
  let confirmed = false;
  for (let claims = 1; claims <= CLAIMS_MAX; claims += 1) {
    const before = await store.refuseHeld(request.purge.id, RESTORE_SILENT_MS);
    if (before?.endedAt != null) return alreadyRestored(store, before, parts);
    if (request.movesPurge) await store.refuseBusy(request.purge.id);
    const prepared = await prepare(parts, request, { store, before });
    if (request.dryRun) return { ...prepared.report, outcome: 'checked' };
    refuseConflicts(request.purge, prepared.report.conflicts);
    if (!confirmed) {
      const { rowsTotal: rows, conflicts } = prepared.report;
      await request.confirm({ rows, conflicts });
      confirmed = true;
    }
    const hold = await store.claim({
      purgeId: request.purge.id,
      holder: request.holder,
      operator: request.operator,
      rules: prepared.rules,
      rowsTotal: prepared.report.rowsTotal,
      seenEpoch: before?.epoch ?? null,
      skips: pagesOf(prepared.skips),
      settled: prepared.settled,
      movesPurge: request.movesPurge,
      silentMsMax: RESTORE_SILENT_MS,
    });
    if (hold !== null) return await restore(parts, request, { store, hold, prepared });
  }
  throw new PurgeError(
    'RESTORE_HELD',
    `Purge ${request.purge.id}: other processes claim its restore all the time.`,
  );
}

const SKIPS_PER_STATEMENT = 10_000;

function pagesOf<Item>(items: readonly Item[]): Item[][] {
  return Array.from({ length: Math.ceil(items.length / SKIPS_PER_STATEMENT) }, (_, page) =>
    items.slice(page * SKIPS_PER_STATEMENT, (page + 1) * SKIPS_PER_STATEMENT),
  );
}

interface Prepared {
  readonly rules: RestoreRules;
  readonly sessions: RestoreSessions;
  readonly target: RestoreRun['target'];
  readonly tables: RestoreRun['tables'];
  readonly units: RestoreRun['units'];
  readonly skips: Awaited<ReturnType<typeof findConflicts>>['skips'];
  readonly settled: RestoreClaim['settled'];
  readonly report: RestoreReport;
  readonly progress: Progress;
}

/** Looks, changes nothing. */
async function prepare(
  { database, archive, keyspace, limits }: RestoreParts,
  request: RestoreRequest,
  { store, before }: { readonly store: RestoreStore; readonly before: RestoreRecord | null },
): Promise<Prepared> {
  const rules = request.rules ?? before?.rules ?? { settle: {}, triggers: {} };
  const sessions = new RestoreSessions(database, limits, archive.searchPath);
  const done = new DoneWork(await store.done(request.purge.id));
  const progress = new Progress(request.onState);
  const { chunks, layouts } = archive;
  const total = chunks.reduce((sum, { kind, rows }) => (kind === 'deleted' ? sum + rows : sum), 0);
  progress.enter('checking', total);
  const names = [...new Set(chunks.map(({ table }) => table))];
  const { target, tables, units, found } = await sessions.look(async (session) => {
    const read = await readTarget(session, names);
    const tablesRead = tablesOf({ layouts, chunks }, read);
    refuseUnknownTriggers(request.rules, tablesRead);
    const planned = planUnits(tablesRead, read.keys);
    const fixed = staticConflicts({
      layouts,
      chunks,
      target: read,
      tables: tablesRead,
      units: planned,
      rules,
    });
    const isReadable = !fixed.some(({ kind }) => kind === 'PRIVILEGE' || kind === 'ROW_SECURITY');
    // What could not even be read would only fail.
    const rest = isReadable
      ? await findConflicts(session, {
          archive,
          target: read,
          tables: tablesRead,
          rules,
          nextLine: (seq) => done.nextLine(seq),
          isChangeDone: (seq) => done.has(changePiece(seq)),
          progress,
          signal: request.signal,
        })
      : { conflicts: [], skips: [] };
    return {
      target: read,
      tables: tablesRead,
      units: planned,
      found: { conflicts: [...fixed, ...rest.conflicts], skips: rest.skips },
    };
  });
  const keys = keyspace === null ? [] : await findTakenKeys(archive, keyspace, rules);
  const settled = chunks.flatMap(({ seq, kind, rows }) => {
    const line = kind === 'deleted' ? done.nextLine(seq) : done.has(changePiece(seq)) ? rows : 0;
    return line === 0 ? [] : [{ seq, line }];
  });
  return {
    rules,
    sessions,
    target,
    tables,
    units,
    skips: found.skips,
    settled,
    progress,
    report: {
      purgeId: request.purge.id,
      outcome: 'checked',
      rowsTotal: total,
      rowsRestored: before?.rowsRestored ?? 0,
      rowsSkipped: before?.rowsSkipped ?? 0,
      rowsChangedBack: 0,
      keys: NO_KEYS,
      tables: [],
      sequences: [],
      conflicts: [...found.conflicts, ...keys],
      error: null,
    },
  };
}

/** Everything after the claim. */
async function restore(
  parts: RestoreParts,
  request: RestoreRequest,
  {
    store,
    hold,
    prepared,
  }: { readonly store: RestoreStore; readonly hold: RestoreHold; readonly prepared: Prepared },
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
    return await restoreAll(parts, request, { run, prepared });
  } catch (thrown) {
    const error = tookTooLong(run, thrown) ?? toPurgeError(privilegeError(thrown));
    if (error.code !== 'STALE_FENCE' && error.code !== 'RESTORE_MISMATCH') {
      const isStop = error.code === 'STOP_ASKED';
      await store.release(hold, isStop ? null : error.toReport()).catch(() => undefined);
    }
    throw error;
  } finally {
    keeper.end();
  }
}

async function restoreAll(
  parts: RestoreParts,
  request: RestoreRequest,
  { run, prepared }: { readonly run: RestoreRun; readonly prepared: Prepared },
): Promise<RestoreReport> {
  const { progress, store, hold } = run;
  const total = prepared.report.rowsTotal;
  const back = run.tables
    .flatMap(({ deleted }) => deleted)
    .reduce((sum, { seq, rows }) => sum + Math.min(rows, run.done.nextLine(seq)), 0);
  progress.enter('restoring', total, back);
  await restoreUnits(run, parts.limits.connections);
  const linked = run.units.filter(({ kind }) => kind === 'link');
  if (linked.length > 0) {
    progress.enter('linking', total);
    for (const unit of linked) await linkUnit(run, unit);
  }
  await parts.failpoint('restore-linked');
  progress.enter('verifying', total);
  const { tables, mismatches } = await verifyTables(run);
  if (mismatches.length > 0) {
    throw await failed(run, request, describeMismatches(mismatches), { mismatches });
  }
  progress.enter(
    'changing back',
    run.tables.flatMap(({ changed }) => changed).reduce((sum, { rows }) => sum + rows, 0),
  );
  await changeRowsBack(run);
  await parts.failpoint('restore-changed');
  progress.enter(
    'verifying',
    run.tables.flatMap(({ changed }) => changed).reduce((sum, { rows }) => sum + rows, 0),
  );
  const unproven = await proveChangedRows(run);
  if (unproven.length > 0)
    throw await failed(run, request, describeUnproven(unproven), { unproven });
  const rowsChangedBack = run.tables
    .flatMap(({ changed }) => changed)
    .flatMap(({ seq }) => run.done.of(changePiece(seq)))
    .reduce((sum, { rows }) => sum + rows, 0);
  const sequences = await moveSequences(run);
  const keys = await keysBack(parts, run);
  await parts.failpoint('restore-ended');
  const record = await store.find(hold.purgeId);
  const report: RestoreReport = {
    ...prepared.report,
    outcome: 'restored',
    rowsRestored: record?.rowsRestored ?? 0,
    rowsSkipped: record?.rowsSkipped ?? 0,
    rowsChangedBack,
    keys,
    tables,
    sequences,
  };
  const { conflicts: _, ...details } = report;
  const ended = await store.end(hold, 'restored', {
    error: null,
    details,
    movesPurge: request.movesPurge,
  });
  if (!ended)
    throw new PurgeError('STALE_FENCE', `Another process restores purge ${hold.purgeId} now.`);
  return report;
}

async function keysBack(parts: RestoreParts, run: RestoreRun): Promise<KeysReport> {
  if (parts.keyspace === null) return { ...NO_KEYS, omitted: parts.keysOmitted };
  run.progress.enter(
    'keys',
    parts.archive.keyChunks.reduce((sum, { keys }) => sum + keys, 0),
  );
  return restoreKeys(parts.archive, parts.keyspace, {
    onTaken: run.rules.settle.KEY_TAKEN ?? 'skip',
    onPipeline: async (keys) => {
      run.signal.throwIfAborted();
      await parts.failpoint('restore-keys');
      await run.store.noteKeys(run.hold, keys);
      run.progress.enter('keys', keys, keys);
    },
  });
}

async function alreadyRestored(
  store: RestoreStore,
  before: RestoreRecord,
  { archive, keysOmitted }: RestoreParts,
): Promise<RestoreReport> {
  const done = await store.done(before.purgeId);
  const tables = [...new Set(archive.chunks.map(({ table }) => table))].sort();
  return {
    purgeId: before.purgeId,
    outcome: 'already',
    rowsTotal: before.rowsTotal,
    rowsRestored: before.rowsRestored,
    rowsSkipped: before.rowsSkipped,
    rowsChangedBack: done
      .filter(({ piece }) => piece.startsWith('change '))
      .reduce((sum, { rows }) => sum + rows, 0),
    keys: { ...NO_KEYS, restored: before.keysRestored, omitted: keysOmitted },
    tables: tables.flatMap((table) => {
      const verified = done.find(({ piece }) => piece === `verify ${table}`);
      const total = archive.chunks
        .filter((chunk) => chunk.table === table && chunk.kind === 'deleted')
        .reduce((sum, { rows }) => sum + rows, 0);
      return verified === undefined
        ? []
        : [
            {
              table,
              rows: verified.rows,
              skipped: total - verified.rows,
              verified: 'values' as const,
            },
          ];
    }),
    sequences: [],
    conflicts: [],
    error: null,
  };
}
