import type { DiagnosisSources } from '../domain/diagnosis.ts';
import type { CatalogueColumn } from '../planner/catalogue.ts';
import { checkColumn } from '../planner/rules/rule-names.ts';
import { columnOf } from '../planner/schema-map.ts';
import * as guess from './guesses.ts';
import type { Choice } from './settings.ts';
import { listed, type Settlement } from './settlement.ts';

export function testColumn(settlement: Settlement): string | null {
  const configured = settlement.plan.tenant.testColumn;
  const known = configured === null ? undefined : columnOf(settlement.tenant, configured);
  if (known !== undefined && !guess.isBoolean(known)) {
    settlement.misfit('tenant.testColumn', known, 'boolean');
  }
  const found = configured ?? guess.testColumn(settlement.tenant.columns);
  settlement.note('testColumn', found, configured !== null);
  return found;
}

export function nameColumns(settlement: Settlement): readonly string[] {
  const { nameColumns } = settlement.settings;
  const found = nameColumns ?? guess.nameColumns(settlement.tenant.columns);
  for (const name of nameColumns ?? []) {
    checkColumn(settlement.tenant, 'diagnosis.nameColumns', name, settlement.problems);
  }
  settlement.note('nameColumns', listed(found), nameColumns !== null);
  return found;
}

export function emails(
  settlement: Settlement,
): Pick<DiagnosisSources, 'emailColumns' | 'memberEmails'> {
  const { emailColumns } = settlement.settings;
  const setting = 'diagnosis.emailColumns';
  const own = emailColumns ?? guess.emailColumns(settlement.tenant.columns);
  const members: DiagnosisSources['memberEmails'][number][] = [];
  const plain: string[] = [];
  for (const name of own) {
    const path = /^([^.]+\.[^.]+)\.([^.]+)$/.exec(name);
    if (path === null) {
      checkColumn(settlement.tenant, setting, name, settlement.problems);
      plain.push(name);
      continue;
    }
    const found = settlement.tenantRows(path[1] ?? '', setting, undefined);
    const [rows] = found?.ways ?? [];
    if (found === null || rows === undefined) continue;
    const column = path[2] ?? '';
    checkColumn(found.table, setting, column, settlement.problems);
    if (settlement.isReadable(found.table, rows)) members.push({ ...rows, column });
  }
  settlement.note('emailColumns', listed(own), emailColumns !== null);
  return { emailColumns: plain, memberEmails: members };
}

/** When the tenant signed up. A day without a time tells neither an hour nor a burst. */
export function createdAtColumn(settlement: Settlement): DiagnosisSources['createdAtColumn'] {
  const name = column(settlement, 'createdAtColumn', guess.createdAtColumn, guess.isMoment);
  if (name === null) return null;
  const isDay = columnOf(settlement.tenant, name)?.type === 'date';
  if (isDay) {
    settlement.warn(
      `${settlement.tenant.name}.${name} has days without a time: tenants from one address within an hour, and bursts, are not looked for.`,
    );
  }
  return { name, isDay };
}

/** One column of the tenant table. */
export function column(
  settlement: Settlement,
  setting: 'subdomainColumn' | 'createdAtColumn',
  find: (columns: readonly CatalogueColumn[]) => string | null,
  isFit: (column: CatalogueColumn) => boolean = () => true,
): string | null {
  const choice: Choice = settlement.settings[setting];
  if (typeof choice === 'string') {
    checkColumn(settlement.tenant, `diagnosis.${setting}`, choice, settlement.problems);
    const column = columnOf(settlement.tenant, choice);
    if (column !== undefined && !isFit(column))
      settlement.misfit(`diagnosis.${setting}`, column, 'a date or time');
  }
  const found =
    choice === null ? find(settlement.tenant.columns) : choice === false ? null : choice;
  settlement.note(setting, found, choice !== null);
  return found;
}

export function addressColumn(settlement: Settlement): DiagnosisSources['addressColumn'] {
  const choice = settlement.settings.addressColumn;
  if (typeof choice === 'string') {
    checkColumn(settlement.tenant, 'diagnosis.addressColumn', choice, settlement.problems);
  }
  const name =
    choice === null
      ? guess.addressColumn(settlement.tenant.columns)
      : choice === false
        ? null
        : choice;
  settlement.note('addressColumn', name, choice !== null);
  const column = name === null ? undefined : columnOf(settlement.tenant, name);
  return column === undefined
    ? null
    : { name: column.name, isNetwork: ['inet', 'cidr'].includes(column.type) };
}
