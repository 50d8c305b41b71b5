import type { Hazard } from './hazard.ts';
import type { Fingerprint, TableName } from './ids.ts';
import type { Stage } from './purge.ts';

/** One hop of a tenant path: `from.columns` equal `to.columns`. Several columns for composite keys. */
export interface PathHop {
  readonly from: TableName;
  readonly columns: readonly string[];
  readonly to: TableName;
  readonly referencedColumns: readonly string[];
}

/**
 * How a table's rows reach the tenant. After the hops (none for a table with a tenant column of its
 * own) stands the table whose `column` holds the tenant's key.
 */
export interface TenantPath {
  readonly hops: readonly PathHop[];
  readonly table: TableName;
  readonly column: string;
  /** Why this path: the tenant table itself, a foreign key, a bare column or the configuration. */
  readonly via: 'tenant' | 'foreign-key' | 'column' | 'configuration' | 'parent';
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

/** Delete the tenant's rows of one table. */
export interface DeleteStep {
  readonly kind: 'delete';
  readonly table: TableName;
  readonly path: TenantPath;
  /** True for a partitioned table, whose rows lie in its leaves. */
  readonly partitioned: boolean;
  readonly actingKeys: readonly ActingKey[];
}

/** Set nullable references between the tenant's own rows to NULL, so that an order exists. */
export interface ClearStep {
  readonly kind: 'clear';
  readonly table: TableName;
  readonly path: TenantPath;
  readonly foreignKey: string;
  readonly columns: readonly string[];
  /**
   * `cycle`: needed always. `self`: needed only where a table is deleted in more than one
   * statement; one statement that holds the whole chain passes without.
   */
  readonly reason: 'cycle' | 'self';
}

export type PlanStep = DeleteStep | ClearStep;

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

/** Levels, hazards and the fingerprint of the catalogue they were made from. */
export interface Plan {
  readonly fingerprint: Fingerprint;
  /** The sentences the fingerprint is taken over, sorted; their difference explains a drift. */
  readonly facts: readonly string[];
  readonly tenant: TenantTable;
  readonly levels: readonly PlanLevel[];
  /** Core tables, for the report. */
  readonly core: readonly TableName[];
  readonly hazards: readonly Hazard[];
}

/** Every delete of the plan, in order. */
export const deleteSteps = (plan: Plan): DeleteStep[] =>
  plan.levels.flatMap((level) => level.steps.filter((step) => step.kind === 'delete'));

/** A path for people: `agent_id → public.agents.tenant_id`. */
export function describePath(path: TenantPath): string {
  const hops = path.hops.map((hop) => `${hop.columns.join(', ')} → ${hop.to}`);
  return path.hops.length === 0 ? path.column : `${hops.join('.')}.${path.column}`;
}
