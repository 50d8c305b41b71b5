import type { TableName } from '../../domain/ids.ts';
import {
  type ActingKey,
  type ClearStep,
  type ComponentStep,
  type DeleteStep,
  type PlanLevel,
  type PlanStep,
  type Referrer,
  tablesOnPath,
} from '../../domain/plan.ts';
import type { CatalogueForeignKey } from '../catalogue.ts';
import { type Doomed, nobodys, referringRows, ruleColumns, ruleOf } from '../hazards/references.ts';
import type { Ownership } from '../ownership/ownership.ts';
import { ownerColumns } from '../ownership/staying.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import { compareText, type SchemaMap } from '../schema-map.ts';
import { massClearableColumns } from './clear-columns.ts';
import type { Component } from './cycles.ts';
import type { Order } from './order.ts';

type UnnamedLevel = Omit<PlanLevel, 'name'>;

/** Everything that is settled before the steps are written down. */
interface StepInput {
  readonly map: SchemaMap;
  readonly rules: SettledRules;
  readonly ownership: Ownership;
  readonly doomed: Doomed;
  readonly order: Order;
}

/** The levels with what is done in each: first columns are cleared, then rows deleted. Pure. */
export function makeLevels(input: StepInput): PlanLevel[] {
  const { drafts, components } = input.order;
  const clearsAt = placeClears(input);
  const levels = drafts.map((draft, level): UnnamedLevel => {
    const removals = draft.tables.map((table): PlanStep => {
      const component = components.get(table);
      return component === undefined
        ? deleteStep(input, table)
        : componentStep(input, table, component);
    });
    return { stage: draft.stage, steps: sortSteps([...(clearsAt.get(level) ?? []), ...removals]) };
  });
  const first = clearsAt.get(-1);
  return nameLevels(
    first === undefined ? levels : [{ stage: 'dependents', steps: sortSteps(first) }, ...levels],
  );
}

/**
 * A tenant's own references are cleared one level before the first of the two tables that the key
 * joins, and while their owner can still be found; those of others at the level of the table that they refer to, when the tenant's own rows
 * are gone; columns of rows that stay at the very beginning, while their owner can still be found.
 */
function placeClears(input: StepInput): Map<number, ClearStep[]> {
  const { order } = input;
  const levelOf = new Map<TableName, number>();
  for (const [level, { tables }] of order.drafts.entries()) {
    for (const leader of tables) {
      for (const table of order.components.get(leader)?.tables ?? [leader]) {
        levelOf.set(table, level);
      }
    }
  }
  const placed = new Map<number, ClearStep[]>();
  const place = (level: number, step: ClearStep | null): void => {
    if (step !== null) placed.set(level, [...(placed.get(level) ?? []), step]);
  };
  for (const [keys, reason] of [
    [order.clearedKeys, 'cycle'],
    [order.selfKeys, 'self'],
  ] as const) {
    for (const key of keys) {
      const step = ownClear(input, key, reason);
      const onPath = step === null ? [] : [...tablesOnPath(step.path)];
      const level = Math.min(
        (levelOf.get(key.child) ?? 0) - 1,
        (levelOf.get(key.parent) ?? 0) - 1,
        ...onPath.map((table) => levelOf.get(table) ?? Infinity),
      );
      place(level, step);
    }
  }
  for (const key of input.map.foreignKeys) {
    const level = levelOf.get(key.parent);
    if (level !== undefined) for (const step of ruleClears(input, key)) place(level, step);
  }
  for (const step of stayingClears(input)) place(0, step);
  return placed;
}

function ownClear(
  { map, doomed }: StepInput,
  key: CatalogueForeignKey,
  reason: 'cycle' | 'self',
): ClearStep | null {
  const columns = massClearableColumns(map, doomed.fixed, key);
  const path = doomed.paths.get(key.child);
  if (columns === null || path === undefined) return null;
  const { partitioned } = path;
  return {
    kind: 'clear',
    table: key.child,
    partitioned,
    path,
    foreignKey: key.name,
    columns,
    reason,
  };
}

function ruleClears({ map, rules, doomed }: StepInput, key: CatalogueForeignKey): ClearStep[] {
  if (key.enforced === false || doomed.followed.has(key.parent)) return [];
  if (ruleOf(map, rules, doomed.fixed, key) !== 'set-null') return [];
  const parent = doomed.paths.get(key.parent);
  if (parent === undefined) return [];
  const path = referringRows(map, key, parent);
  return [
    {
      kind: 'clear',
      table: key.child,
      partitioned: path.partitioned,
      path,
      foreignKey: key.name,
      columns: ruleColumns(map, doomed.fixed, key),
      reason: 'rule',
    },
  ];
}

/** What changes in rows that stay: their tenant columns without a key, or values of the operator's. */
function stayingClears({ map, rules, ownership }: StepInput): ClearStep[] {
  const steps: ClearStep[] = [];
  for (const [table, staying] of rules.staying) {
    const path = ownership.staying.get(table);
    if (path === undefined) continue;
    const shared = {
      kind: 'clear',
      table,
      partitioned: path.partitioned,
      path,
      foreignKey: table,
    } as const;
    if (staying.onPurge === 'update') {
      const columns = Object.keys(staying.set).sort();
      const values = columns.map((column) => staying.set[column] ?? null);
      steps.push({ ...shared, columns, values, reason: 'operator' });
      continue;
    }
    const columns = ownerColumns(map, path).clearable;
    if (columns.length > 0) steps.push({ ...shared, columns, reason: 'table' });
  }
  return steps;
}

const KINDS: readonly PlanStep['kind'][] = ['clear', 'component', 'delete'];

const sortSteps = (steps: readonly PlanStep[]): PlanStep[] =>
  [...steps].sort(
    (left, right) =>
      KINDS.indexOf(left.kind) - KINDS.indexOf(right.kind) ||
      compareText(left.table, right.table) ||
      compareText(clearedKey(left), clearedKey(right)),
  );

const clearedKey = (step: PlanStep): string =>
  step.kind === 'clear' ? `${step.foreignKey} ${step.reason}` : '';

function componentStep(input: StepInput, table: TableName, component: Component): ComponentStep {
  const { deferredKeys } = component;
  return {
    kind: 'component',
    table,
    way: deferredKeys === null ? 'one-statement' : 'deferred',
    deletes: component.tables.map((member) => deleteStep(input, member)),
    deferredKeys: deferredKeys?.map((key) => key.name) ?? [],
  };
}

function deleteStep({ map, rules, doomed }: StepInput, table: TableName): DeleteStep {
  const found = map.byName.get(table);
  const keysTo = map.keysTo.get(table) ?? [];
  return {
    kind: 'delete',
    table,
    path: doomed.paths.get(table) ?? nobodys(map, table),
    also: doomed.also.get(table) ?? [],
    partitioned: found?.kind === 'partitioned',
    actingKeys: keysTo.flatMap((key) => actingKey(map, key)),
    remembers: rules.follow
      .filter((key) => key.child === table && doomed.followed.has(key.parent))
      .map((key) => ({ foreignKey: key.name, columns: key.columns, parent: key.parent })),
    unlessReferenced: doomed.followed.has(table)
      ? keysTo.flatMap((key) => referrer(map, key))
      : null,
    mayKeepRows: (found?.triggers ?? []).some(
      ({ timing, forEachRow, events }) =>
        timing === 'before' && forEachRow && events.includes('delete'),
    ),
    primaryKey: found?.primaryKey ?? [],
    estimatedRows: found === undefined || found.estimatedRows < 0 ? null : found.estimatedRows,
  };
}

function actingKey(map: SchemaMap, key: CatalogueForeignKey): ActingKey[] {
  const { name, onDelete, child, columns, referencedColumns } = key;
  if (onDelete === 'NO ACTION' || onDelete === 'RESTRICT' || key.enforced === false) return [];
  const childPartitioned = map.byName.get(child)?.kind === 'partitioned';
  return [
    { foreignKey: name, action: onDelete, child, childPartitioned, columns, referencedColumns },
  ];
}

function referrer(map: SchemaMap, key: CatalogueForeignKey): Referrer[] {
  if (key.enforced === false) return [];
  return [
    {
      relation: key.childPartition ?? key.child,
      partitioned: map.byName.get(key.child)?.kind === 'partitioned',
      columns: key.columns,
      referencedColumns: key.referencedColumns,
    },
  ];
}

function nameLevels(levels: readonly UnnamedLevel[]): PlanLevel[] {
  return levels.map((level, index) => {
    const sameStage = levels.filter((other) => other.stage === level.stage);
    const number = levels.slice(0, index + 1).filter((other) => other.stage === level.stage).length;
    const isNumbered = level.stage === 'dependents' || sameStage.length > 1;
    return { name: isNumbered ? `${level.stage} ${number}` : level.stage, ...level };
  });
}
