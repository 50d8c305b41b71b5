import { PurgeError } from '../domain/errors.ts';
import type { Run } from './parts.ts';

/** Why rows are left of a step after as many passes as there may be. */
export function rowsRemain(run: Run, table: string, progressed: boolean): PurgeError {
  const passes = run.parts.limits.maxPasses;
  return progressed
    ? new PurgeError(
        'RESIDUE',
        `Purge ${run.purge.id}: rows of ${table} kept arriving for ${passes} passes.`,
        { details: { table, passes } },
      )
    : new PurgeError(
        'ROWS_KEPT',
        `Purge ${run.purge.id}: rows of ${table} stay although they were deleted.`,
        { details: { table, passes } },
      );
}
