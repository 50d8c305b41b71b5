import type { TenantRows } from '../domain/diagnosis.ts';
import { PurgeError } from '../domain/errors.ts';
import type { TableName } from '../domain/ids.ts';
import { deleteSteps, type Plan } from '../domain/plan.ts';
import type { Catalogue, CatalogueColumn, CatalogueTable } from '../planner/catalogue.ts';
import { checkColumn, findTable, type Problem } from '../planner/rules/rule-names.ts';
import { mapSchema, type SchemaMap } from '../planner/schema-map.ts';
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
      message: `diagnosis.${setting}: ${name} is of type ${type}, not ${wanted}.`,
    });
  }

  /** A table that the configuration names, with its tenant column. */
  tenantRows(
    name: string,
    setting: string,
    tenantColumn: string | undefined,
  ): (TenantRows & { readonly found: CatalogueTable }) | null {
    const found = findTable(this.map, name, setting, this.problems);
    if (found === undefined) return null;
    const column = tenantColumn ?? this.tenantColumns.get(found.name);
    if (column === undefined) {
      this.problems.push({
        code: 'CONFIG_INVALID',
        message: `${setting}: nothing says which column of ${found.name} holds the tenant; name it in tenant.columns${setting.endsWith('activity') || setting.endsWith('usage') ? ', or as "tenantColumn"' : ''}.`,
      });
      return null;
    }
    checkColumn(found, setting, column, this.problems);
    return { table: found.name, tenantColumn: column, found };
  }

  tenantTables(): CatalogueTable[] {
    return this.map.tables.filter(
      ({ name }) => name !== this.tenant.name && this.tenantColumns.has(name),
    );
  }

  isReadable(table: CatalogueTable): boolean {
    if (table.missingPrivileges.includes('SELECT') || table.missingPrivileges.includes('USAGE')) {
      this.warn(`${table.name} cannot be read: the role lacks SELECT.`);
      return false;
    }
    this.warnOfHiddenRows(table);
    if (table.rowSecurityApplies) this.missesActivity = true;
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
