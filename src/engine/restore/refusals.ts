import { PurgeError } from '../../domain/errors.ts';
import { canTransition } from '../../domain/purge.ts';
import type { PurgeRecord } from '../../domain/records.ts';
import type { Conflict, RestoreRules } from '../../domain/restore.ts';
import type { TableRestore } from './restore-plan.ts';

/** Whether its archive is there is seen later. @throws PurgeError STATUS_CONFLICT while it may still delete */
export function refuseStatus({ id, status }: PurgeRecord): void {
  if (status === 'restoring' || status === 'restored') return;
  if (canTransition(status, 'restoring')) return;
  throw new PurgeError(
    'STATUS_CONFLICT',
    `Purge ${id} is ${status}: it may still delete what would be restored.`,
    { details: { status }, remedy: `Undo it with \`tenant-purge cancel ${id} --restore\`.` },
  );
}

/** A rule that names no trigger would be kept, and do nothing. @throws PurgeError USAGE */
export function refuseUnknownTriggers(
  rules: RestoreRules | null,
  tables: readonly TableRestore[],
): void {
  const known = new Set(tables.flatMap(({ target }) => target.triggers.map(({ name }) => name)));
  const unknown = Object.keys(rules?.triggers ?? {}).filter((name) => !known.has(name));
  if (unknown.length === 0) return;
  throw new PurgeError(
    'USAGE',
    `--trigger ${unknown.join(', ')}: no archived table has an enabled trigger of that name on INSERT or UPDATE.`,
    {
      details: { unknown, known: [...known] },
      remedy:
        known.size === 0
          ? 'None of them has any: leave --trigger out.'
          : `They have: ${[...known].toSorted().join(', ')}. In a shell, put a name that has quotes into single quotes.`,
    },
  );
}

/** @throws PurgeError RESTORE_CONFLICTS where no rule settles one of them */
export function refuseConflicts(purge: PurgeRecord, conflicts: readonly Conflict[]): void {
  const open = conflicts.filter(({ settledBy }) => settledBy === null);
  if (open.length === 0) return;
  throw new PurgeError(
    'RESTORE_CONFLICTS',
    `Purge ${purge.id}: ${open.length === 1 ? 'one thing stands' : `${open.length} things stand`} in the way of its restore. Nothing was changed.\n${open.map(describeConflict).join('\n')}`,
    { details: { conflicts } },
  );
}

export const describeConflict = ({ kind, message, remedy, rows, count }: Conflict): string =>
  [
    `  ${kind}: ${message}`,
    ...rows.map((row) => `    ${row}`),
    ...(rows.length > 0 && count > rows.length ? [`    … and ${count - rows.length} more`] : []),
    `    → ${remedy}`,
  ].join('\n');
