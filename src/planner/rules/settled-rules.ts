import { PurgeError } from '../../domain/errors.ts';
import type { TableName } from '../../domain/ids.ts';
import type { Guard, TenantTable } from '../../domain/plan.ts';
import type { CatalogueForeignKey, CatalogueTable } from '../catalogue.ts';
import type { ForeignKeyRule, PlanRules } from '../rules.ts';
import { columnOf, type SchemaMap } from '../schema-map.ts';
import { checkColumn, findTable, missingColumn, type Problem } from './rule-names.ts';
import { settleKeyRules } from './settled-key-rules.ts';
import { type SettledQuiesce, settleQuiesce } from './settled-quiesce.ts';
import { settleTableRules } from './settled-table-rules.ts';

/** The operator's rules with every name found in the catalogue. */
export interface SettledRules extends SettledQuiesce {
  readonly tenant: TenantTable;
  /** Columns of the tenant table's primary key, where it has several and no other key was named. */
  readonly compositeKey: readonly string[] | null;
  /** Names of tenant columns that have no foreign key. */
  readonly columns: readonly string[];
  readonly core: ReadonlySet<TableName>;
  readonly kept: ReadonlySet<TableName>;
  /** Tables whose rows stay, changed, with what happens to them. */
  readonly staying: ReadonlyMap<TableName, Staying>;
  /** Tables the operator asked to delete in so many words. */
  readonly asked: ReadonlySet<TableName>;
  readonly owners: ReadonlyMap<TableName, readonly OwnerEntry[]>;
  /** SQL of the operator's own that names a table's rows. */
  readonly conditions: ReadonlyMap<TableName, string>;
  /** By the key's name in the catalogue. */
  readonly keyRules: ReadonlyMap<string, ForeignKeyRule>;
  /** References to one-to-one parents that go with their row. */
  readonly follow: readonly CatalogueForeignKey[];
}

export type Staying =
  | { readonly onPurge: 'set-null' }
  | { readonly onPurge: 'update'; readonly set: Readonly<Record<string, string | null>> };

/** Columns that own rows, all together, where the guards hold. */
export interface OwnerEntry {
  readonly columns: readonly string[];
  readonly when: readonly Guard[];
  /** Table whose primary key they hold though no foreign key says so; null: by key, or the tenant. */
  readonly to: TableName | null;
}

const NO_TENANT_REMEDY =
  'Correct tenant.table in the configuration to a table that the connected database has.';

/**
 * Finds every table, column and key that the rules name. Pure.
 * @throws PurgeError TABLE_MISSING, COLUMN_MISSING, CONFIG_INVALID: the code is the first problem's,
 * the message has every problem, one a line
 */
export function settleRules(map: SchemaMap, rules: PlanRules): SettledRules {
  const problems: Problem[] = [];
  const tenantTable = findTable(map, rules.tenant.table, 'tenant.table', problems);
  if (tenantTable === undefined) throw problemsError(problems, NO_TENANT_REMEDY);

  const tenant = settleTenant(tenantTable, rules, problems);
  const core = new Set<TableName>();
  for (const text of rules.core) {
    const table = findTable(map, text, 'levels.core', problems);
    if (table !== undefined) core.add(table.name);
  }
  for (const name of rules.tenant.columns) {
    if (map.tables.some((table) => columnOf(table, name) !== undefined)) continue;
    const names = new Set(
      map.tables.flatMap((table) => table.columns.map((column) => column.name)),
    );
    problems.push(missingColumn('tenant.columns', name, 'no table has one', [...names]));
  }
  const tableRules = settleTableRules(map, rules, tenantTable.name, problems);
  const keyRules = settleKeyRules(
    map,
    rules,
    { ...tableRules, tenant: tenantTable.name },
    problems,
  );
  const quiesce = settleQuiesce(tenantTable, tenant.key, rules, problems);
  if (problems.length > 0) throw problemsError(problems);

  const primaryKey = tenantTable.primaryKey ?? [];
  return {
    tenant,
    compositeKey: rules.tenant.key === null && primaryKey.length > 1 ? primaryKey : null,
    columns: rules.tenant.columns,
    core,
    ...tableRules,
    ...keyRules,
    ...quiesce,
  };
}

function settleTenant(table: CatalogueTable, rules: PlanRules, problems: Problem[]): TenantTable {
  const { key, label, testColumn } = rules.tenant;
  for (const [setting, name] of [
    ['tenant.key', key],
    ['tenant.label', label],
    ['tenant.testColumn', testColumn],
  ] as const) {
    if (name !== null) checkColumn(table, setting, name, problems);
  }
  const keyName = key ?? table.primaryKey?.[0];
  if (keyName === undefined) {
    problems.push({
      code: 'COLUMN_MISSING',
      message: `${table.name} has no primary key: name the column that identifies a tenant as tenant.key.`,
    });
  }
  return {
    table: table.name,
    key: keyName ?? '',
    keyType: (keyName && columnOf(table, keyName)?.type) || '',
    label: label ?? (columnOf(table, 'name') === undefined ? null : 'name'),
    testColumn,
  };
}

function problemsError(problems: readonly Problem[], remedy?: string): PurgeError {
  const [first] = problems;
  return new PurgeError(
    first?.code ?? 'CONFIG_INVALID',
    problems.map((problem) => problem.message).join('\n'),
    {
      details: { problems },
      remedy:
        remedy ??
        (problems.length === 1
          ? 'Correct that in the configuration; nothing was changed.'
          : 'Correct these in the configuration; nothing was changed.'),
    },
  );
}
