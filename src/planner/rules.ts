import type { QuiesceRule } from '../domain/quiesce.ts';

/** What the operator's configuration settles about the plan; plain data, already validated. */
export interface PlanRules {
  readonly tenant: {
    /** `schema.table` as written by the operator. */
    readonly table: string;
    readonly key: string | null;
    readonly label: string | null;
    readonly testColumn: string | null;
    /** Names of tenant columns that have no foreign key. */
    readonly columns: readonly string[];
  };
  /** Tables whose rows scope others and go after them, e.g. agents, workspaces. */
  readonly core: readonly string[];
  readonly tables: Readonly<Record<string, TableRule>>;
  /** By `schema.table.constraint`. */
  readonly foreignKeys?: Readonly<Record<string, ForeignKeyRule>>;
  /** `schema.table.column` of references to one-to-one parents that go with their only row. */
  readonly follow?: readonly string[];
  /** How a tenant is marked for the application before its rows go. */
  readonly quiesce?: QuiesceRule | null;
  /** Boolean column of the tenant table that forbids a purge. */
  readonly hold?: string | null;
}

export interface TableRule {
  /** Owner columns; the first that has a value decides. Those of one composite key go together. */
  readonly ownedBy?: readonly (string | OwnerRule)[];
  /** SQL of the operator's own that is true for the tenant's rows; `{tenantId}` stands for its key. */
  readonly where?: string;
  /** What becomes of the tenant's rows; default `delete`. */
  readonly onPurge?: OnPurge;
  /** New values of the rows that stay, for `update`. */
  readonly set?: Readonly<Record<string, string | null>>;
}

type OnPurge = 'delete' | 'keep' | 'set-null' | 'update';

/** A column that holds an owner's key where other columns say so. */
export interface OwnerRule {
  readonly column: string;
  readonly when: Readonly<Record<string, string>>;
  /** Table whose primary key the column holds; absent: the tenant table. */
  readonly to?: string;
}

/**
 * `own`: the row belongs to whom the row it refers to belongs. The others make the key a mere
 * reference: of rows that are not part of the purge it is cleared, or they are deleted too, or the
 * purge is refused (as by default).
 */
export type ForeignKeyRule = 'own' | 'set-null' | 'delete' | 'refuse';
