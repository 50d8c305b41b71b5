import type { TableName } from './ids.ts';

/** `blocks`: no flag accepts it. `allow`: needs `--allow TYPE`. `info`: the operator should know. */
export type HazardSeverity = 'blocks' | 'allow' | 'info';

export const HAZARD_TYPES = [
  'OWNER_UNCLEAR',
  'OWNER_AMBIGUOUS',
  'UNKNOWN_REFERENCE',
  'UNEXPLAINED_TENANT_COLUMN',
  'UNBREAKABLE_CYCLE',
  'TENANT_TREE',
  'RESTRICT_SELF_REFERENCE',
  'FK_WITHOUT_INDEX',
  'UNSUPPORTED_TABLE',
  'UNSUPPORTED_KEY',
  'ROW_SECURITY',
  'DELETE_RULE',
  'BEFORE_DELETE_TRIGGER',
  'TRIGGER',
  'MISSING_PRIVILEGE',
  'NO_REPLICA_IDENTITY',
  'TENANT_COLUMN_WITHOUT_KEY',
  'TENANT_ROWS_OF_NOBODY',
  'REDIS_KEY_AMBIGUOUS',
  'CROSS_TENANT_REFERENCE',
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
