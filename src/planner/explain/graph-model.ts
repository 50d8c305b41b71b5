import type { TableName } from '../../domain/ids.ts';
import {
  type ComponentStep,
  deleteSteps,
  describeWay,
  type Plan,
  type PlanLevel,
  type ReferenceCheck,
  type TenantPath,
  type TenantTable,
  type Way,
} from '../../domain/plan.ts';

/** A plan as something to draw: levels in order, tables in them, foreign keys from child to parent. */
export interface PlanGraph {
  readonly levels: readonly GraphLevel[];
  /** Tables that rows are not deleted from, though they refer to some or are changed. */
  readonly staying: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

export interface GraphLevel {
  readonly title: string;
  readonly nodes: readonly GraphNode[];
  /** Circles of tables whose rows all go in one transaction. */
  readonly circles: readonly { readonly title: string; readonly nodes: readonly GraphNode[] }[];
}

export interface GraphNode {
  /** `t1`, `t2`, …: safe in every language. */
  readonly id: string;
  readonly table: TableName;
  /** Ways to the tenant that no foreign key shows; empty where the edges say it all. */
  readonly notes: readonly string[];
}

export interface GraphEdge {
  readonly child: string;
  readonly parent: string;
  /** `agent_id`, then `ON DELETE CASCADE`. */
  readonly label: readonly string[];
  /** Rows to delete are found by it. */
  readonly isPath: boolean;
  /** Set to NULL before its parent is deleted. */
  readonly isCleared: boolean;
}

/** Pure. The same plan gives the same graph, numbers of the nodes included. */
export function graphOf(plan: Plan): PlanGraph {
  const paths = new Map(deleteSteps(plan).map(({ table, path }) => [table, path]));
  const shown = new Set(plan.references.flatMap((key) => waysAlong(key, plan.tenant, paths)));
  const ids = new Map<TableName, string>();
  const node = (table: TableName): GraphNode => {
    const id = `t${ids.size + 1}`;
    ids.set(table, id);
    const hidden = paths.get(table)?.ways.filter((way) => !shown.has(way) && way.via !== 'tenant');
    return { id, table, notes: hidden?.map((way) => `by ${describeWay(way)}`) ?? [] };
  };
  const levels = plan.levels
    .map((level) => levelOf(level, node))
    .filter((level) => !isEmpty(level));
  const staying = stayingTables(plan, paths).map(node);
  const cleared = clearedKeys(plan);
  const edges = plan.references.flatMap((key): GraphEdge[] => {
    const child = ids.get(key.child);
    const parent = ids.get(key.parent.table);
    if (child === undefined || parent === undefined) return [];
    const isPath = waysAlong(key, plan.tenant, paths).length > 0;
    const label = [labelOf(key), `ON DELETE ${key.action}`];
    return [{ child, parent, label, isPath, isCleared: cleared.has(key.foreignKey) }];
  });
  return { levels, staying, edges };
}

type Paths = ReadonlyMap<TableName, TenantPath>;

function levelOf({ name, steps }: PlanLevel, node: (table: TableName) => GraphNode): GraphLevel {
  return {
    title: name,
    nodes: steps.filter((step) => step.kind === 'delete').map(({ table }) => node(table)),
    circles: steps
      .filter((step) => step.kind === 'component')
      .map((step) => ({
        title: titleOf(step),
        nodes: step.deletes.map(({ table }) => node(table)),
      })),
  };
}

const titleOf = ({ way }: ComponentStep): string =>
  way === 'deferred' ? 'in one transaction, keys deferred' : 'in one statement';

/** A level that only clears has no table of its own to show. */
const isEmpty = ({ nodes, circles }: GraphLevel): boolean =>
  nodes.length === 0 && circles.length === 0;

function stayingTables(plan: Plan, paths: Paths): TableName[] {
  const steps = plan.levels.flatMap((level) => level.steps);
  const tables = new Set([
    ...plan.references.map((key) => key.child),
    ...steps.filter((step) => step.kind === 'clear').map((step) => step.table),
  ]);
  return [...tables].filter((table) => !paths.has(table)).sort();
}

const clearedKeys = (plan: Plan): Set<string> =>
  new Set(
    plan.levels
      .flatMap((level) => level.steps)
      .filter((step) => step.kind === 'clear')
      .filter(({ reason }) => reason === 'cycle' || reason === 'self' || reason === 'rule')
      .map(({ foreignKey }) => foreignKey),
  );

/** The ways, of the child or of a one-to-one parent, that lead along a key. */
function waysAlong(key: ReferenceCheck, tenant: TenantTable, paths: Paths): Way[] {
  const child = paths.get(key.child);
  const parent = paths.get(key.parent.table) ?? key.parent;
  const isAlong = (way: Way): boolean =>
    way.kind === 'parent'
      ? (way.relation === key.parentRelation || way.relation === key.parent.table) &&
        way.columns.join() === key.columns.join()
      : way.kind === 'column' &&
        key.parent.table === tenant.table &&
        key.columns.includes(way.column);
  return [
    ...(child?.ways.filter(isAlong) ?? []),
    ...parent.ways.filter((way) => way.kind === 'child' && way.foreignKey === key.foreignKey),
  ];
}

function labelOf({
  columns,
  child,
  childRelation,
  parent,
  parentRelation,
}: ReferenceCheck): string {
  const from = childRelation === child ? '' : ` of ${childRelation}`;
  const to = parentRelation === parent.table ? '' : ` to ${parentRelation}`;
  return `${columns.join(', ')}${from}${to}`;
}
