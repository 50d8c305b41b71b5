import { type ErrorReport, PurgeError } from '../domain/errors.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { PurgeRecord } from '../domain/records.ts';
import { ReadGivenUp } from '../postgres/answer-watch.ts';
import { type DatabaseFault, readFault } from '../postgres/sqlstate.ts';
import { explainFault, remedyOfInterruption } from './explain-fault.ts';
import { placeOf } from './fault-place.ts';
import type { Run } from './parts.ts';
import type { ProgressMeter } from './progress.ts';
import { makePurgeReport } from './purge-report.ts';
import { InterruptedRun } from './retry.ts';
import { nameWriters } from './stages/late-writers.ts';
import { freshAsApproved } from './stages/preflight.ts';
import { findResidue } from './stages/verify.ts';
import { StaleFence, StopAsked } from './stop.ts';
import { nameStrangers } from './strangers.ts';

/** Waits between tries of an interrupted purge: 2 s, 4 s, … at most five minutes. */
const RETRY_FIRST_MS = 2_000;
const RETRY_MAX_MS = 300_000;

/** Errors of our own that say no more than that a server is away for now. */
const PASSING: ReadonlySet<string> = new Set([
  'REDIS_UNREACHABLE',
  'DATABASE_UNREACHABLE',
  // Somebody frees the disk, or mounts it again; meanwhile nothing is deleted.
  'ARCHIVE_FAILED',
  'ARCHIVE_PLACE',
]);

const REFUSALS: ReadonlySet<string> = new Set([
  'IDENTITY_MISMATCH',
  'TENANT_KEPT',
  'TENANT_HELD',
  'TENANT_REACTIVATED',
  'DRIFT',
  'HAZARD_BLOCKS',
  'ARCHIVE_SPACE',
]);

/** A row of somebody else undid the transaction: the error is to say which. */
const STRANGERS: ReadonlySet<string> = new Set(['FOREIGN_REFERENCE', 'CASCADE_GUARD']);

type Stopped = Pick<Run, 'parts' | 'control' | 'purge' | 'fence'>;

/** The one place where an error of a run becomes a status in the ledger and an outcome. */
export async function settle(run: Stopped, meter: ProgressMeter, error: unknown): Promise<Outcome> {
  if (error instanceof StaleFence) return { kind: 'superseded', reason: error.message };
  if (error instanceof StopAsked || error instanceof ReadGivenUp) {
    return await settleStop(run, meter, error.message);
  }
  if (isPassing(error)) {
    return await settleInterruption(run, meter, error);
  }
  const explained = explainFault(run.purge, error, placeOf(error));
  const failure = (await drifted(run, error)) ?? (await withStrangers(run, explained));
  await run.parts.failpoint('before-settle');
  if (failure.code === 'RESIDUE') return await settleResidue(run, meter, failure);
  const outcome = REFUSALS.has(failure.code) ? 'refused' : 'failed';
  const written = await run.parts.purges.write(
    run.fence,
    outcome,
    { error: failure.toReport(), rowsDeleted: meter.rowsDeleted, ended: true },
    { kind: outcome, details: { code: failure.code } },
  );
  run.parts.log.error(
    { purgeId: run.purge.id, code: failure.code, err: withoutRows(error) },
    failure.message,
  );
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
  const residue = await findResidue(run as Run);
  const error = (await nameWriters(run, failure, residue)).toReport();
  const written = await parts.purges.write(
    fence,
    'incomplete',
    { error, residue, rowsDeleted: meter.rowsDeleted, ended: true },
    { kind: 'incomplete', details: { rows: meter.rowsDeleted, residue } },
  );
  if (written === null) return await settleStop(run, meter, 'a stop came with the residue');
  return { kind: 'incomplete', report: await makePurgeReport(parts, written, residue), error };
}

/** With jitter: what interrupted one purge interrupted all, and they need not all come back at once. */
const retryAfter = (interruptions: number): number =>
  Math.round(
    Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(interruptions - 1, 10)) *
      (0.75 + Math.random() / 4),
  );

/** The driver's `detail` and `where` may quote rows; they stay out of the log. */
function withoutRows(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof PurgeError) return error;
  const { sqlState, constraint, table } = readFault(error);
  return { message: error.message, stack: error.stack, sqlState, constraint, table };
}

function isPassing(error: unknown): boolean {
  if (error instanceof PurgeError) return PASSING.has(error.code);
  return error instanceof InterruptedRun || readFault(error).faultClass === 'back-off';
}

/** A command may come between the look and the write; so often the look is repeated. */
const LOOKS_MAX = 5;

/** Asked becomes done: `pausing` → `paused`, `cancelling` → `cancelled`, else given back. */
async function settleStop(run: Stopped, meter: ProgressMeter, reason: string): Promise<Outcome> {
  await run.parts.failpoint('before-settle');
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

function reportOfInterruption(
  purge: PurgeRecord,
  error: unknown,
  cause: DatabaseFault,
): ErrorReport {
  // It says by itself what is wrong and what to do.
  if (error instanceof PurgeError && error.code.startsWith('ARCHIVE_')) return error.toReport();
  const remedy = remedyOfInterruption(cause);
  const place = placeOf(error);
  const at = place === null ? '' : ` at ${place}`;
  return new PurgeError('INTERRUPTED', `Purge ${purge.id} was interrupted${at}: ${cause.message}`, {
    details: { sqlState: cause.sqlState, ...(place === null ? {} : { table: place }) },
    ...(remedy === null ? {} : { remedy }),
  }).toReport();
}

async function settleInterruption(
  run: Stopped,
  meter: ProgressMeter,
  error: unknown,
): Promise<Outcome> {
  const cause = error instanceof InterruptedRun ? error.fault : readFault(error);
  const report = reportOfInterruption(run.purge, error, cause);
  const interruptions = ((await hasProgressed(run, meter)) ? 0 : run.purge.interruptions) + 1;
  const retryInMs = retryAfter(interruptions);
  await run.parts.failpoint('before-settle');
  // The ledger itself may be what cannot be reached: then the purge stays `running` there, and the
  // job's next try takes it over.
  try {
    const written = await run.parts.purges.write(
      run.fence,
      'interrupted',
      { error: report, interruptions, rowsDeleted: meter.rowsDeleted },
      { kind: 'interrupted', details: { message: cause.message, retryInMs } },
    );
    if (written === null && (await isAskedToStop(run))) {
      return await settleStop(run, meter, 'a stop came with the fault');
    }
  } catch (ledgerError) {
    run.parts.log.warn({ purgeId: run.purge.id, err: ledgerError }, 'the ledger cannot be reached');
  }
  return { kind: 'interrupted', error: report, retryInMs };
}

/** Its holder is here: nobody has to wait until it is taken to be dead. */
async function isAskedToStop({ parts, purge, fence }: Stopped): Promise<boolean> {
  const now = await parts.purges.find(purge.id);
  return now?.fence === fence.epoch && (now.status === 'pausing' || now.status === 'cancelling');
}

/**
 * Whether a batch was committed since the purge was last interrupted, by whatever holder: then it waits
 * no longer for its next try than at its first interruption. Where the ledger cannot be asked, what
 * this holder did is known.
 */
async function hasProgressed({ parts, purge }: Stopped, meter: ProgressMeter): Promise<boolean> {
  if (purge.interruptions === 0 || meter.rowsDeleted > purge.rowsDeleted) return true;
  return parts.purges.hasProgressedSince(purge.id, 'interrupted').catch(() => false);
}

/**
 * A table, a column or a type that is not what it was: the schema changed in mid-run, and says how better
 * than the server does.
 * @returns null where the error has another cause, or that cannot be found out
 */
async function drifted({ parts, purge }: Stopped, error: unknown): Promise<PurgeError | null> {
  const { sqlState } = readFault(error);
  if (error instanceof PurgeError || sqlState === null || !BY_SCHEMA.test(sqlState)) return null;
  try {
    const campaign = await parts.campaigns.get(purge.campaignId);
    await freshAsApproved(parts, purge, campaign);
    return null;
  } catch (drift) {
    return drift instanceof PurgeError && drift.code === 'DRIFT' ? drift : null;
  }
}

/** Undefined or other tables, columns, operators (but no privilege), ids of another type; a cache without them. */
const BY_SCHEMA = /^(42(?!501)|3F|22P02|XX000)/;

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
