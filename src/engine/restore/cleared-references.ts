import type { RestoreRules } from '../../domain/restore.ts';
import type { Target } from '../../postgres/restore/target.ts';
import type { TableRestore } from './restore-plan.ts';

/**
 * Columns of a key that `--settle PARENT_GONE=null` clears: those that may be NULL; under MATCH FULL all
 * of them or none. Empty without that rule.
 * @param name of the foreign key
 */
export function clearedColumns(
  { rules, target }: { readonly rules: RestoreRules; readonly target: Target },
  table: TableRestore | undefined,
  name: string | null,
): readonly string[] {
  if (rules.settle.PARENT_GONE !== 'null') return [];
  const key = target.keys.find((each) => each.name === name);
  if (table === undefined || key === undefined) return [];
  const free = key.columns.filter((column) => {
    const found = table.target.columns.find((each) => each.name === column);
    return found?.notNull === false && !table.target.primaryKey.includes(column);
  });
  return key.matchFull && free.length < key.columns.length ? [] : free;
}

/** Foreign keys of which that rule clears something, by name. */
export const clearedKeys = ({
  rules,
  tables,
  target,
}: {
  readonly rules: RestoreRules;
  readonly tables: readonly TableRestore[];
  readonly target: Target;
}): string[] =>
  target.keys
    .filter(({ name, child }) => {
      const table = tables.find((each) => each.table === child);
      return clearedColumns({ rules, target }, table, name).length > 0;
    })
    .map(({ name }) => name);
