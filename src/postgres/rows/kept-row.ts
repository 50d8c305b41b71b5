import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId } from '../../domain/ids.ts';
import { readFault } from '../sqlstate.ts';

/**
 * TP007, by which the database says that a trigger has kept a row it was to delete, as a PurgeError
 * ROWS_KEPT with the row's key; any other error unchanged.
 */
export function nameKeptRow(purgeId: PurgeId, error: unknown): unknown {
  if (readFault(error).sqlState !== 'TP007') return error;
  const { table, detail } = error as { readonly table?: string; readonly detail?: string };
  return new PurgeError(
    'ROWS_KEPT',
    `Purge ${purgeId}: a row of ${table} stays although it was deleted: ${detail}; the batch was rolled back.`,
    {
      details: { table, row: detail },
      remedy: `A BEFORE DELETE trigger of ${table} keeps this row: see what it wants, settle that or disable the trigger, then enqueue again.`,
      cause: error,
    },
  );
}
