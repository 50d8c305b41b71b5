import { PurgeError } from '../../domain/errors.ts';
import type { UnprovenColumn } from './proof-phase.ts';
import type { RestoreRun } from './restore-run.ts';
import type { Mismatch } from './verify-phase.ts';

export const describeMismatches = (mismatches: readonly Mismatch[]): string =>
  mismatches
    .map(
      ({ table, archived, found }) =>
        `${table} (${archived.rows} rows archived, ${found.rows} found${archived.rows === found.rows ? ' with other values' : ''})`,
    )
    .join(', ');

export const describeUnproven = (unproven: readonly UnprovenColumn[]): string =>
  unproven
    .map(
      ({ table, column, rows }) =>
        `${table}.${column} (${rows} ${rows === 1 ? 'row' : 'rows'} without the value from before the purge)`,
    )
    .join(', ');

/** Ends the restore for now. @param what does not agree, in words @param facts the same for programs */
export async function failed(
  run: RestoreRun,
  { movesPurge }: { readonly movesPurge: boolean },
  what: string,
  facts: Readonly<Record<string, unknown>>,
): Promise<PurgeError> {
  const error = new PurgeError(
    'RESTORE_MISMATCH',
    `Purge ${run.hold.purgeId}: what is in the database is not what was archived: ${what}.`,
    { details: facts },
  );
  await run.store.end(run.hold, 'failed', {
    error: error.toReport(),
    details: { code: error.code, ...facts },
    movesPurge,
  });
  return error;
}
