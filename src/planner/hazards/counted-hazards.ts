import type { Hazard } from '../../domain/hazard.ts';
import type { TableName } from '../../domain/ids.ts';
import type { Plan } from '../../domain/plan.ts';

/** A tenant that is to go, with its rows per table; tables without any are left out. */
interface CountedRows {
  readonly id: string;
  readonly rows: Readonly<Record<string, number>>;
}

/** The plan's hazards with figures for these tenants, and those that only show for them. Pure. */
export const countedHazards = (plan: Plan, tenants: readonly CountedRows[]): Hazard[] => [
  ...plan.hazards.map((hazard) => {
    switch (hazard.type) {
      case 'CYCLE_IN_ONE_STATEMENT':
      case 'CYCLE_DEFERRED':
        return withLargestTenant(plan, tenants, hazard);
      case 'FK_WITHOUT_INDEX':
        return withCost(plan, tenants, hazard);
      default:
        return hazard;
    }
  }),
  ...tenantPartitions(plan, tenants),
];

/** A circle that goes in one transaction weighs as much as the largest tenant has rows in it. */
function withLargestTenant(plan: Plan, tenants: readonly CountedRows[], hazard: Hazard): Hazard {
  const step = plan.levels
    .flatMap(({ steps }) => steps)
    .find((one) => one.kind === 'component' && one.table === hazard.table);
  if (step?.kind !== 'component') return hazard;
  const counts = tenants.map(({ rows }) =>
    step.deletes.reduce((sum, { table }) => sum + (rows[table] ?? 0), 0),
  );
  return { ...hazard, count: counts.reduce((most, count) => Math.max(most, count), 0) };
}

/** Each deleted row of the parent reads the whole child: rows of one times rows of the other. */
function withCost(plan: Plan, tenants: readonly CountedRows[], hazard: Hazard): Hazard {
  const check = plan.references.find(({ foreignKey }) => foreignKey === hazard.foreignKey);
  if (check === undefined) return hazard;
  const parentRows = rowsOf(tenants, check.parent.table);
  if (check.childEstimatedRows === null) {
    return {
      ...hazard,
      message: `${hazard.message} This campaign deletes ${parentRows} there.`,
    };
  }
  const cost = Math.round(check.childEstimatedRows) * parentRows;
  return {
    ...hazard,
    count: cost,
    message: `${hazard.message} This campaign deletes ${parentRows} there: about ${cost} rows read.`,
  };
}

function tenantPartitions(plan: Plan, tenants: readonly CountedRows[]): Hazard[] {
  const ids = new Set(tenants.map(({ id }) => id));
  return plan.partitions
    .filter(({ tenantId }) => ids.has(tenantId))
    .map(({ table, partition, tenantId }) => ({
      type: 'PARTITION_OF_ONE_TENANT',
      severity: 'info',
      table,
      message: `The partition ${partition} of ${table} holds rows of tenant ${tenantId} only: the purge deletes them one by one and leaves it empty.`,
      remedy: `Once the purge has nothing left there, run: ALTER TABLE ${table} DETACH PARTITION ${partition} CONCURRENTLY; DROP TABLE ${partition}; (Without CONCURRENTLY where ${table} has a DEFAULT partition.)`,
    }));
}

const rowsOf = (tenants: readonly CountedRows[], table: TableName): number =>
  tenants.reduce((sum, { rows }) => sum + (rows[table] ?? 0), 0);
