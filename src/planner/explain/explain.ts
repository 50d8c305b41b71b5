import type { Hazard } from '../../domain/hazard.ts';
import type { Fingerprint, TableName } from '../../domain/ids.ts';
import {
  type ClearStep,
  type ComponentStep,
  type DeleteStep,
  deletesOf,
  describePath,
  type Plan,
  type TenantTable,
} from '../../domain/plan.ts';

/** The `plan --json` document; programs rely on its shape, which docs/plan.schema.json describes. */
export interface PlanDocument {
  readonly fingerprint: Fingerprint;
  readonly tenant: TenantTable;
  /** In the order in which they are worked off. */
  readonly levels: readonly LevelDocument[];
  readonly hazards: readonly Hazard[];
}

export interface LevelDocument {
  readonly name: string;
  /** Columns set in this level, in rows that stay or that go later; absent where there are none. */
  readonly clears?: readonly ClearDocument[];
  /** Circles of tables whose rows all go in one transaction; absent where there are none. */
  readonly together?: readonly TogetherDocument[];
  /** Tables to delete from, those of circles too. */
  readonly tables: readonly TableDocument[];
}

export interface TableDocument {
  readonly table: TableName;
  readonly path: string;
  /** Rows of others that go as well by a `delete` rule, each as a path; absent where there are none. */
  readonly also?: readonly string[];
  /** Rows of all tenants together, as the last ANALYZE saw them; null when there was none. */
  readonly estimatedRows: number | null;
  /** Rows to delete, where they were counted. */
  readonly rows?: number;
}

export interface ClearDocument {
  readonly table: TableName;
  /** Absent where no key but the table itself is configured so (`table`, `operator`). */
  readonly foreignKey?: string;
  readonly columns: readonly string[];
  /** New values, one a column; absent where each is set to NULL. */
  readonly values?: readonly (string | null)[];
  readonly reason: ClearStep['reason'];
  /** By which the rows to change are found. */
  readonly path: string;
}

export interface TogetherDocument {
  readonly way: ComponentStep['way'];
  readonly tables: readonly TableName[];
  /** Keys checked at the end of the transaction; absent where there are none. */
  readonly deferredKeys?: readonly string[];
}

/** The plan as plain data, with rows for the tables that `counts` knows. Pure. */
export function planAsJson(plan: Plan, counts?: ReadonlyMap<string, number>): PlanDocument {
  return {
    fingerprint: plan.fingerprint,
    tenant: plan.tenant,
    levels: plan.levels.map(({ name, steps }) => {
      const clears = steps.filter((step) => step.kind === 'clear').map(clearAsJson);
      const together = steps.filter((step) => step.kind === 'component').map(componentAsJson);
      return {
        name,
        ...(clears.length > 0 ? { clears } : {}),
        ...(together.length > 0 ? { together } : {}),
        tables: steps.flatMap(deletesOf).map((step) => tableAsJson(step, counts?.get(step.table))),
      };
    }),
    hazards: plan.hazards,
  };
}

const tableAsJson = (step: DeleteStep, rows: number | undefined): TableDocument => ({
  table: step.table,
  path: describePath(step.path),
  ...(step.also.length > 0 ? { also: step.also.map(describePath) } : {}),
  estimatedRows: step.estimatedRows,
  ...(rows === undefined ? {} : { rows }),
});

const clearAsJson = (step: ClearStep): ClearDocument => ({
  table: step.table,
  ...(step.reason === 'table' || step.reason === 'operator' ? {} : { foreignKey: step.foreignKey }),
  columns: step.columns,
  ...(step.values === undefined ? {} : { values: step.values }),
  reason: step.reason,
  path: describePath(step.path),
});

const componentAsJson = (step: ComponentStep): TogetherDocument => ({
  way: step.way,
  tables: step.deletes.map(({ table }) => table),
  ...(step.deferredKeys.length > 0 ? { deferredKeys: step.deferredKeys } : {}),
});
