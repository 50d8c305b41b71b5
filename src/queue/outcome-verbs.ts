import { DelayedError, type Job, UnrecoverableError, WaitingError } from 'bullmq';
import type { Outcome } from '../domain/outcome.ts';
import type { PurgeReport } from '../domain/report.ts';
import { type JobData, PARK_MS } from './contracts.ts';
import { INTERRUPTED_PRIORITY } from './give-way.ts';

/**
 * Turns the outcome of a run into the queue's verbs. The put-back is the last await before the throw:
 * what comes after it might run beside the next holder.
 * @returns what Bull Board shows as the job's return value
 * @throws DelayedError, WaitingError (put back, no attempt used), UnrecoverableError (ended badly)
 */
export async function applyOutcome(
  job: Job<JobData>,
  token: string,
  outcome: Outcome,
): Promise<PurgeReport | string> {
  switch (outcome.kind) {
    case 'completed':
      return outcome.report;
    case 'superseded':
      return outcome.reason;
    case 'incomplete':
    case 'failed':
    case 'refused':
      throw new UnrecoverableError(`${outcome.error.message} ${outcome.error.remedy}`);
    case 'cancelled':
      throw new UnrecoverableError(describeCancel(outcome.report));
    case 'paused':
      return await putOff(job, token, PARK_MS);
    case 'yielded':
      // Back among those with a priority, a job wakes no idle worker; out of the delayed ones it does.
      if (job.priority > 0) return await putOff(job, token, 0);
      await job.moveToWait(token);
      throw new WaitingError();
    case 'interrupted':
      await job.changePriority({ priority: INTERRUPTED_PRIORITY });
      return await putOff(job, token, outcome.retryInMs);
    case 'awaiting-sweep':
    case 'not-now':
      return await putOff(job, token, outcome.lookAgainInMs);
    default:
      return outcome satisfies never;
  }
}

async function putOff(job: Job<JobData>, token: string, delayMs: number): Promise<never> {
  await job.moveToDelayed(Date.now() + delayMs, token);
  throw new DelayedError();
}

function describeCancel(report: PurgeReport): string {
  const remains = report.residue.reduce((sum, { count }) => sum + count, 0);
  return `Cancelled: ${report.rowsDeleted} rows are gone, ${remains} rows remain.`;
}
