import type { Hazard } from '../domain/hazard.ts';
import type { TableName } from '../domain/ids.ts';
import type { CatalogueForeignKey, CatalogueTable, UnsupportedKey } from './catalogue.ts';
import { columnList, constraintName, constraintTable, describeKey, tableRule } from './remedy.ts';
import type { SchemaMap } from './schema-map.ts';
import { columnOf, sameColumns } from './schema-map.ts';
import type { SettledRules } from './settled-rules.ts';

/** Above this many rows in the child table a key without an index asks for `--allow`. */
const UNINDEXED_ROWS_MAX = 1_000;

/** What about the foreign keys that lead to planned tables stands in the way of a purge. Pure. */
export function findKeyHazards(
  map: SchemaMap,
  rules: SettledRules,
  planned: { readonly deleted: ReadonlySet<TableName>; readonly unclear: ReadonlySet<TableName> },
): Hazard[] {
  const { deleted, unclear } = planned;
  const leadsIn = (key: CatalogueForeignKey): boolean => deleted.has(key.parent);
  const fromOutside = map.foreignKeys.filter(
    (key) => leadsIn(key) && !deleted.has(key.child) && !unclear.has(key.child),
  );
  return [
    ...map.unsupportedKeys.filter(leadsIn).map(unsupportedKey),
    ...fromOutside.map((key) => unknownReference(key, rules.kept.has(key.child))),
    ...map.foreignKeys.filter(leadsIn).flatMap((key) => unindexedKey(map, key)),
    ...unsupportedTenantKey(map, rules),
  ];
}

const UNSUPPORTED: Record<UnsupportedKey, { readonly why: string; readonly remedy: string }> = {
  partition: {
    why: 'it is declared on or to a single partition',
    remedy: 'Declare it between the partitioned tables themselves, and then',
  },
  'not-enforced': {
    why: 'it is NOT ENFORCED, so its rows may refer to nothing',
    remedy: 'Make it an enforced key, or',
  },
  period: {
    why: 'it is a PERIOD key, which matches ranges instead of values',
    remedy: 'Reference the row by its own key, and then',
  },
};

function unsupportedKey(key: CatalogueForeignKey): Hazard {
  const { why, remedy } = UNSUPPORTED[key.unsupported ?? 'partition'];
  return {
    type: 'UNSUPPORTED_KEY',
    severity: 'blocks',
    table: key.child,
    foreignKey: key.name,
    message: `This version does not understand the foreign key ${key.name}, ${describeKey(key)}: ${why}.`,
    remedy: `${remedy} run: ALTER TABLE ${constraintTable(key)} DROP CONSTRAINT ${constraintName(key)};`,
  };
}

function unknownReference(key: CatalogueForeignKey, isKept: boolean): Hazard {
  const effect =
    key.onDelete === 'NO ACTION' || key.onDelete === 'RESTRICT'
      ? 'a row of it that refers to a doomed one stops the purge'
      : `its ON DELETE ${key.onDelete} would change rows that the plan does not name`;
  const shared = { type: 'UNKNOWN_REFERENCE', table: key.child, foreignKey: key.name } as const;
  return isKept
    ? {
        ...shared,
        severity: 'allow',
        message: `${key.child} is kept, and refers to a planned table by ${key.name}, ${describeKey(key)}: ${effect}.`,
        remedy: `Make sure that none of its rows refers to a purged tenant's, then accept it with --allow UNKNOWN_REFERENCE.`,
      }
    : {
        ...shared,
        severity: 'blocks',
        message: `${key.child} belongs to no tenant, and refers to a planned table by ${key.name}, ${describeKey(key)}: ${effect}.`,
        remedy: `Say in purge.config who owns its rows: ${tableRule(key.child, { ownedBy: key.columns })}; or that they stay: ${tableRule(key.child, { onPurge: 'keep' })}.`,
      };
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
  if (isUnique && found !== undefined && columnOf(found, key) !== undefined) return [];
  return [
    {
      ...shared,
      message: `${table}.${key} is not unique: one value of it may name several tenants.`,
      remedy: `Name another column as tenant.key in purge.config, or run: CREATE UNIQUE INDEX CONCURRENTLY ON ${table} (${columnList([key])});`,
    },
  ];
}
