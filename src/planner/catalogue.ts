import type { TableName } from '../domain/ids.ts';

/**
 * What the planner knows of a database: plain facts, read in a handful of queries by
 * `src/postgres/catalogue-reader.ts`, or written down by a test.
 */
export interface Catalogue {
  readonly tables: readonly CatalogueTable[];
  readonly foreignKeys: readonly CatalogueForeignKey[];
  /** Connected role, for remedies that grant it something; never part of a fingerprint. */
  readonly role?: string;
}

export interface CatalogueTable {
  readonly name: TableName;
  readonly schema: string;
  readonly relation: string;
  /**
   * `inherited`: plain inheritance, either side. Partitions themselves are not listed; a root with a
   * foreign table among its partitions is `foreign`.
   */
  readonly kind: 'ordinary' | 'partitioned' | 'foreign' | 'inherited';
  readonly columns: readonly CatalogueColumn[];
  readonly primaryKey: readonly string[] | null;
  readonly indexes: readonly CatalogueIndex[];
  /** User triggers only, partitions' included; enabled ones. */
  readonly triggers: readonly CatalogueTrigger[];
  /** Rules on DELETE or UPDATE. */
  readonly rules: readonly string[];
  /** Row security that applies to the connected role (it is no owner, superuser or BYPASSRLS). */
  readonly rowSecurityApplies: boolean;
  /** Missing of SELECT, DELETE, UPDATE, or USAGE of the schema, for the connected role. */
  readonly missingPrivileges: readonly string[];
  /** False where a publication sends deletes and the table has no replica identity. */
  readonly replicaIdentityOk: boolean;
  /** `reltuples`, all leaves together; -1 when never analysed. */
  readonly estimatedRows: number;
}

export interface CatalogueColumn {
  readonly name: string;
  /** `format_type(atttypid, atttypmod)`. */
  readonly type: string;
  readonly notNull: boolean;
  /** Computed by the database: no statement can set it. */
  readonly generated?: boolean;
}

export interface CatalogueIndex {
  readonly name: string;
  /** Leading columns in order; expression columns end the list. */
  readonly columns: readonly string[];
  readonly unique: boolean;
  /** Valid, ready, not partial, btree or hash: fit to serve any look-up by equality. */
  readonly usable: boolean;
}

export interface CatalogueTrigger {
  readonly name: string;
  readonly timing: 'before' | 'after' | 'instead';
  /** Row or statement level. */
  readonly forEachRow: boolean;
  readonly events: readonly ('insert' | 'update' | 'delete' | 'truncate')[];
}

export type DeleteAction = 'NO ACTION' | 'RESTRICT' | 'CASCADE' | 'SET NULL' | 'SET DEFAULT';

export interface CatalogueForeignKey {
  /** `schema.table.constraint`, the form the configuration uses. */
  readonly name: string;
  readonly child: TableName;
  readonly columns: readonly string[];
  readonly parent: TableName;
  readonly referencedColumns: readonly string[];
  readonly onDelete: DeleteAction;
  readonly deferrable: boolean;
  readonly validated: boolean;
  /** MATCH FULL: its columns are NULL all together or not at all. */
  readonly matchFull?: boolean;
  /** What puts the key beyond this planner; it then neither owns nor orders, it blocks. */
  readonly unsupported?: UnsupportedKey;
}

/**
 * `partition`: declared on or to a single partition, listed here under the root of each side.
 * `not-enforced` and `period` exist since PostgreSQL 18.
 */
export type UnsupportedKey = 'partition' | 'not-enforced' | 'period';
