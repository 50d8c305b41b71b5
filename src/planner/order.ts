import type { Hazard } from '../domain/hazard.ts';
import type { TableName } from '../domain/ids.ts';
import type {
  ActingKey,
  ClearStep,
  DeleteStep,
  PlanLevel,
  PlanStep,
  TenantPath,
} from '../domain/plan.ts';
import type { CatalogueForeignKey } from './catalogue.ts';
import { clearableColumns, type FixedColumns, findFixedColumns } from './clear-columns.ts';
import { breakCycles, type OrderEdge } from './cycles.ts';
import { fixedSelfReference, tenantTree, unbreakableCycle } from './order-hazards.ts';
import { compareText, type SchemaMap, sortedBy } from './schema-map.ts';
import type { SettledRules } from './settled-rules.ts';

export interface Order {
  readonly levels: readonly PlanLevel[];
  /** Core tables that the plan deletes, sorted. */
  readonly core: readonly TableName[];
  readonly hazards: readonly Hazard[];
}

type Paths = ReadonlyMap<TableName, TenantPath>;
type LevelDraft = Omit<PlanLevel, 'name' | 'steps'> & { readonly tables: readonly TableName[] };

/**
 * Orders the owned tables: each before every table it refers to, whatever the action of the key, so
 * that nothing is left for the database to cascade; the tenant table last of all. Pure.
 */
export function orderTables(map: SchemaMap, rules: SettledRules, paths: Paths): Order {
  const fixed = findFixedColumns(map, paths);
  const { kept, cleared, unbreakable } = breakCycles(
    findEdges(map, paths, fixed, rules.tenant.table),
  );
  const core = new Set([...rules.core].filter((table) => paths.has(table)));
  core.delete(rules.tenant.table);
  const drafts = draftLevels([...paths.keys()], kept, core, rules.tenant.table);

  const cycleKeys = cleared.flatMap((edge) => edge.keys);
  const selfKeys = findSelfKeys(map, paths, rules.tenant.table);
  const clears = [
    ...cycleKeys.map((key) => clearStep(map, fixed, paths, key, 'cycle')),
    ...selfKeys.map((key) => clearStep(map, fixed, paths, key, 'self')),
  ].filter((step) => step !== null);
  return {
    levels: nameLevels(placeSteps(map, drafts, paths, clears)),
    core: [...core].sort(),
    hazards: [
      ...unbreakable.map((cycle) => unbreakableCycle(map, fixed, cycle)),
      ...selfKeys
        .filter((key) => clearableColumns(map, fixed, key) === null)
        .map((key) => fixedSelfReference(map, fixed, key)),
      ...(map.keysTo.get(rules.tenant.table) ?? [])
        .filter((key) => key.child === rules.tenant.table)
        .map(tenantTree),
    ],
  };
}

/** One edge for each pair of tables with foreign keys between them, and one to the tenant table. */
function findEdges(
  map: SchemaMap,
  paths: Paths,
  fixed: FixedColumns,
  tenant: TableName,
): OrderEdge[] {
  const pairs = new Map<string, CatalogueForeignKey[]>();
  for (const key of map.foreignKeys) {
    if (key.child === key.parent || !paths.has(key.child) || !paths.has(key.parent)) continue;
    const pair = `${key.child} ${key.parent}`;
    pairs.set(pair, [...(pairs.get(pair) ?? []), key]);
  }
  const edges: OrderEdge[] = [];
  for (const keys of pairs.values()) {
    const [first] = keys;
    if (first === undefined || first.parent === tenant) continue;
    const clearable = keys.every((key) => clearableColumns(map, fixed, key) !== null);
    edges.push({ child: first.child, parent: first.parent, keys, clearable });
  }
  for (const child of paths.keys()) {
    if (child === tenant) continue;
    const keys = pairs.get(`${child} ${tenant}`) ?? [];
    edges.push({ child, parent: tenant, keys, clearable: false });
  }
  return edges;
}

function findSelfKeys(map: SchemaMap, paths: Paths, tenant: TableName): CatalogueForeignKey[] {
  return map.foreignKeys.filter(
    (key) => key.child === key.parent && key.child !== tenant && paths.has(key.child),
  );
}

/**
 * Dependents, core, tenant. A table that core tables refer to cannot go before them and stands with
 * the core; whatever else there is depends on nothing there and goes first.
 */
function draftLevels(
  tables: readonly TableName[],
  edges: readonly OrderEdge[],
  core: ReadonlySet<TableName>,
  tenant: TableName,
): LevelDraft[] {
  const withCore = new Set(core);
  // A Set's iteration also visits what is added meanwhile: the closure over "refers to".
  for (const table of withCore) {
    for (const edge of edges) {
      if (edge.child === table && edge.parent !== tenant) withCore.add(edge.parent);
    }
  }
  const others = tables.filter((table) => table !== tenant);
  const dependents = others.filter((table) => !withCore.has(table));
  return [
    ...layer(dependents, edges).map((layer) => ({ stage: 'dependents' as const, tables: layer })),
    ...layer([...withCore], edges).map((layer) => ({ stage: 'core' as const, tables: layer })),
    { stage: 'tenant', tables: [tenant] },
  ];
}

/** Each table one layer above the highest of its children: as early as it can go. */
function layer(tables: readonly TableName[], edges: readonly OrderEdge[]): TableName[][] {
  const children = new Map<TableName, TableName[]>(tables.map((table) => [table, []]));
  for (const edge of edges) {
    if (children.has(edge.child)) children.get(edge.parent)?.push(edge.child);
  }
  const heights = new Map<TableName, number>();
  const heightOf = (table: TableName): number => {
    const known = heights.get(table);
    if (known !== undefined) return known;
    const height = Math.max(-1, ...(children.get(table) ?? []).map(heightOf)) + 1;
    heights.set(table, height);
    return height;
  };
  const layers: TableName[][] = [];
  for (const table of sortedBy(tables, (name) => name)) {
    const height = heightOf(table);
    while (layers.length <= height) layers.push([]);
    layers[height]?.push(table);
  }
  return layers;
}

function clearStep(
  map: SchemaMap,
  fixed: FixedColumns,
  paths: Paths,
  key: CatalogueForeignKey,
  reason: ClearStep['reason'],
): ClearStep | null {
  const columns = clearableColumns(map, fixed, key);
  const path = paths.get(key.child);
  if (columns === null || path === undefined) return null;
  return { kind: 'clear', table: key.child, path, foreignKey: key.name, columns, reason };
}

/** A clear stands one level before the first of the two tables that its key joins. */
function placeSteps(
  map: SchemaMap,
  drafts: readonly LevelDraft[],
  paths: Paths,
  clears: readonly ClearStep[],
): Omit<PlanLevel, 'name'>[] {
  const levelOf = new Map(
    drafts.flatMap((draft, level) => draft.tables.map((table) => [table, level] as const)),
  );
  const clearsAt = new Map<number, ClearStep[]>();
  for (const step of clears) {
    const key = map.foreignKeys.find((candidate) => candidate.name === step.foreignKey);
    const level = Math.min(levelOf.get(step.table) ?? 0, (key && levelOf.get(key.parent)) ?? 0) - 1;
    clearsAt.set(level, [...(clearsAt.get(level) ?? []), step]);
  }
  const levels = drafts.map((draft, level): Omit<PlanLevel, 'name'> => {
    const deletes = draft.tables.flatMap((table) => deleteStep(map, paths, table));
    return { stage: draft.stage, steps: sortSteps([...(clearsAt.get(level) ?? []), ...deletes]) };
  });
  const first = clearsAt.get(-1);
  return first === undefined
    ? levels
    : [{ stage: 'dependents', steps: sortSteps(first) }, ...levels];
}

const sortSteps = (steps: readonly PlanStep[]): PlanStep[] =>
  [...steps].sort(
    (left, right) =>
      compareText(left.kind, right.kind) ||
      compareText(left.table, right.table) ||
      compareText(clearedKey(left), clearedKey(right)),
  );

const clearedKey = (step: PlanStep): string => (step.kind === 'clear' ? step.foreignKey : '');

function deleteStep(map: SchemaMap, paths: Paths, table: TableName): DeleteStep[] {
  const path = paths.get(table);
  if (path === undefined) return [];
  return [
    {
      kind: 'delete',
      table,
      path,
      partitioned: map.byName.get(table)?.kind === 'partitioned',
      actingKeys: (map.keysTo.get(table) ?? []).flatMap((key) => actingKey(map, key)),
    },
  ];
}

function actingKey(map: SchemaMap, key: CatalogueForeignKey): ActingKey[] {
  const { name, onDelete, child, columns, referencedColumns } = key;
  if (onDelete === 'NO ACTION' || onDelete === 'RESTRICT') return [];
  const childPartitioned = map.byName.get(child)?.kind === 'partitioned';
  return [
    { foreignKey: name, action: onDelete, child, childPartitioned, columns, referencedColumns },
  ];
}

function nameLevels(levels: readonly Omit<PlanLevel, 'name'>[]): PlanLevel[] {
  return levels.map((level, index) => {
    const sameStage = levels.filter((other) => other.stage === level.stage);
    const number = levels.slice(0, index + 1).filter((other) => other.stage === level.stage).length;
    const isNumbered = level.stage === 'dependents' || sameStage.length > 1;
    return { name: isNumbered ? `${level.stage} ${number}` : level.stage, ...level };
  });
}
