import type { TableName } from './ids.ts';

/** `blocks`: no flag accepts it. `allow`: needs `--allow TYPE`. `info`: the operator should know. */
export type HazardSeverity = 'blocks' | 'allow' | 'info';

export const HAZARD_TYPES = [
  'OWNER_UNCLEAR',
  'OWNER_AMBIGUOUS',
  'NOTHING_OWNED',
  'UNKNOWN_REFERENCE',
  'OUTSIDE_REFERENCE',
  'ACTION_OUTSIDE_SET',
  'CROSS_TENANT_REFERENCE',
  'CLEARED_REFERENCE',
  'DELETED_REFERENCE',
  'TENANT_HAS_DESCENDANTS',
  'SET_NULL_OVER_NOT_NULL',
  'CLEAR_BREAKS_CHECK',
  'ORPHANED_PARENT',
  'UNEXPLAINED_TENANT_COLUMN',
  'CYCLE_IN_ONE_STATEMENT',
  'CYCLE_DEFERRED',
  'TENANT_TREE',
  'FK_WITHOUT_INDEX',
  'NO_PRIMARY_KEY',
  'UNSUPPORTED_TABLE',
  'UNSUPPORTED_KEY',
  'ROW_SECURITY',
  'DELETE_RULE',
  'BEFORE_DELETE_TRIGGER',
  'TRIGGER',
  'MISSING_PRIVILEGE',
  'NO_REPLICA_IDENTITY',
  'PUBLICATION',
  'MATERIALIZED_VIEW',
  'PARTITION_OF_ONE_TENANT',
  'TENANT_COLUMN_WITHOUT_KEY',
  'TENANT_ROWS_OF_NOBODY',
  'OPERATOR_CONDITION',
  'REDIS_KEY_AMBIGUOUS',
] as const;
export type HazardType = (typeof HAZARD_TYPES)[number];

/** Something in the schema or the data that a purge must not meet unprepared. */
export interface Hazard {
  readonly type: HazardType;
  readonly severity: HazardSeverity;
  readonly table: TableName | null;
  readonly foreignKey?: string;
  /** Rows concerned, where the hazard is one of data. */
  readonly count?: number;
  readonly message: string;
  readonly remedy: string;
  /** What purge.config could say to settle it, where one answer suggests itself; to be read first. */
  readonly settledBy?: Settlement;
}

/** A part of the configuration file. */
interface Settlement {
  readonly tables?: Readonly<Record<string, { readonly ownedBy: readonly string[] }>>;
  readonly follow?: readonly string[];
}

/** All suggestions together, as one part of the configuration file; empty where there is none. */
export function mergeSettlements(hazards: readonly Hazard[]): Settlement {
  const settlements = hazards.flatMap(({ settledBy }) => settledBy ?? []);
  const tables = Object.assign({}, ...settlements.map((one) => one.tables ?? {}));
  const follow = [...new Set(settlements.flatMap((one) => one.follow ?? []))];
  return {
    ...(Object.keys(tables).length === 0 ? {} : { tables }),
    ...(follow.length === 0 ? {} : { follow }),
  };
}

/** Hazards that still stand in the way once `allowed` types are accepted. */
export function hazardsInTheWay(
  hazards: readonly Hazard[],
  allowed: readonly string[],
): { readonly blocking: Hazard[]; readonly notAllowed: Hazard[] } {
  return {
    blocking: hazards.filter((hazard) => hazard.severity === 'blocks'),
    notAllowed: hazards.filter(
      (hazard) => hazard.severity === 'allow' && !allowed.includes(hazard.type),
    ),
  };
}
