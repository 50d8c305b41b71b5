import type { TableName } from '../../domain/ids.ts';
import type { ReferenceCheck, TenantPath } from '../../domain/plan.ts';
import type { CatalogueForeignKey } from '../catalogue.ts';
import { clearableColumns, type FixedColumns } from '../order/clear-columns.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import type { SchemaMap } from '../schema-map.ts';

/** Tables that lose rows, and whose these are. */
export interface Doomed {
  readonly paths: ReadonlyMap<TableName, TenantPath>;
  /** Paths to rows of others that go by a `delete` rule. */
  readonly also: ReadonlyMap<TableName, readonly TenantPath[]>;
  /** One-to-one parents; a row that something else refers to stays, so nothing need be looked for. */
  readonly followed: ReadonlySet<TableName>;
  readonly fixed: FixedColumns;
}

/** The keys by which somebody else may refer to a doomed row, and what is to become of such a row. */
export const findReferences = (
  map: SchemaMap,
  rules: SettledRules,
  doomed: Doomed,
): ReferenceCheck[] =>
  map.foreignKeys
    .filter((key) => isDoomed(doomed, key.parent) && key.enforced !== false)
    .filter((key) => !doomed.followed.has(key.parent) && !isTreeKey(rules, key))
    .map((key) => referenceCheck(map, rules, doomed, key));

const isDoomed = ({ paths, also }: Doomed, table: TableName): boolean =>
  paths.has(table) || also.has(table);

/** The tenant table's keys to itself, unless the configuration makes them mere references. */
export const isTreeKey = (rules: SettledRules, key: CatalogueForeignKey): boolean =>
  key.child === rules.tenant.table &&
  key.parent === rules.tenant.table &&
  rules.keyRules.get(key.name) !== 'set-null';

/** The rows of the child that refer to doomed rows of the parent, whoever owns them. */
export const referringRows = (
  map: SchemaMap,
  key: CatalogueForeignKey,
  parent: TenantPath,
): TenantPath => ({
  table: key.child,
  partitioned: map.byName.get(key.child)?.kind === 'partitioned',
  ways: [
    {
      kind: 'parent',
      via: 'configuration',
      nullable: true,
      columns: key.columns,
      when: [],
      relation: key.parentPartition ?? key.parent,
      referencedColumns: key.referencedColumns,
      parent,
    },
  ],
});

/** What a `set-null` rule can clear: not what other keys or paths need, and not what NOT NULL holds. */
export function ruleColumns(
  map: SchemaMap,
  fixed: FixedColumns,
  key: CatalogueForeignKey,
): readonly string[] {
  const clearable = clearableColumns(map, fixed, key) ?? [];
  // Half of it would not do.
  if (key.matchFull === true) return clearable;
  const declared = clearable.filter((column) => key.setColumns?.includes(column) ?? true);
  return declared.length > 0 ? declared : clearable;
}

/** The configuration's rule for a key; a table whose rows stay without their tenant loses its references. */
export function ruleOf(
  map: SchemaMap,
  rules: SettledRules,
  fixed: FixedColumns,
  key: CatalogueForeignKey,
): ReferenceCheck['rule'] {
  const rule = rules.keyRules.get(key.name);
  const isSilent = rule === undefined || rule === 'own';
  const wished =
    isSilent && rules.staying.get(key.child)?.onPurge === 'set-null' ? 'set-null' : rule;
  if (wished === 'delete') return 'delete';
  return wished === 'set-null' && ruleColumns(map, fixed, key).length > 0 ? 'set-null' : 'refuse';
}

function referenceCheck(
  map: SchemaMap,
  rules: SettledRules,
  doomed: Doomed,
  key: CatalogueForeignKey,
): ReferenceCheck {
  const child = map.byName.get(key.child);
  // Where only rows of others go, what refers to these is refused.
  const rule = doomed.paths.has(key.parent) ? ruleOf(map, rules, doomed.fixed, key) : 'refuse';
  const clearColumns = rule === 'set-null' ? ruleColumns(map, doomed.fixed, key) : [];
  const parentAlso = doomed.also.get(key.parent) ?? [];
  const parent = doomed.paths.get(key.parent) ?? nobodys(map, key.parent);
  const isRuled = rules.keyRules.get(key.name) !== undefined;
  return {
    foreignKey: key.name,
    action: key.onDelete,
    rule,
    isRuled: isRuled && rules.keyRules.get(key.name) !== 'own',
    child: key.child,
    childRelation: key.childPartition ?? key.child,
    childPartitioned: child?.kind === 'partitioned',
    childPath: doomed.paths.get(key.child) ?? null,
    childDeleted: isDoomed(doomed, key.child),
    childPrimaryKey: child?.primaryKey ?? [],
    childEstimatedRows: child === undefined || child.estimatedRows < 0 ? null : child.estimatedRows,
    columns: key.columns,
    period: key.period === true,
    parent,
    parentAlso,
    parentRelation: key.parentPartition ?? key.parent,
    referencedColumns: key.referencedColumns,
    clearColumns,
    clearChecks: (child?.checks ?? [])
      .filter((check) => check.columns.some((column) => clearColumns.includes(column)))
      .map(({ name, definition }) => ({ name, definition })),
  };
}

/** A path without ways: no row of the table is any tenant's. */
export const nobodys = (map: SchemaMap, table: TableName): TenantPath => ({
  table,
  partitioned: map.byName.get(table)?.kind === 'partitioned',
  ways: [],
});
