import type { TenantRows } from '../domain/diagnosis.ts';
import { PurgeError } from '../domain/errors.ts';
import type { TableName } from '../domain/ids.ts';
import { deleteSteps, type Plan } from '../domain/plan.ts';
import type { Catalogue, CatalogueColumn, CatalogueTable } from '../planner/catalogue.ts';
import { checkColumn, findTable, type Problem } from '../planner/rules/rule-names.ts';
import { columnOf, mapSchema, type SchemaMap } from '../planner/schema-map.ts';
import { reachesOf } from './reaches.ts';
import type { DiagnosisSettings } from './settings.ts';

/** How a source came to be: for the report, so that nobody takes a guess for a setting. */
export interface SourceNote {
  readonly source: string;
  /** What is read; null: it is not looked at. */
  readonly reads: string | null;
  readonly by: 'configuration' | 'detected' | 'none';
}

/** One settlement of sources under way: what it is made from, and what gathers meanwhile. */
export class Settlement {
  readonly map: SchemaMap;
  readonly plan: Plan;
  readonly settings: DiagnosisSettings;
  readonly tenant: CatalogueTable;
  /** The tenant column of each table that has one. */
  readonly tenantColumns: ReadonlyMap<TableName, string>;
  /** Of each table whose rows can be told by tenant; the tenant table too. */
  readonly reaches: ReadonlyMap<TableName, readonly TenantRows[]>;
  readonly problems: Problem[] = [];
  readonly origins: SourceNote[] = [];
  readonly warnings: string[] = [];
  missesActivity = false;

  /** @throws PurgeError TABLE_MISSING */
  constructor(catalogue: Catalogue, plan: Plan, settings: DiagnosisSettings) {
    this.map = mapSchema(catalogue);
    this.plan = plan;
    this.settings = settings;
    const tenant = this.map.byName.get(plan.tenant.table);
    if (tenant === undefined) {
      throw new PurgeError('TABLE_MISSING', `There is no table ${plan.tenant.table}.`);
    }
    this.tenant = tenant;
    this.tenantColumns = tenantColumnsOf(plan);
    this.reaches = reachesOf(this.map, plan);
    this.#refuseSharedKeys();
  }

  /** Two tenants of one id would be one in the report, and one in the campaign made from it. */
  #refuseSharedKeys(): void {
    for (const { type, table, foreignKey, message, remedy } of this.plan.hazards) {
      if (type !== 'UNSUPPORTED_KEY' || table !== this.tenant.name || foreignKey !== undefined) {
        continue;
      }
      this.problems.push({ code: 'CONFIG_INVALID', message: `${message} ${remedy}` });
    }
  }

  /** @throws PurgeError with every problem found */
  throwIfWrong(): void {
    const [first] = this.problems;
    if (first === undefined) return;
    const problems = this.problems.map(({ message }) => message);
    throw new PurgeError(first.code, problems.join('\n'), {
      details: { problems },
      remedy: 'Correct section diagnosis of the configuration; nothing was read yet.',
    });
  }

  note(source: string, reads: string | null, isConfigured: boolean): void {
    const by = isConfigured ? 'configuration' : reads === null ? 'none' : 'detected';
    this.origins.push({ source, reads, by });
  }

  warn(warning: string): void {
    if (!this.warnings.includes(warning)) this.warnings.push(warning);
  }

  misfit(setting: string, { name, type }: CatalogueColumn, wanted: string): void {
    this.problems.push({
      code: 'CONFIG_INVALID',
      message: `${setting}: ${name} is of type ${type}, not ${wanted}.`,
    });
  }

  /** A table that the configuration names, and how its rows reach the tenant: at least one way. */
  tenantRows(
    name: string,
    setting: string,
    tenantColumn: string | undefined,
  ): { readonly table: CatalogueTable; readonly ways: readonly TenantRows[] } | null {
    const found = findTable(this.map, name, setting, this.problems);
    if (found === undefined) return null;
    if (tenantColumn !== undefined) {
      checkColumn(found, setting, tenantColumn, this.problems);
      return { table: found, ways: [this.ownRows(found, tenantColumn)] };
    }
    const ways = this.reaches.get(found.name) ?? [];
    if (ways.length === 0) {
      this.problems.push({
        code: 'CONFIG_INVALID',
        message: `${setting}: nothing says which column of ${found.name} holds the tenant; name it in tenant.columns${setting.endsWith('activity') || setting.endsWith('usage') ? ', or as "tenantColumn"' : ''}.`,
      });
      return null;
    }
    return { table: found, ways };
  }

  ownRows(table: CatalogueTable, tenantColumn: string): TenantRows {
    const tenantColumnType = columnOf(table, tenantColumn)?.type ?? '';
    return { table: table.name, over: [], tenantColumn, tenantColumnType };
  }

  tenantTables(): CatalogueTable[] {
    return this.map.tables.filter(
      ({ name }) => name !== this.tenant.name && this.tenantColumns.has(name),
    );
  }

  /** Tables whose rows can be told by tenant. */
  reachedTables(): CatalogueTable[] {
    return this.map.tables.filter(
      ({ name }) => name !== this.tenant.name && this.reaches.has(name),
    );
  }

  /** With what it is reached over; warns of what is not. */
  isReadable(table: CatalogueTable, { over }: Pick<TenantRows, 'over'> = { over: [] }): boolean {
    const tables = [table, ...over.map(({ parent }) => this.map.byName.get(parent))];
    const unreadable = tables.flatMap((one) => (one === undefined || mayRead(one) ? [] : [one]));
    for (const { name } of unreadable) {
      this.warn(
        `${name} cannot be read: the role lacks SELECT${name === table.name ? '' : `, and ${table.name} is reached over it`}.`,
      );
    }
    if (unreadable.length > 0) return false;
    for (const one of tables) {
      if (one?.rowSecurityApplies !== true) continue;
      this.warnOfHiddenRows(one);
      this.missesActivity = true;
    }
    return true;
  }

  warnOfHiddenRows(table: CatalogueTable): void {
    if (table.rowSecurityApplies) {
      this.warn(
        `Row security hides rows of ${table.name} from this role: what it says is partial.`,
      );
    }
  }
}

const mayRead = ({ missingPrivileges }: CatalogueTable): boolean =>
  !missingPrivileges.includes('SELECT') && !missingPrivileges.includes('USAGE');

/** Names for the report; null where there are none. */
export const listed = (names: readonly string[]): string | null =>
  names.length === 0 ? null : names.join(', ');

/** Of tables whose rows are told by one column alone, whatever other columns hold. */
function tenantColumnsOf(plan: Plan): Map<TableName, string> {
  const columns = new Map<TableName, string>();
  for (const { table, path } of deleteSteps(plan)) {
    const way = path.ways.find((one) => one.kind === 'column');
    if (way?.kind === 'column' && way.when.length === 0 && table !== plan.tenant.table) {
      columns.set(table, way.column);
    }
  }
  return columns;
}
