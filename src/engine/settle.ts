import { type ErrorReport, PurgeError, toPurgeError } from '../domain/errors.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { PurgeRecord } from '../domain/records.ts';
import { type DatabaseFault, readFault } from '../postgres/sqlstate.ts';
import type { Run } from './parts.ts';
import type { ProgressMeter } from './progress.ts';
import { makePurgeReport } from './purge-report.ts';
import { InterruptedRun } from './retry.ts';
import { findResidue } from './stages/verify.ts';
import { StaleFence, StopAsked } from './stop.ts';
import { nameStrangers } from './strangers.ts';

/** Waits between tries of an interrupted purge: 2 s, 4 s, … at most five minutes. */
const RETRY_FIRST_MS = 2_000;
const RETRY_MAX_MS = 300_000;

/** Errors of our own that say no more than that a server is away for now. */
const PASSING: ReadonlySet<string> = new Set(['REDIS_UNREACHABLE', 'DATABASE_UNREACHABLE']);

const REFUSALS: ReadonlySet<string> = new Set([
  'IDENTITY_MISMATCH',
  'TENANT_KEPT',
  'DRIFT',
  'HAZARD_BLOCKS',
]);

/** A row of somebody else undid the transaction: the error is to say which. */
const STRANGERS: ReadonlySet<string> = new Set(['FOREIGN_REFERENCE', 'CASCADE_GUARD']);

type Stopped = Pick<Run, 'parts' | 'control' | 'purge' | 'fence'>;

/** The one place where an error of a run becomes a status in the ledger and an outcome. */
export async function settle(run: Stopped, meter: ProgressMeter, error: unknown): Promise<Outcome> {
  if (error instanceof StaleFence) return { kind: 'superseded', reason: error.message };
  if (error instanceof StopAsked) return await settleStop(run, meter, error.message);
  if (isPassing(error)) {
    return await settleInterruption(run, meter, error);
  }
  const failure = await withStrangers(run, explain(run.purge, error));
  if (failure.code === 'RESIDUE') return await settleResidue(run, meter, failure);
  const outcome = REFUSALS.has(failure.code) ? 'refused' : 'failed';
  const written = await run.parts.purges.write(
    run.fence,
    outcome,
    { error: failure.toReport(), rowsDeleted: meter.rowsDeleted, ended: true },
    { kind: outcome, details: { code: failure.code } },
  );
  run.parts.log.error({ purgeId: run.purge.id, code: failure.code, err: error }, failure.message);
  if (written === null) return await settleStop(run, meter, 'a stop came with the failure');
  return { kind: outcome, error: failure.toReport() };
}

/** Rows kept arriving: the purge is incomplete, as when verification finds them at the end. */
async function settleResidue(
  run: Stopped,
  meter: ProgressMeter,
  failure: PurgeError,
): Promise<Outcome> {
  const { parts, fence } = run;
  const error = failure.toReport();
  const residue = await findResidue(run as Run);
  const written = await parts.purges.write(
    fence,
    'incomplete',
    { error, residue, rowsDeleted: meter.rowsDeleted, ended: true },
    { kind: 'incomplete', details: { rows: meter.rowsDeleted, residue } },
  );
  if (written === null) return await settleStop(run, meter, 'a stop came with the residue');
  return { kind: 'incomplete', report: await makePurgeReport(parts, written, residue), error };
}

function isPassing(error: unknown): boolean {
  if (error instanceof PurgeError) return PASSING.has(error.code);
  return error instanceof InterruptedRun || readFault(error).faultClass === 'back-off';
}

/** A command may come between the look and the write; so often the look is repeated. */
const LOOKS_MAX = 5;

/** Asked becomes done: `pausing` → `paused`, `cancelling` → `cancelled`, else given back. */
async function settleStop(run: Stopped, meter: ProgressMeter, reason: string): Promise<Outcome> {
  for (let looks = 1; looks <= LOOKS_MAX; looks += 1) {
    const outcome = await trySettleStop(run, meter, reason);
    if (outcome !== null) return outcome;
  }
  // The reconciler ends what nobody holds.
  return { kind: 'yielded', reason };
}

/** @returns null when the status changed between the look and the write */
async function trySettleStop(
  run: Stopped,
  meter: ProgressMeter,
  reason: string,
): Promise<Outcome | null> {
  const { parts, fence } = run;
  const now = await parts.purges.find(run.purge.id);
  if (now === null || now.fence !== fence.epoch) {
    return { kind: 'superseded', reason: 'another worker holds the purge' };
  }
  const patch = { rowsDeleted: meter.rowsDeleted };
  switch (now.status) {
    case 'pausing': {
      const written = await parts.purges.write(fence, 'paused', patch, { kind: 'paused' });
      return written === null ? null : { kind: 'paused', parked: false };
    }
    case 'cancelling':
      return await settleCancel(run, meter);
    case 'running': {
      const written = await parts.purges.write(fence, 'queued', patch, {
        kind: 'given back',
        details: { reason },
      });
      return written === null ? null : { kind: 'yielded', reason };
    }
    case 'paused':
      return { kind: 'paused', parked: false };
    case 'queued':
      return { kind: 'yielded', reason };
    default:
      return { kind: 'superseded', reason: `purge is ${now.status}` };
  }
}

async function settleCancel(run: Stopped, meter: ProgressMeter): Promise<Outcome | null> {
  const { parts, fence } = run;
  const residue = await findResidue({ ...run, purge: { ...run.purge, redisResidue: 0 } } as Run);
  const written = await parts.purges.write(
    fence,
    'cancelled',
    { rowsDeleted: meter.rowsDeleted, residue, ended: true },
    { kind: 'cancelled', details: { rows: meter.rowsDeleted, residue } },
  );
  if (written === null) return null;
  return { kind: 'cancelled', report: await makePurgeReport(parts, written, residue) };
}

async function settleInterruption(
  run: Stopped,
  meter: ProgressMeter,
  error: unknown,
): Promise<Outcome> {
  const cause = error instanceof InterruptedRun ? error.fault : readFault(error);
  const report: ErrorReport = new PurgeError(
    'INTERRUPTED',
    `Purge ${run.purge.id} was interrupted: ${cause.message}`,
    { details: { sqlState: cause.sqlState } },
  ).toReport();
  const interruptions = run.purge.interruptions + 1;
  const retryInMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(interruptions - 1, 10));
  // The ledger itself may be what cannot be reached: then the purge stays `running` there, and the
  // job's next try takes it over.
  await run.parts.purges
    .write(
      run.fence,
      'interrupted',
      { error: report, interruptions, rowsDeleted: meter.rowsDeleted },
      { kind: 'interrupted', details: { message: cause.message, retryInMs } },
    )
    .catch((ledgerError: unknown) => {
      run.parts.log.warn(
        { purgeId: run.purge.id, err: ledgerError },
        'the ledger cannot be reached',
      );
    });
  return { kind: 'interrupted', error: report, retryInMs };
}

/** What undid a transaction is still there; should the look fail, the error stands as it is. */
async function withStrangers(run: Stopped, failure: PurgeError): Promise<PurgeError> {
  const { parts, purge } = run;
  if (!STRANGERS.has(failure.code)) return failure;
  try {
    return await nameStrangers(parts, await parts.livePlan.current(), purge.tenantId, failure);
  } catch (error) {
    parts.log.warn({ purgeId: purge.id, err: error }, 'the referring rows could not be listed');
    return failure;
  }
}

/** A database error in the words of the operator: which purge, which table, which constraint. */
function explain(purge: PurgeRecord, error: unknown): PurgeError {
  if (error instanceof PurgeError) return error;
  const fault = readFault(error);
  const at = fault.table === null ? '' : ` at ${fault.table}`;
  const details = { sqlState: fault.sqlState, constraint: fault.constraint, table: fault.table };
  switch (fault.faultClass) {
    case 'reference':
      return new PurgeError(
        'FOREIGN_REFERENCE',
        `Purge ${purge.id}: rows${at} that are not part of the purge reference rows to delete, through ${fault.constraint}.`,
        { details, cause: error },
      );
    case 'shrink':
      return new PurgeError(
        'POISON_ROW',
        `Purge ${purge.id}: a statement ran into its timeout${at}.`,
        { details, cause: error },
      );
    case 'fatal':
      return explainFatal(purge, error, fault);
    case 'back-off':
    case 'stale':
    case 'stop':
      return toPurgeError(error);
    default:
      return fault.faultClass satisfies never;
  }
}

function explainFatal(purge: PurgeRecord, error: unknown, fault: DatabaseFault): PurgeError {
  if (fault.sqlState === null) return toPurgeError(error);
  const at = fault.table === null ? '' : ` at ${fault.table}`;
  const options = {
    details: { sqlState: fault.sqlState, constraint: fault.constraint, table: fault.table },
    cause: error,
  };
  if (fault.sqlState === '42501') {
    return new PurgeError('PRIVILEGE_MISSING', `Purge ${purge.id}: ${fault.message}.`, options);
  }
  const remedy = remedyOfConstraint(fault);
  return new PurgeError(
    'ROW_REFUSED',
    `Purge ${purge.id}: PostgreSQL refused${at} (${fault.sqlState}): ${fault.message}.`,
    remedy === null ? options : { ...options, remedy },
  );
}

/** Setting a column of a row that stays, by our statement or by a key's action, broke a rule of its table. */
function remedyOfConstraint({ sqlState, table, column, constraint }: DatabaseFault): string | null {
  switch (sqlState) {
    case '23502':
      return `Column ${column} of ${table} takes no NULL, but a key or rule wants to clear it: have these rows deleted, drop NOT NULL, or change the rule, then enqueue again.`;
    case '23514':
      return `Clearing a column of ${table} breaks CHECK ${constraint}: have these rows deleted, loosen the CHECK, or change the rule, then enqueue again.`;
    default:
      return null;
  }
}
