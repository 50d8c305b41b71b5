import type { TableName } from '../../domain/ids.ts';
import type { CatalogueTable } from '../catalogue.ts';
import type { OwnerRule, PlanRules, TableRule } from '../rules.ts';
import { columnOf, type SchemaMap, sameColumns, sortedBy } from '../schema-map.ts';
import { checkColumn, findTable, type Problem } from './rule-names.ts';
import type { OwnerEntry, SettledRules, Staying } from './settled-rules.ts';

type SettledTables = Pick<SettledRules, 'kept' | 'staying' | 'asked' | 'owners' | 'conditions'>;

/** The rules about tables; whatever is wrong with them goes to `problems`. Pure but for that. */
export function settleTableRules(
  map: SchemaMap,
  rules: PlanRules,
  tenant: TableName,
  problems: Problem[],
): SettledTables {
  const kept = new Set<TableName>();
  const staying = new Map<TableName, Staying>();
  const asked = new Set<TableName>();
  const owners = new Map<TableName, readonly OwnerEntry[]>();
  const conditions = new Map<TableName, string>();
  for (const [text, rule] of sortedBy(Object.entries(rules.tables), ([name]) => name)) {
    const table = findTable(map, text, 'tables', problems);
    if (table === undefined) continue;
    const wrong = contradictions(table, rule, tenant);
    problems.push(
      ...wrong.map((message) => ({
        code: 'CONFIG_INVALID' as const,
        message: `tables: ${message}`,
      })),
    );
    if (rule.ownedBy !== undefined) {
      const setting = `tables["${text}"].ownedBy`;
      owners.set(
        table.name,
        settleOwners(map, table, { setting, entries: rule.ownedBy }, problems),
      );
    }
    if (rule.where !== undefined) conditions.set(table.name, rule.where);
    for (const column of Object.keys(rule.set ?? {})) {
      checkColumn(table, `tables["${text}"].set`, column, problems);
    }
    switch (rule.onPurge) {
      case 'keep':
        kept.add(table.name);
        break;
      case 'set-null':
        staying.set(table.name, { onPurge: 'set-null' });
        break;
      case 'update':
        staying.set(table.name, { onPurge: 'update', set: rule.set ?? {} });
        break;
      case 'delete':
        asked.add(table.name);
        break;
      case undefined:
        break;
      default:
        rule.onPurge satisfies never;
    }
  }
  return { kept, staying, asked, owners, conditions };
}

function contradictions(table: CatalogueTable, rule: TableRule, tenant: TableName): string[] {
  const { name } = table;
  const found: string[] = [];
  const saysOwner = rule.ownedBy !== undefined || rule.where !== undefined;
  if (name === tenant && (saysOwner || (rule.onPurge !== undefined && rule.onPurge !== 'delete'))) {
    found.push(`${name} is the tenant table, its row is what a purge deletes: take its rule away.`);
  }
  if (saysOwner && rule.onPurge === 'keep') {
    const what = rule.ownedBy === undefined ? '"where"' : '"ownedBy"';
    found.push(`${name} has both ${what} and "onPurge": "keep": take one away.`);
  }
  if (rule.ownedBy !== undefined && rule.where !== undefined) {
    found.push(`${name} has both "ownedBy" and "where": take one away.`);
  }
  if (rule.onPurge === 'update' && Object.keys(rule.set ?? {}).length === 0) {
    found.push(`${name} is to be updated: name the new values in "set".`);
  }
  if (rule.set !== undefined && rule.onPurge !== 'update') {
    found.push(`${name} has "set", which only "onPurge": "update" reads.`);
  }
  if (rule.where !== undefined && !rule.where.includes('{tenantId}')) {
    found.push(
      `"where" of ${name} must contain {tenantId}: otherwise every tenant's purge would take the same rows.`,
    );
  }
  for (const [column, value] of Object.entries(rule.set ?? {})) {
    const known = columnOf(table, column);
    if (known === undefined) continue;
    if (known.generated === true)
      found.push(`${name}.${column} is generated: no statement can set it.`);
    if (value === null && known.notNull)
      found.push(`${name}.${column} is NOT NULL: "set" cannot clear it.`);
  }
  return found;
}

/** Columns of one composite key go together; any others are owners one after the other. */
function settleOwners(
  map: SchemaMap,
  table: CatalogueTable,
  given: { readonly setting: string; readonly entries: readonly (string | OwnerRule)[] },
  problems: Problem[],
): OwnerEntry[] {
  const names = given.entries.map((entry) => (typeof entry === 'string' ? entry : entry.column));
  for (const name of names) checkColumn(table, given.setting, name, problems);
  const isOneKey =
    given.entries.length > 1 &&
    given.entries.every((entry) => typeof entry === 'string') &&
    (map.keysFrom.get(table.name) ?? []).some(
      (key) => key.parent !== table.name && sameColumns(key.columns, names),
    );
  if (isOneKey) return [{ columns: names, when: [], to: null }];
  return given.entries.map((entry) => {
    if (typeof entry === 'string') return { columns: [entry], when: [], to: null };
    for (const column of Object.keys(entry.when)) {
      checkColumn(table, `${given.setting}.when`, column, problems);
    }
    const to =
      entry.to === undefined ? null : findTable(map, entry.to, `${given.setting}.to`, problems);
    if (to !== null && to !== undefined && to.primaryKey?.length !== 1) {
      problems.push({
        code: 'CONFIG_INVALID',
        message: `${given.setting}.to: ${to.name} has no primary key of one column that ${entry.column} could hold.`,
      });
    }
    return {
      columns: [entry.column],
      when: Object.entries(entry.when).map(([column, value]) => ({ column, value })),
      to: to?.name ?? null,
    };
  });
}
