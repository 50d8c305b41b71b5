import type { PurgeRecord } from '../../src/domain/records.ts';
import { purgeIdOf } from '../../src/queue/contracts.ts';
import type { BoardParts } from './parts.ts';

export { purgeIdOf } from '../../src/queue/contracts.ts';

/** The purge that a job is for, by the job's id alone: a job's data can be edited. */
export async function purgeOfJob(parts: BoardParts, jobId: string): Promise<PurgeRecord | null> {
  const purgeId = purgeIdOf(jobId);
  return purgeId === null ? null : parts.purges.find(purgeId);
}
