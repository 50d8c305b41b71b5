import type { Hazard } from '../../domain/hazard.ts';
import type { CatalogueForeignKey, CatalogueTable } from '../catalogue.ts';
import type { Ownership } from '../ownership/ownership.ts';
import { columnList, describeKey, ownerBesideKey } from '../remedy.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import type { SchemaMap } from '../schema-map.ts';
import { columnOf, sameColumns } from '../schema-map.ts';
import { type Doomed, ruleColumns, ruleOf } from './references.ts';
import type { PlannedTables } from './table-hazards.ts';

/** Above this many rows in the child table a key without an index asks for `--allow`. */
const UNINDEXED_ROWS_MAX = 1_000;

/** What about the foreign keys that lead to planned tables stands in the way of a purge. Pure. */
export function findKeyHazards(
  map: SchemaMap,
  rules: SettledRules,
  found: {
    readonly planned: PlannedTables;
    readonly doomed: Doomed;
    readonly ownership: Ownership;
  },
): Hazard[] {
  const { deleted } = found.planned;
  const { unclear } = found.ownership;
  const leadingIn = map.foreignKeys.filter(
    (key) => deleted.has(key.parent) && key.enforced !== false,
  );
  return [
    ...leadingIn
      .filter((key) => !deleted.has(key.child) && !unclear.has(key.child))
      .filter((key) => !rules.keyRules.has(key.name) && !rules.staying.has(key.child))
      .map((key) =>
        unknownReference(key, {
          isKept: rules.kept.has(key.child),
          isClearable: ruleColumns(map, found.doomed.fixed, key).length > 0,
        }),
      ),
    ...leadingIn.flatMap((key) => unindexedKey(map, key)),
    ...leadingIn.flatMap((key) => setNullOverNotNull(map, rules, found.doomed, key)),
    ...map.foreignKeys
      .filter((key) => deleted.has(key.child) && !deleted.has(key.parent))
      .flatMap((key) => orphanedParent(map, rules, found.doomed, key)),
    ...unsupportedTenantKey(map, rules),
  ];
}

function unknownReference(
  key: CatalogueForeignKey,
  { isKept, isClearable }: { readonly isKept: boolean; readonly isClearable: boolean },
): Hazard {
  const effect =
    key.onDelete === 'NO ACTION' || key.onDelete === 'RESTRICT'
      ? 'a row of it that refers to a doomed one stops the purge'
      : `its ON DELETE ${key.onDelete} would change rows that the plan does not name, so that a row of it that refers to a doomed one stops the purge`;
  const why = isKept ? 'is kept' : 'belongs to no tenant';
  return {
    type: 'UNKNOWN_REFERENCE',
    severity: 'info',
    table: key.child,
    foreignKey: key.name,
    message: `${key.child} ${why}, and refers to a planned table by ${key.name}, ${describeKey(key)}: ${effect}.`,
    remedy: settleReference(key, { isKept, isClearable }),
  };
}

/** Only what the configuration may say of this key. */
function settleReference(
  key: CatalogueForeignKey,
  { isKept, isClearable }: { readonly isKept: boolean; readonly isClearable: boolean },
): string {
  const besides = ownerBesideKey(key);
  if (besides !== null) {
    const owner = isKept ? '' : `, or say whose they are: ${besides}`;
    return `No rule settles such a key: where there are such rows, clear or move them by hand${owner}.`;
  }
  const choices = [
    ...(isClearable ? ['"set-null" clears the reference'] : []),
    ...(isKept ? [] : [`"delete" deletes the row`, `"own" makes it the tenant's`]),
  ];
  if (choices.length === 0) {
    return `The table is kept and its reference cannot be NULL: where there are such rows, delete or move them by hand, or keep the table no longer.`;
  }
  return `Where there are such rows, say what becomes of them: "foreignKeys": { ${JSON.stringify(key.name)}: … }, where ${choices.join(', ')}.`;
}

/** 23502 when the action fires, or when our own rule does. */
function setNullOverNotNull(
  map: SchemaMap,
  rules: SettledRules,
  doomed: Doomed,
  key: CatalogueForeignKey,
): Hazard[] {
  const rule = rules.keyRules.get(key.name);
  const shared = {
    type: 'SET_NULL_OVER_NOT_NULL',
    table: key.child,
    foreignKey: key.name,
  } as const;
  const isStaying = rules.staying.get(key.child)?.onPurge === 'set-null';
  const isToClear = rule === 'set-null' || (isStaying && (rule === undefined || rule === 'own'));
  const isClearable = ruleOf(map, rules, doomed.fixed, key) === 'set-null';
  if (isToClear && !isClearable && !doomed.followed.has(key.parent)) {
    const child = map.byName.get(key.child);
    const isHeld = key.columns.every((name) => child && columnOf(child, name)?.notNull === true);
    return [
      {
        ...shared,
        severity: isHeld ? 'blocks' : 'info',
        message: isHeld
          ? `The configuration clears ${key.name}, ${describeKey(key)}, but ${columnList(key.columns)} is NOT NULL (23502).`
          : `The configuration clears ${key.name}, ${describeKey(key)}, but other keys refer to its columns, or they say who owns the row: rows of others that refer are refused instead.`,
        remedy: `Let a column be NULL, or choose another rule: "foreignKeys": { ${JSON.stringify(key.name)}: "${isStaying ? 'refuse' : 'delete'}" }.`,
      },
    ];
  }
  if (key.onDelete !== 'SET NULL') return [];
  const table = map.byName.get(key.child);
  const held = (key.setColumns ?? key.columns).filter(
    (name) => table !== undefined && columnOf(table, name)?.notNull === true,
  );
  if (held.length === 0) return [];
  return [
    {
      ...shared,
      severity: 'info',
      message: `${key.name} sets ${columnList(held)} of ${key.child} to NULL when a row of ${key.parent} is deleted, and it is NOT NULL: every such delete fails with 23502. A purge deletes the tenant's rows of ${key.child} before, and refuses where others refer.`,
      remedy: `Name the columns that may be NULL: ON DELETE SET NULL (${columnList(key.columns.filter((name) => !held.includes(name)))}), from PostgreSQL 15 on.`,
    },
  ];
}

/** A unique reference to a row that belongs to no tenant: nothing refers to that row afterwards. */
function orphanedParent(
  map: SchemaMap,
  rules: SettledRules,
  doomed: Doomed,
  key: CatalogueForeignKey,
): Hazard[] {
  const child = map.byName.get(key.child);
  const isOneToOne =
    key.child !== key.parent &&
    (sameColumns(child?.primaryKey ?? [], key.columns) ||
      (child?.indexes ?? []).some(
        (index) => index.unique && index.usable && sameColumns(index.columns, key.columns),
      ));
  const isSettled =
    doomed.paths.has(key.parent) || rules.kept.has(key.parent) || rules.staying.has(key.parent);
  if (!isOneToOne || isSettled) return [];
  const reference = `${key.child}.${key.columns[0] ?? ''}`;
  return [
    {
      type: 'ORPHANED_PARENT',
      severity: 'info',
      table: key.parent,
      foreignKey: key.name,
      message: `Each row of ${key.child} has a row of ${key.parent} to itself (${describeKey(key)}), which belongs to no tenant: it stays behind when the row goes.`,
      remedy: `To delete both, write in purge.config: "follow": [${JSON.stringify(reference)}].`,
      settledBy: { follow: [reference] },
    },
  ];
}

function unindexedKey(map: SchemaMap, key: CatalogueForeignKey): Hazard[] {
  const child = map.byName.get(key.child);
  if (child === undefined || hasLeadingIndex(child, key.columns)) return [];
  const rows = child.estimatedRows;
  const parentRows = map.byName.get(key.parent)?.estimatedRows ?? -1;
  // CREATE INDEX CONCURRENTLY is refused on a partitioned table.
  const create = child.kind === 'partitioned' ? 'CREATE INDEX' : 'CREATE INDEX CONCURRENTLY';
  const perRow =
    rows < 0
      ? `all of ${key.child} (never analysed)`
      : `all of ${key.child}, about ${Math.round(rows)} rows`;
  return [
    {
      type: 'FK_WITHOUT_INDEX',
      severity: rows > UNINDEXED_ROWS_MAX ? 'allow' : 'info',
      table: key.child,
      foreignKey: key.name,
      message: `The foreign key ${key.name} has no usable index on (${columnList(key.columns)}): each deleted row of ${key.parent}${parentRows < 0 ? '' : ` (about ${Math.round(parentRows)} in all)`} reads ${perRow}.`,
      remedy: `${create} ON ${key.child} (${columnList(key.columns)});`,
    },
  ];
}

const hasLeadingIndex = (table: CatalogueTable, columns: readonly string[]): boolean =>
  table.indexes.some(
    (index) => index.usable && sameColumns(index.columns.slice(0, columns.length), columns),
  );

/** A tenant is one value of one column here; it must identify one row. */
function unsupportedTenantKey(map: SchemaMap, rules: SettledRules): Hazard[] {
  const { table, key } = rules.tenant;
  const shared = { type: 'UNSUPPORTED_KEY', severity: 'blocks', table } as const;
  if (rules.compositeKey !== null) {
    return [
      {
        ...shared,
        message: `The primary key of ${table} has several columns (${columnList(rules.compositeKey)}); a tenant must be named by one.`,
        remedy:
          'Name a unique column as tenant.key in purge.config: "tenant": { "key": "<column>" }.',
      },
    ];
  }
  const found = map.byName.get(table);
  const isUnique =
    found !== undefined &&
    (sameColumns(found.primaryKey ?? [], [key]) ||
      found.indexes.some(
        (index) => index.unique && index.usable && sameColumns(index.columns, [key]),
      ));
  if (found?.kind === 'inherited') {
    return [
      {
        ...shared,
        type: 'UNSUPPORTED_TABLE',
        message: `The tenant table ${table} takes part in plain inheritance: which table a tenant's row lies in would be a guess.`,
        remedy: `Take it out of the inheritance: ALTER TABLE … NO INHERIT …;`,
      },
    ];
  }
  if (isUnique && found !== undefined && columnOf(found, key) !== undefined) return [];
  return [
    {
      ...shared,
      message: `${table}.${key} is not unique: one value of it may name several tenants.`,
      remedy: `Name another column as tenant.key in purge.config, or run: CREATE UNIQUE INDEX CONCURRENTLY ON ${table} (${columnList([key])});`,
    },
  ];
}
