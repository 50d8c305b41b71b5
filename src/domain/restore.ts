import type { ErrorReport } from './errors.ts';
import type { PurgeId, TableName } from './ids.ts';

/** What can stand in the way of a restore; found before anything is changed. */
const CONFLICT_KINDS = [
  /** The archived table is not there. */
  'TABLE_GONE',
  /** An archived column is not there, or is computed now. */
  'COLUMN_DROPPED',
  /** A column that takes no NULL and has no default was added since. */
  'COLUMN_ADDED',
  /** A column has another type now, which takes its values not at all or not without loss. */
  'COLUMN_RETYPED',
  /** A check, a NOT NULL or a domain refuses a value. */
  'VALUE_REFUSED',
  /** No partition takes the row. */
  'PARTITION_MISSING',
  /** The very row is there. */
  'ROW_PRESENT',
  /** Another row has a key of its, or excludes it. */
  'ROW_TAKEN',
  /** What the row refers to is neither in the database nor in the archive. */
  'PARENT_GONE',
  /** A row that the purge changed is not there any more. */
  'ROW_GONE',
  /** A value that the purge changed was changed again since. */
  'CHANGED_SINCE',
  /** A Redis key is there, with another value. */
  'KEY_TAKEN',
  /** A trigger of the application's would fire. */
  'TRIGGER',
  /** Row security would hide rows from this role. */
  'ROW_SECURITY',
  /** The role may not. */
  'PRIVILEGE',
] as const;
export type ConflictKind = (typeof CONFLICT_KINDS)[number];

/** What `--settle KIND=ACTION` may say. */
export const SETTLEMENTS = {
  TABLE_GONE: ['skip'],
  COLUMN_DROPPED: ['ignore'],
  ROW_PRESENT: ['skip'],
  ROW_TAKEN: ['skip'],
  PARENT_GONE: ['skip', 'null'],
  ROW_GONE: ['skip'],
  CHANGED_SINCE: ['skip'],
  KEY_TAKEN: ['skip', 'replace'],
} as const satisfies Partial<Record<ConflictKind, readonly string[]>>;
export type SettledKind = keyof typeof SETTLEMENTS;
type Settlements = {
  readonly [Kind in SettledKind]?: (typeof SETTLEMENTS)[Kind][number];
};

export type TriggerChoice = 'fire' | 'disable';

/** How the operator settles what stands in the way; kept with the restore, so that it goes on by them. */
export interface RestoreRules {
  readonly settle: Settlements;
  /** By `schema.table.trigger`. */
  readonly triggers: Readonly<Record<string, TriggerChoice>>;
}

export const NO_RULES: RestoreRules = { settle: {}, triggers: {} };

/** One kind of conflict in one place, with all that it is about. */
export interface Conflict {
  readonly kind: ConflictKind;
  /** Null for Redis keys and privileges of the whole database. */
  readonly table: TableName | null;
  /** The column, index, constraint, trigger or privilege. */
  readonly object: string | null;
  readonly count: number;
  /** The first of the rows or keys, by their key. */
  readonly rows: readonly string[];
  readonly message: string;
  readonly remedy: string;
  /** The rule that settles it, or null: then nothing is restored. */
  readonly settledBy: string | null;
}

/** Rows listed of each conflict; the others are counted. */
export const CONFLICT_ROWS_LISTED = 20;

/** How far a restore is, or how it ended. */
export interface RestoreReport {
  readonly purgeId: PurgeId;
  /** `checked`: a dry run; `already`: every row was back before. */
  readonly outcome: 'restored' | 'already' | 'checked';
  readonly rowsTotal: number;
  readonly rowsRestored: number;
  readonly rowsSkipped: number;
  /** Rows that stayed, and have their values from before the purge again. */
  readonly rowsChangedBack: number;
  readonly keys: KeysReport;
  readonly tables: readonly RestoredTable[];
  /** Sequences that were moved forward. */
  readonly sequences: readonly { readonly sequence: string; readonly value: number }[];
  readonly conflicts: readonly Conflict[];
  readonly error: ErrorReport | null;
}

export interface KeysReport {
  readonly restored: number;
  /** Their time was over. */
  readonly expired: number;
  readonly skipped: number;
  /** Why no key was looked at; null where they were. */
  readonly omitted: string | null;
}

export const NO_KEYS: KeysReport = { restored: 0, expired: 0, skipped: 0, omitted: null };

export interface RestoredTable {
  readonly table: TableName;
  readonly rows: number;
  readonly skipped: number;
  /** `values`: count and digest of all its rows' text agree; `count`: a trigger changed values on the way. */
  readonly verified: 'values' | 'count' | null;
}

/** The holder's token of a restore. */
export interface RestoreHold {
  readonly purgeId: PurgeId;
  readonly epoch: number;
  readonly holder: string;
}
