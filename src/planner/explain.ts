import type { Hazard } from '../domain/hazard.ts';
import type { Fingerprint, TableName } from '../domain/ids.ts';
import { describePath, type Plan, type TenantTable } from '../domain/plan.ts';

/** The `plan --json` document; programs rely on its shape. */
export interface PlanDocument {
  readonly fingerprint: Fingerprint;
  readonly tenant: TenantTable;
  readonly levels: readonly {
    readonly name: string;
    /** References set to NULL in this level; absent where there are none. */
    readonly clears?: readonly {
      readonly table: TableName;
      readonly foreignKey: string;
      readonly columns: readonly string[];
    }[];
    readonly tables: readonly {
      readonly table: TableName;
      readonly path: string;
      /** Rows to delete, where they were counted. */
      readonly rows?: number;
    }[];
  }[];
  readonly hazards: readonly Hazard[];
}

/** The plan as plain data, with rows for the tables that `counts` knows. Pure. */
export function planAsJson(plan: Plan, counts?: ReadonlyMap<string, number>): PlanDocument {
  return {
    fingerprint: plan.fingerprint,
    tenant: plan.tenant,
    levels: plan.levels.map(({ name, steps }) => {
      const clears = steps
        .filter((step) => step.kind === 'clear')
        .map(({ table, foreignKey, columns }) => ({ table, foreignKey, columns }));
      const tables = steps
        .filter((step) => step.kind === 'delete')
        .map(({ table, path }) => {
          const rows = counts?.get(table);
          return { table, path: describePath(path), ...(rows === undefined ? {} : { rows }) };
        });
      return { name, ...(clears.length > 0 ? { clears } : {}), tables };
    }),
    hazards: plan.hazards,
  };
}
