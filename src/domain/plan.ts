import type { Hazard } from './hazard.ts';
import type { Fingerprint, TableName } from './ids.ts';
import type { Stage } from './purge.ts';
import type { QuiesceRule } from './quiesce.ts';

/** A column must hold this value; several must hold theirs all together. */
export interface Guard {
  readonly column: string;
  readonly value: string;
}

/**
 * One way in which rows of a table reach the tenant.
 * `column`: the table's own column holds the tenant's key.
 * `parent`: own columns equal columns of a row of `relation`, whose owner is theirs too.
 * `child`: a one-to-one parent: the row belongs to whom the row that refers to it belongs.
 * `condition`: SQL of the operator's own, with `{tenantId}` in it.
 */
export type Way = ColumnWay | ParentWay | ChildWay | ConditionWay;

interface AnyWay {
  /** What speaks for it. */
  readonly via: 'tenant' | 'foreign-key' | 'column' | 'configuration' | 'parent';
  /** True where some rows have no value for it: the next way decides for these. */
  readonly nullable: boolean;
}

interface ColumnWay extends AnyWay {
  readonly kind: 'column';
  readonly column: string;
  readonly when: readonly Guard[];
  /** The key's type where the column is a narrower integer, which has no room for every tenant's id. */
  readonly comparedAs?: string;
}

interface ParentWay extends AnyWay {
  readonly kind: 'parent';
  readonly columns: readonly string[];
  readonly when: readonly Guard[];
  /** Where the rows referred to lie: the parent table, or the one partition of it that a key names. */
  readonly relation: TableName;
  readonly referencedColumns: readonly string[];
  readonly parent: TenantPath;
}

interface ChildWay extends AnyWay {
  readonly kind: 'child';
  /** Own columns, to which the child's `referencingColumns` refer. */
  readonly columns: readonly string[];
  readonly columnTypes: readonly string[];
  readonly foreignKey: string;
  readonly referencingColumns: readonly string[];
  readonly child: TenantPath;
}

interface ConditionWay extends AnyWay {
  readonly kind: 'condition';
  readonly sql: string;
}

/**
 * How a table's rows reach the tenant. The first way for which a row has values decides whose it is;
 * a row without values for any of them is nobody's.
 */
export interface TenantPath {
  readonly table: TableName;
  /** True for a partitioned table, whose rows lie in its leaves; any other is addressed by ONLY. */
  readonly partitioned: boolean;
  readonly ways: readonly Way[];
}

/**
 * A foreign key toward the table whose ON DELETE action changes rows of `child` by itself. The tenant's
 * own children go before, so that it finds nothing to do; a batch in which it acted is rolled back.
 */
export interface ActingKey {
  readonly foreignKey: string;
  readonly action: 'CASCADE' | 'SET NULL' | 'SET DEFAULT';
  readonly child: TableName;
  readonly childPartitioned: boolean;
  readonly columns: readonly string[];
  readonly referencedColumns: readonly string[];
}

/**
 * Keys of one-to-one parents, written down in the transaction that deletes the rows which refer to
 * them: afterwards nothing else would tell whose they were.
 */
export interface RememberedParent {
  readonly foreignKey: string;
  readonly columns: readonly string[];
  readonly parent: TableName;
}

/** A key by which somebody else could still refer to a row. */
export interface Referrer {
  readonly relation: TableName;
  readonly partitioned: boolean;
  readonly columns: readonly string[];
  readonly referencedColumns: readonly string[];
}

/** Delete the tenant's rows of one table. */
export interface DeleteStep {
  readonly kind: 'delete';
  readonly table: TableName;
  readonly path: TenantPath;
  /**
   * Rows of others, or of nobody, that go as well by a `delete` rule: those that reach the tenant by
   * one of these.
   */
  readonly also: readonly TenantPath[];
  /** True for a partitioned table, whose rows lie in its leaves. */
  readonly partitioned: boolean;
  readonly actingKeys: readonly ActingKey[];
  /**
   * Oids of the foreign keys that may act, as the catalogue had them when the plan was made from it:
   * a batch that finds another stops. Absent in a plan that was not read from a database.
   */
  readonly actingKeyIds?: readonly string[];
  /** One-to-one parents of the rows, to be deleted after them. */
  readonly remembers: readonly RememberedParent[];
  /** For a one-to-one parent: the keys that must not refer to a row for it to go; else null. */
  readonly unlessReferenced: readonly Referrer[] | null;
  /** True where a BEFORE DELETE trigger may keep a row: a batch then looks whether one is left. */
  readonly mayKeepRows: boolean;
  /** Primary key, by which a row is named to people; empty where there is none. */
  readonly primaryKey: readonly string[];
  /** reltuples of the table, all tenants together; null when never analysed; not part of the fingerprint. */
  readonly estimatedRows: number | null;
}

/** Set columns of rows that stay, or that go later, so that what they hold is gone. */
export interface ClearStep {
  readonly kind: 'clear';
  readonly table: TableName;
  readonly partitioned: boolean;
  /** The rows to change; the tenant's own, or those that refer to the tenant's. */
  readonly path: TenantPath;
  /** The key that refers; for `table` and `operator` the table's name. */
  readonly foreignKey: string;
  readonly columns: readonly string[];
  /** New values, one a column; absent: NULL for each. */
  readonly values?: readonly (string | null)[];
  /**
   * `cycle`: own references that keep an order from existing; needed always.
   * `self`: own references inside a table, needed only where it is deleted in more than one
   * statement; one statement that holds the whole chain passes without.
   * `rule`: references of others, cleared because the configuration says so.
   * `table`: the tenant column of a table whose rows stay without it (`onPurge: set-null`).
   * `operator`: an update of the operator's own (`onPurge: update`).
   */
  readonly reason: 'cycle' | 'self' | 'rule' | 'table' | 'operator';
}

/**
 * Tables in a circle that no clearing opens: all of the tenant's rows of all of them in one
 * transaction, without a bound. `deferred`: one statement a table, the keys checked at its end.
 * `one-statement`: one statement for all, which finds its rows before the first of them is gone.
 */
export interface ComponentStep {
  readonly kind: 'component';
  /** The first of its tables by name. */
  readonly table: TableName;
  readonly way: 'deferred' | 'one-statement';
  readonly deletes: readonly DeleteStep[];
  /** Keys to defer; empty for `one-statement`. */
  readonly deferredKeys: readonly string[];
}

export type PlanStep = DeleteStep | ClearStep | ComponentStep;

/** Tables that may be deleted together: no foreign key leads from one to another. */
export interface PlanLevel {
  readonly name: string;
  readonly stage: Extract<Stage, 'dependents' | 'core' | 'tenant'>;
  readonly steps: readonly PlanStep[];
}

/** The tenant table and the columns of it that the program reads. */
export interface TenantTable {
  readonly table: TableName;
  readonly key: string;
  /** Type of the key as `format_type` prints it, e.g. `uuid`, `bigint`, `character varying(36)`. */
  readonly keyType: string;
  readonly label: string | null;
  /** Boolean column that marks test tenants; for the report only. */
  readonly testColumn: string | null;
}

/**
 * A foreign key into a table that the purge deletes from, and what to look for in its data: rows of
 * others, or of nobody, that refer to doomed rows; and doomed rows that refer to rows of others.
 */
export interface ReferenceCheck {
  readonly foreignKey: string;
  readonly action: 'NO ACTION' | 'RESTRICT' | 'CASCADE' | 'SET NULL' | 'SET DEFAULT';
  readonly rule: 'set-null' | 'delete' | 'refuse';
  /** False where the configuration is silent and `refuse` is the default. */
  readonly isRuled: boolean;
  readonly child: TableName;
  /** Where the referring rows lie: the child, or the one partition that carries the key. */
  readonly childRelation: TableName;
  readonly childPartitioned: boolean;
  /** Whose the child's rows are; null where the table belongs to no tenant. */
  readonly childPath: TenantPath | null;
  /** True where the plan deletes the tenant's rows of the child, false where they stay. */
  readonly childDeleted: boolean;
  readonly childPrimaryKey: readonly string[];
  /** `reltuples`; null when never analysed. */
  readonly childEstimatedRows: number | null;
  readonly columns: readonly string[];
  /** The last column matches by overlapping ranges. */
  readonly period: boolean;
  readonly parent: TenantPath;
  /** Rows of the parent that go by a `delete` rule. */
  readonly parentAlso: readonly TenantPath[];
  readonly parentRelation: TableName;
  readonly referencedColumns: readonly string[];
  /** What a `set-null` rule sets to NULL, and the CHECKs that read these columns. */
  readonly clearColumns: readonly string[];
  readonly clearChecks: readonly { readonly name: string; readonly definition: string }[];
}

/** A partition whose bound admits rows of one tenant only. */
export interface TenantPartition {
  readonly table: TableName;
  readonly partition: TableName;
  readonly tenantId: string;
}

/** Levels, hazards and the fingerprint of the catalogue they were made from. */
export interface Plan {
  readonly fingerprint: Fingerprint;
  /** The sentences the fingerprint is taken over, sorted; their difference explains a drift. */
  readonly facts: readonly string[];
  readonly tenant: TenantTable;
  /** How a tenant is marked before its rows go; absent: not at all. */
  readonly quiesce?: QuiesceRule;
  /** Boolean column of the tenant table that forbids a purge; absent: none. */
  readonly hold?: string;
  readonly levels: readonly PlanLevel[];
  /** Core tables, for the report. */
  readonly core: readonly TableName[];
  readonly references: readonly ReferenceCheck[];
  /** The tenant table's keys to itself: a tenant may have descendants. */
  readonly tree: readonly {
    readonly columns: readonly string[];
    readonly referencedColumns: readonly string[];
    readonly foreignKey: string;
  }[];
  readonly partitions: readonly TenantPartition[];
  readonly hazards: readonly Hazard[];
}

/** Every delete of the plan, in order; those of a component too. */
export const deleteSteps = (plan: Plan): DeleteStep[] =>
  plan.levels.flatMap((level) => level.steps.flatMap(deletesOf));

/** The deletes that a step consists of. */
export const deletesOf = (step: PlanStep): readonly DeleteStep[] =>
  step.kind === 'delete' ? [step] : step.kind === 'component' ? step.deletes : [];

/** A path for people: `agent_id → public.agents.tenant_id`; `a; else b` where there are several ways. */
export const describePath = (path: TenantPath): string =>
  path.ways.map(describeWay).join('; else ');

export function describeWay(way: Way): string {
  switch (way.kind) {
    case 'column':
      return `${way.column}${describeGuards(way.when)}`;
    case 'parent':
      return `${way.columns.join(', ')}${describeGuards(way.when)} → ${way.relation}.${nested(way.parent)}`;
    case 'child':
      return `${way.columns.join(', ')} ← ${way.child.table}(${way.referencingColumns.join(', ')}).${nested(way.child)}`;
    case 'condition':
      return way.sql;
    default:
      return way satisfies never;
  }
}

const nested = (path: TenantPath): string =>
  path.ways.length === 1 ? describePath(path) : `(${describePath(path)})`;

const describeGuards = (guards: readonly Guard[]): string =>
  guards.length === 0
    ? ''
    : ` where ${guards.map(({ column, value }) => `${column} = ${value}`).join(' and ')}`;

/** Every table that a path looks into besides its own. */
export function tablesOnPath(path: TenantPath): Set<TableName> {
  const tables = new Set<TableName>();
  const visit = (next: TenantPath): void => {
    if (tables.has(next.table)) return;
    tables.add(next.table);
    for (const inner of pathsBelow(next)) visit(inner);
  };
  for (const inner of pathsBelow(path)) visit(inner);
  return tables;
}

/** The paths that a path goes on by. */
export const pathsBelow = (path: TenantPath): TenantPath[] =>
  path.ways.flatMap((way) =>
    way.kind === 'parent' ? [way.parent] : way.kind === 'child' ? [way.child] : [],
  );

/** True where a row's owner can only be asked for one tenant at a time. */
export const hasCondition = (path: TenantPath): boolean =>
  path.ways.some((way) => way.kind === 'condition') || pathsBelow(path).some(hasCondition);
