import type { Hazard } from '../domain/hazard.ts';
import type { CatalogueForeignKey } from './catalogue.ts';
import type { FixedColumns } from './clear-columns.ts';
import type { OrderEdge } from './cycles.ts';
import { columnList, constraintName, describeKey, tableRule } from './remedy.ts';
import { columnOf, type SchemaMap } from './schema-map.ts';

/** Printed as `a → b → a`, with the key that could be made nullable, if there is one. */
export function unbreakableCycle(
  map: SchemaMap,
  fixed: FixedColumns,
  cycle: readonly OrderEdge[],
): Hazard {
  const tables = cycle.map((edge) => edge.child);
  const [table] = tables;
  const printed = [...tables, ...tables.slice(0, 1)].join(' → ');
  const soft = cycle
    .flatMap((edge) => (edge.keys.length === 1 ? edge.keys : []))
    .find((key) => key.columns.some((column) => fixed.get(key.child)?.has(column) !== true));
  const ownerRule = table === undefined ? '' : tableRule(table, { ownedBy: ['<column>'] });
  return {
    type: 'UNBREAKABLE_CYCLE',
    severity: 'blocks',
    table: table ?? null,
    ...(soft === undefined ? {} : { foreignKey: soft.name }),
    message: `These tables refer to each other in a circle, and no reference in it can be cleared beforehand: ${printed}.`,
    remedy:
      soft === undefined
        ? `Every key in it also says who owns the rows. Let another column do that in purge.config (${ownerRule}), or drop one of the foreign keys.`
        : `Let one reference be NULL: ${letBeNull(map, fixed, soft)}`,
  };
}

export const fixedSelfReference = (
  map: SchemaMap,
  fixed: FixedColumns,
  key: CatalogueForeignKey,
): Hazard => ({
  type: 'RESTRICT_SELF_REFERENCE',
  severity: 'blocks',
  table: key.child,
  foreignKey: key.name,
  message: `${key.child} refers to itself by ${key.name} over columns that cannot be cleared (${columnList(key.columns)}): no order of batches satisfies it.`,
  remedy: `Let the reference be NULL: ${letBeNull(map, fixed, key)}`,
});

export const tenantTree = (key: CatalogueForeignKey): Hazard => ({
  type: 'TENANT_TREE',
  severity: 'blocks',
  table: key.child,
  foreignKey: key.name,
  message: `The tenant table refers to itself (${describeKey(key)}): a tenant may have descendants, and this version does not purge trees.`,
  remedy: `If no tenant needs its parent any more, run: ALTER TABLE ${key.child} DROP CONSTRAINT ${constraintName(key)};`,
});

/** On the columns that are NOT NULL now and may be cleared; without any, the key itself must go. */
function letBeNull(map: SchemaMap, fixed: FixedColumns, key: CatalogueForeignKey): string {
  const table = map.byName.get(key.child);
  const held = key.columns.filter(
    (name) =>
      table && columnOf(table, name)?.notNull === true && fixed.get(key.child)?.has(name) !== true,
  );
  if (held.length === 0) return `ALTER TABLE ${key.child} DROP CONSTRAINT ${constraintName(key)};`;
  const actions = held.map((column) => `ALTER COLUMN ${columnList([column])} DROP NOT NULL`);
  return `ALTER TABLE ${key.child} ${actions.join(', ')};`;
}
