import type { Hazard } from '../../domain/hazard.ts';
import type { ClearStep, ComponentStep, PlanLevel } from '../../domain/plan.ts';
import type { CatalogueForeignKey } from '../catalogue.ts';
import { isTreeKey } from '../hazards/references.ts';
import { columnList, describeKey, tableRule } from '../remedy.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import { columnOf, type SchemaMap } from '../schema-map.ts';
import { collidingIndex } from './clear-columns.ts';
import type { Component, OrderEdge } from './cycles.ts';
import type { Order } from './order.ts';

/** What about the order of the steps an operator should know, or accept. Pure. */
export function findOrderHazards(
  map: SchemaMap,
  rules: SettledRules,
  made: { readonly order: Order; readonly levels: readonly PlanLevel[] },
): Hazard[] {
  const steps = made.levels.flatMap((level) => level.steps);
  return [
    ...steps.flatMap((step) => {
      const component = made.order.components.get(step.table);
      return step.kind === 'component' && component !== undefined
        ? [together(map, step, component)]
        : [];
    }),
    ...steps.flatMap((step) =>
      step.kind === 'clear' ? [...clearBreaksCheck(map, step), ...clearCollides(map, step)] : [],
    ),
    ...map.foreignKeys.filter((key) => isTreeKey(rules, key)).map(tenantTree),
  ];
}

function together(map: SchemaMap, step: ComponentStep, { cycle }: Component): Hazard {
  const tables = step.deletes.map(({ table }) => table);
  const estimates = tables.map((table) => map.byName.get(table)?.estimatedRows ?? -1);
  const rows = estimates.every((estimate) => estimate >= 0)
    ? `about ${Math.round(estimates.reduce((sum, estimate) => sum + estimate, 0))} rows of all tenants`
    : 'never analysed';
  const what = `${
    tables.length === 1
      ? `${tables[0]} refers to itself in a way that no clearing beforehand settles`
      : `These tables refer to each other in a circle, and no reference in it can be cleared beforehand: ${printCycle(cycle)}`
  }${collisions(map, cycle)}`;
  const shared = {
    table: step.table,
    ...(cycle[0]?.keys[0] === undefined ? {} : { foreignKey: cycle[0].keys[0].name }),
  };
  const keys = cycle.flatMap((edge) => edge.keys);
  if (step.way === 'deferred') {
    return {
      ...shared,
      type: 'CYCLE_DEFERRED',
      severity: 'info',
      message: `${what}. Its keys can be deferred: all of a tenant's rows of ${tables.join(', ')} go in one transaction, without a bound (${rows}).`,
      remedy: letBeNull(map, keys) ?? 'Nothing to do where a tenant has few rows there.',
    };
  }
  return {
    ...shared,
    type: 'CYCLE_IN_ONE_STATEMENT',
    severity: 'allow',
    message: `${what}. All of a tenant's rows of ${tables.join(', ')} would go in one statement, which no batch bounds and no pause can interrupt (${rows}).`,
    remedy: `Accept it with --allow CYCLE_IN_ONE_STATEMENT${orLetBeNull(map, keys)}.`,
  };
}

/** Why columns are not cleared that may be NULL. */
function collisions(map: SchemaMap, cycle: readonly OrderEdge[]): string {
  const names = cycle
    .flatMap((edge) => edge.keys)
    .flatMap(({ child, columns }) => collidingIndex(map, child, columns)?.name ?? []);
  return names.length === 0
    ? ''
    : ` (rows without their reference could collide in ${columnList([...new Set(names)].sort())})`;
}

const printCycle = (cycle: readonly OrderEdge[]): string => {
  const tables = cycle.map((edge) => edge.child);
  return [...tables, ...tables.slice(0, 1)].join(' → ');
};

const orLetBeNull = (map: SchemaMap, keys: readonly CatalogueForeignKey[]): string => {
  const statement = letBeNull(map, keys);
  return statement === null ? '' : `, or let one reference be NULL: ${statement.replace(/;$/, '')}`;
};

/** For the first key with columns that are NOT NULL now and that no other key refers to. */
function letBeNull(map: SchemaMap, keys: readonly CatalogueForeignKey[]): string | null {
  for (const key of keys) {
    const table = map.byName.get(key.child);
    if (table === undefined) continue;
    const referenced = new Set(
      (map.keysTo.get(key.child) ?? []).flatMap((other) => other.referencedColumns),
    );
    const held = key.columns.filter(
      (name) =>
        columnOf(table, name)?.notNull === true &&
        table.primaryKey?.includes(name) !== true &&
        !referenced.has(name),
    );
    if (held.length === 0) continue;
    const actions = held.map((column) => `ALTER COLUMN ${columnList([column])} DROP NOT NULL`);
    return `ALTER TABLE ${key.child} ${actions.join(', ')};`;
  }
  return null;
}

/** `a <> b` is unknown for NULL, which passes a CHECK; these can tell NULL from a value. */
const TELLS_NULL =
  /\bnull\b|\bcoalesce\b|\bnum_nulls\b|\bnum_nonnulls\b|\bdistinct from\b|\bcase\b|\bnullif\b/i;

function clearBreaksCheck(map: SchemaMap, step: ClearStep): Hazard[] {
  if (step.values !== undefined) return [];
  return (map.byName.get(step.table)?.checks ?? [])
    .filter((check) => check.columns.some((column) => step.columns.includes(column)))
    .filter((check) => TELLS_NULL.test(check.definition))
    .map((check) => ({
      type: 'CLEAR_BREAKS_CHECK',
      severity: step.reason === 'rule' || step.reason === 'table' ? 'info' : 'allow',
      table: step.table,
      foreignKey: step.foreignKey,
      message: `The purge sets ${columnList(step.columns)} of ${step.table} to NULL, and ${check.name} may refuse that (23514): ${check.definition}.`,
      remedy: `Read the CHECK: where it accepts NULL there, accept this with --allow CLEAR_BREAKS_CHECK; otherwise ${
        step.reason === 'rule'
          ? `change it, or set ${step.foreignKey} to another rule in "foreignKeys"`
          : step.reason === 'table'
            ? `change it, or have the rows deleted: ${tableRule(step.table, { onPurge: 'delete' })}`
            : 'let the CHECK accept NULL: the order of the deletes rests on it'
      }.`,
    }));
}

/** Rows of others that lose their reference, rows that stay without their tenant: 23505 where two become alike. */
function clearCollides(map: SchemaMap, step: ClearStep): Hazard[] {
  if (step.values !== undefined) return [];
  const index = collidingIndex(map, step.table, step.columns);
  if (index === undefined) return [];
  return [
    {
      type: 'CLEAR_BREAKS_CHECK',
      severity: 'allow',
      table: step.table,
      foreignKey: step.foreignKey,
      message: `The purge sets ${columnList(step.columns)} of ${step.table} to NULL, and two rows that have become alike by that collide in the unique index ${index.name} (23505).`,
      remedy: `Where no two of these rows can become alike, accept this with --allow CLEAR_BREAKS_CHECK; otherwise ${
        step.reason === 'rule'
          ? `set ${step.foreignKey} to another rule in "foreignKeys"`
          : `have the rows deleted: ${tableRule(step.table, { onPurge: 'delete' })}`
      }, or change the index.`,
    },
  ];
}

const tenantTree = (key: CatalogueForeignKey): Hazard => ({
  type: 'TENANT_TREE',
  severity: 'info',
  table: key.child,
  foreignKey: key.name,
  message: `The tenant table refers to itself (${describeKey(key)}): a tenant with descendants is refused, unless they are purged with it.`,
  remedy: `Purge descendants too with enqueue --with-descendants; or let them lose their ancestor: "foreignKeys": { ${JSON.stringify(key.name)}: "set-null" }.`,
});
