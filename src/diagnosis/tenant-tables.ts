import type { DiagnosisSources, TenantRows } from '../domain/diagnosis.ts';
import type { TableName } from '../domain/ids.ts';
import { deleteSteps } from '../domain/plan.ts';
import { checkColumn } from '../planner/rules/rule-names.ts';
import { columnOf } from '../planner/schema-map.ts';
import * as guess from './guesses.ts';
import type { DiagnosisSettings } from './settings.ts';
import { listed, type Settlement } from './settlement.ts';

const UNSEEN_SHOWN_MAX = 10;

export function owner(settlement: Settlement): DiagnosisSources['owner'] {
  const choice = settlement.settings.owner;
  if (choice === false) {
    settlement.note('owner', null, true);
    return null;
  }
  if (choice?.includes('.')) {
    const rows = settlement.tenantRows(choice, 'diagnosis.owner', undefined);
    settlement.note('owner', choice, true);
    return rows === null
      ? null
      : { kind: 'table', table: rows.table, tenantColumn: rows.tenantColumn };
  }
  if (choice !== null)
    checkColumn(settlement.tenant, 'diagnosis.owner', choice, settlement.problems);
  const column = choice ?? guess.ownerColumn(settlement.tenant.columns);
  settlement.note('owner', column, choice !== null);
  return column === null ? null : { kind: 'column', column };
}

export function agents(settlement: Settlement): TenantRows | null {
  const choice = settlement.settings.agentsTable;
  const name = choice === null ? guess.agentsTable(settlement.tenantTables()) : choice;
  settlement.note('agentsTable', name === false ? null : name, choice !== null);
  if (name === false || name === null) return null;
  const rows = settlement.tenantRows(name, 'diagnosis.agentsTable', undefined);
  return rows === null ? null : { table: rows.table, tenantColumn: rows.tenantColumn };
}

export function activity(settlement: Settlement): DiagnosisSources['activity'] {
  const { activity } = settlement.settings;
  const found =
    activity === null ? guessedActivity(settlement) : configuredActivity(settlement, activity);
  if (activity === null)
    warnOfUnseenTables(
      settlement,
      found.map(({ table }) => table),
    );
  settlement.note(
    'activity',
    listed(found.map(({ table, column }) => `${table}.${column}`)),
    activity !== null,
  );
  return found;
}

/** A tenant that is active there alone would be taken for inactive. */
function warnOfUnseenTables(settlement: Settlement, seen: readonly TableName[]): void {
  const unseen = deleteSteps(settlement.plan)
    .map(({ table }) => table)
    .filter((table) => table !== settlement.tenant.name && !seen.includes(table))
    .sort();
  if (unseen.length === 0) return;
  const more = unseen.length - UNSEEN_SHOWN_MAX;
  settlement.warn(
    `Activity is not looked for in ${unseen.slice(0, UNSEEN_SHOWN_MAX).join(', ')}` +
      `${more > 0 ? ` and ${more} more` : ''}: no tenant column or no date of their own. ` +
      'Name in diagnosis.activity what shows that a tenant is in use.',
  );
}

function configuredActivity(
  settlement: Settlement,
  activity: NonNullable<DiagnosisSettings['activity']>,
): (TenantRows & { column: string })[] {
  return activity.flatMap(({ table, column, tenantColumn }) => {
    const rows = settlement.tenantRows(table, 'diagnosis.activity', tenantColumn);
    if (rows === null) return [];
    checkColumn(rows.found, 'diagnosis.activity', column, settlement.problems);
    const known = columnOf(rows.found, column);
    if (known !== undefined && !guess.isMoment(known)) {
      settlement.misfit('activity', known, 'a date or time');
    }
    if (!settlement.isReadable(rows.found)) {
      settlement.missesActivity = true;
      return [];
    }
    return [{ table: rows.table, tenantColumn: rows.tenantColumn, column }];
  });
}

function guessedActivity(settlement: Settlement): (TenantRows & { column: string })[] {
  return settlement.tenantTables().flatMap((table) => {
    const column = guess.activityColumn(table.columns);
    const tenantColumn = settlement.tenantColumns.get(table.name);
    if (column === null || tenantColumn === undefined) return [];
    if (!settlement.isReadable(table)) {
      settlement.missesActivity = true;
      return [];
    }
    return [{ table: table.name, tenantColumn, column }];
  });
}

export function usage(settlement: Settlement): DiagnosisSources['usage'] {
  const { usage } = settlement.settings;
  settlement.note('usage', usage?.table ?? null, usage !== null);
  if (usage === null) return null;
  const setting = 'diagnosis.usage';
  const rows = settlement.tenantRows(usage.table, setting, usage.tenantColumn);
  if (rows === null) return null;
  for (const name of [usage.requestsColumn, usage.atColumn]) {
    if (name !== undefined) checkColumn(rows.found, setting, name, settlement.problems);
  }
  return {
    table: rows.table,
    tenantColumn: rows.tenantColumn,
    requestsColumn: usage.requestsColumn ?? null,
    atColumn: usage.atColumn ?? null,
  };
}
