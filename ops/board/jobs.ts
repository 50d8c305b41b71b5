import { asPurgeId, isUuid, type PurgeId } from '../../src/domain/ids.ts';
import type { PurgeRecord } from '../../src/domain/records.ts';
import type { BoardParts } from './parts.ts';

/** The purge that a job is for, by the job's id alone: a job's data can be edited. */
export function purgeIdOf(jobId: string): PurgeId | null {
  const purgeId = jobId.split('.')[0] ?? '';
  return isUuid(purgeId) ? asPurgeId(purgeId) : null;
}

export async function purgeOfJob(parts: BoardParts, jobId: string): Promise<PurgeRecord | null> {
  const purgeId = purgeIdOf(jobId);
  return purgeId === null ? null : parts.purges.find(purgeId);
}
