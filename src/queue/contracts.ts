import { z } from 'zod';
import { asPurgeId, isUuid, type PurgeId } from '../domain/ids.ts';

/**
 * A job carries only the purge's id. Whatever else it needs stands in the ledger: a job's data can
 * be edited while it runs, so the tenant is never taken from there, nor the purge where the job's own
 * id names it.
 */
export const jobDataSchema = z.strictObject({
  v: z.literal(1),
  purgeId: z.string().refine(isUuid, 'must be a uuid').transform(asPurgeId),
});
export type JobData = { readonly v: 1; readonly purgeId: PurgeId };

/** Id of a purge's n-th job. An id that ever existed is silently ignored by the queue. */
export const jobIdOf = (purgeId: PurgeId, jobNumber: number): string => `${purgeId}.${jobNumber}`;

/** The purge of a job, by the job's id; null for an id that this program did not give. */
export function purgeIdOf(jobId: string): PurgeId | null {
  const purgeId = jobId.split('.')[0] ?? '';
  return isUuid(purgeId) ? asPurgeId(purgeId) : null;
}

/** The n of a purge's n-th job; null for an id that this program did not give. */
export function jobNumberOf(jobId: string, purgeId: PurgeId): number | null {
  if (!jobId.startsWith(`${purgeId}.`)) return null;
  const number = Number(jobId.slice(purgeId.length + 1));
  return Number.isSafeInteger(number) ? number : null;
}

/**
 * Delay of a parked job: a year, renewed by the reconciler. The queue keeps delays in a sorted set
 * whose scores end in 2039, so "for ever" is not to be had.
 */
export const PARK_MS = 365 * 24 * 3_600_000;

/** True for a job delayed so far that only a pause explains it. */
export const isParkingDelay = (delayMs: number): boolean => delayMs > PARK_MS / 2;

/** Log lines and ended jobs the queue keeps; the ledger keeps everything. */
export const KEEP_LOGS_MAX = 200;
export const KEEP_JOBS_MAX = 10_000;
