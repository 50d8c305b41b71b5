import type { QuiesceRule } from '../../domain/quiesce.ts';
import type { CatalogueTable } from '../catalogue.ts';
import type { PlanRules } from '../rules.ts';
import { columnOf } from '../schema-map.ts';
import { checkColumn, type Problem } from './rule-names.ts';

/** How a tenant is marked, and the column that forbids its purge; null where none is configured. */
export interface SettledQuiesce {
  readonly quiesce: QuiesceRule | null;
  readonly hold: string | null;
}

/** Finds the columns that `quiesce` and `hold` name in the tenant table. Pure. */
export function settleQuiesce(
  table: CatalogueTable,
  key: string,
  rules: PlanRules,
  problems: Problem[],
): SettledQuiesce {
  const quiesce = rules.quiesce ?? null;
  const hold = rules.hold ?? null;
  if (quiesce?.kind === 'column') {
    checkColumn(table, 'quiesce.column', quiesce.column, problems);
    if (quiesce.column === key) {
      problems.push({
        code: 'CONFIG_INVALID',
        message: `quiesce.column: ${key} is the tenant's key: name a column that says what state it is in.`,
      });
    }
  }
  if (hold !== null) {
    checkColumn(table, 'hold.column', hold, problems);
    const type = columnOf(table, hold)?.type;
    if (type !== undefined && type !== 'boolean') {
      problems.push({
        code: 'CONFIG_INVALID',
        message: `hold.column: ${hold} is of type ${type}: name a boolean column.`,
      });
    }
  }
  return { quiesce, hold };
}

/** What of it changes what a purge does, for the fingerprint. Pure. */
export function quiesceFacts(table: string, { quiesce, hold }: SettledQuiesce): string[] {
  return [
    ...(quiesce === null ? [] : [`${table}: marked first by ${describe(quiesce)}`]),
    ...(hold === null ? [] : [`${table}: not purged where ${hold} is true`]),
  ];
}

const describe = (rule: QuiesceRule): string =>
  rule.kind === 'column'
    ? `${rule.column} = ${rule.value}`
    : `SQL: ${rule.sql}; undone by: ${rule.undo}`;
