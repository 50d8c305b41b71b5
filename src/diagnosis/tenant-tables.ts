import type { DiagnosisSources, MomentColumn, TenantRows } from '../domain/diagnosis.ts';
import type { TableName } from '../domain/ids.ts';
import { deleteSteps } from '../domain/plan.ts';
import type { CatalogueColumn, CatalogueTable } from '../planner/catalogue.ts';
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
    const rows = readableRows(settlement, choice, 'diagnosis.owner');
    settlement.note('owner', choice, true);
    return rows === null ? null : { kind: 'table', ...rows };
  }
  if (choice !== null)
    checkColumn(settlement.tenant, 'diagnosis.owner', choice, settlement.problems);
  const column = choice ?? guess.ownerColumn(settlement.tenant.columns);
  settlement.note('owner', column, choice !== null);
  return column === null ? null : { kind: 'column', column };
}

export function agents(settlement: Settlement): TenantRows | null {
  const choice = settlement.settings.agentsTable;
  const name = choice === null ? guess.agentsTable(settlement.reachedTables()) : choice;
  settlement.note('agentsTable', name === false ? null : name, choice !== null);
  if (name === false || name === null) return null;
  return readableRows(settlement, name, 'diagnosis.agentsTable');
}

/** Null, with a warning, where the role may not read it; with a problem where it is not there. */
function readableRows(settlement: Settlement, name: string, setting: string): TenantRows | null {
  const found = settlement.tenantRows(name, setting, undefined);
  const [rows] = found?.ways ?? [];
  if (found === null || rows === undefined) return null;
  return settlement.isReadable(found.table, rows) ? rows : null;
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
  const names = found.map(({ table, column }) => `${table}.${column}`);
  settlement.note('activity', listed([...new Set(names)]), activity !== null);
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
      `${more > 0 ? ` and ${more} more` : ''}: no date of their own, or no keys that lead to the tenant. ` +
      'Name in diagnosis.activity what shows that a tenant is in use.',
  );
}

function configuredActivity(
  settlement: Settlement,
  activity: NonNullable<DiagnosisSettings['activity']>,
): DiagnosisSources['activity'][number][] {
  return activity.flatMap(({ table, column, tenantColumn }) => {
    const found = settlement.tenantRows(table, 'diagnosis.activity', tenantColumn);
    if (found === null) return [];
    checkColumn(found.table, 'diagnosis.activity', column, settlement.problems);
    const known = columnOf(found.table, column);
    if (known !== undefined && !guess.isMoment(known)) {
      settlement.misfit('diagnosis.activity', known, 'a date or time');
    }
    return known === undefined ? [] : readableActivity(settlement, found, [known]);
  });
}

function guessedActivity(settlement: Settlement): DiagnosisSources['activity'][number][] {
  return settlement.map.tables.flatMap((table) => {
    const ways = settlement.reaches.get(table.name) ?? [];
    const names =
      table === settlement.tenant
        ? [guess.lastUseColumn(table.columns)]
        : guess.activityColumns(table.columns);
    const columns = table.columns.filter(({ name }) => names.includes(name));
    return columns.length === 0 ? [] : readableActivity(settlement, { table, ways }, columns);
  });
}

/** Every way of every row; what cannot be read leaves activity unknown. */
function readableActivity(
  settlement: Settlement,
  { table, ways }: { readonly table: CatalogueTable; readonly ways: readonly TenantRows[] },
  columns: readonly CatalogueColumn[],
): DiagnosisSources['activity'][number][] {
  return ways.flatMap((rows) => {
    if (!settlement.isReadable(table, rows)) {
      settlement.missesActivity = true;
      return [];
    }
    return columns.map((column) => ({ ...rows, ...momentOf(column) }));
  });
}

const momentOf = (column: CatalogueColumn): MomentColumn => ({
  column: column.name,
  isZoned: guess.isZoned(column),
});

export function usage(settlement: Settlement): DiagnosisSources['usage'] {
  const { usage } = settlement.settings;
  settlement.note('usage', usage?.table ?? null, usage !== null);
  if (usage === null) return null;
  const setting = 'diagnosis.usage';
  const found = settlement.tenantRows(usage.table, setting, usage.tenantColumn);
  const [rows] = found?.ways ?? [];
  if (found === null || rows === undefined) return null;
  const { requestsColumn = null, atColumn = null } = usage;
  const columnNamed = (name: string | null): CatalogueColumn | undefined => {
    if (name === null) return undefined;
    checkColumn(found.table, setting, name, settlement.problems);
    return columnOf(found.table, name);
  };
  const requests = columnNamed(requestsColumn);
  if (requests !== undefined && !guess.isNumber(requests)) {
    settlement.misfit(`${setting}.requestsColumn`, requests, 'a number');
  }
  const at = columnNamed(atColumn);
  if (at !== undefined && !guess.isMoment(at)) {
    settlement.misfit(`${setting}.atColumn`, at, 'a date or time');
  }
  if (!settlement.isReadable(found.table, rows)) return null;
  return { ...rows, requestsColumn, at: at === undefined ? null : momentOf(at) };
}
