import { PurgeError } from '../../domain/errors.ts';
import type { Writer } from '../../domain/quiesce.ts';
import type { Residue } from '../../domain/report.ts';
import type { Run } from '../parts.ts';

/**
 * The same error with what was left, table by table, and who writes there now. Best effort: should
 * the look fail, it says only what was left.
 */
export async function nameWriters(
  { parts, purge }: Pick<Run, 'parts' | 'purge'>,
  error: PurgeError,
  residue: readonly Residue[],
): Promise<PurgeError> {
  const tables = residue.map(({ table }) => table).filter((table) => table !== 'redis');
  if (tables.length === 0) return error;
  let writers: readonly Writer[];
  try {
    writers = await parts.quiesce.writers(tables);
  } catch (failure) {
    parts.log.warn({ purgeId: purge.id, err: failure }, 'who writes could not be found out');
    return error;
  }
  const left = residue.map(
    ({ table, count }) => `  ${table}: ${count} ${rowsOrKeys(table, count)}`,
  );
  const who =
    writers.length === 0
      ? ['  nobody who is connected now, as far as can be seen']
      : writers.map(describeWriter);
  return new PurgeError(
    error.code,
    [error.message, 'Left:', ...left, 'Who writes there:', ...who].join('\n'),
    { details: { ...error.details, residue, writers }, cause: error.cause, remedy: error.remedy },
  );
}

const rowsOrKeys = (table: string, count: number): string =>
  `${table === 'redis' ? 'key' : 'row'}${count === 1 ? '' : 's'}`;

function describeWriter({ role, application, client, sessions, evidence, tables }: Writer): string {
  const name =
    application === '' ? 'a session without application_name' : `application ${application}`;
  const from = client === null ? '' : ` from ${client}`;
  const many = sessions === 1 ? '' : ` (${sessions} sessions)`;
  const what =
    evidence === 'open' ? 'an open transaction has written to' : 'its last statement names';
  return `  ${name} as role ${role}${from}${many}: ${what} ${tables.join(', ')}`;
}
