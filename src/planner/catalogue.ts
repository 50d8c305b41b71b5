import type { TableName } from '../domain/ids.ts';

/**
 * What the planner knows of a database: plain facts, read in a handful of queries by
 * `src/postgres/catalogue/catalogue-reader.ts`, or written down by a test.
 */
export interface Catalogue {
  readonly tables: readonly CatalogueTable[];
  readonly foreignKeys: readonly CatalogueForeignKey[];
  /** Views and materialized views, so that a rule that names one can be told from a slip of the pen. */
  readonly views?: readonly TableName[];
  /** Connected role, for remedies that grant it something; never part of a fingerprint. */
  readonly role?: string;
}

export interface CatalogueTable {
  readonly name: TableName;
  readonly schema: string;
  readonly relation: string;
  /**
   * `inherited`: plain inheritance, either side; each such table is a set of rows of its own, which
   * ONLY addresses. Partitions themselves are not listed; a root with a foreign table among its
   * partitions is `foreign`.
   */
  readonly kind: 'ordinary' | 'partitioned' | 'foreign' | 'inherited';
  readonly columns: readonly CatalogueColumn[];
  readonly primaryKey: readonly string[] | null;
  readonly indexes: readonly CatalogueIndex[];
  /** CHECK constraints of the table and its columns. */
  readonly checks?: readonly CatalogueCheck[];
  /** Of a partitioned table: how it is divided, and its leaves. */
  readonly partitions?: CataloguePartitions;
  readonly unlogged?: boolean;
  /** Materialized views over the table, directly or by way of other views. */
  readonly materializedViews?: readonly string[];
  /** Publications that send its deletes or updates to subscribers. */
  readonly publications?: readonly string[];
  /** User triggers only, partitions' included; enabled ones. */
  readonly triggers: readonly CatalogueTrigger[];
  /** Rules on DELETE. */
  readonly rules: readonly string[];
  /** Rules on UPDATE. */
  readonly updateRules?: readonly string[];
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
  /** As `format_type` prints it; of a domain the type below it, whose operators compare its values. */
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
  /**
   * Valid, ready, btree or hash, and not partial but for `column IS NOT NULL` over columns of its own:
   * fit to serve any look-up by equality. On a partitioned table: every leaf has such an index.
   */
  readonly usable: boolean;
  /**
   * Columns in which NULL is no way out of a unique or exclusion index: two rows that have lost their
   * value may collide (NULLS NOT DISTINCT, `WHERE parent_id IS NULL`, `coalesce(parent_id, 0)`).
   */
  readonly nullsCollide?: readonly string[];
}

export interface CatalogueCheck {
  readonly name: string;
  /** Columns that the expression reads. */
  readonly columns: readonly string[];
  /** As `pg_get_constraintdef` prints it, e.g. `CHECK ((agent_id IS NOT NULL))`. */
  readonly definition: string;
}

export interface CataloguePartitions {
  readonly strategy: 'list' | 'range' | 'hash';
  /** Partition key of the root; empty where it has an expression. */
  readonly columns: readonly string[];
  readonly leaves: readonly {
    readonly name: TableName;
    /** The values of a LIST partition directly below the root, as text; NULL and DEFAULT left out. */
    readonly values: readonly string[];
    /** True where the bound holds nothing but `values`: neither NULL nor DEFAULT. */
    readonly onlyValues: boolean;
    /** The partition directly below the root that the leaf lies in; absent: the leaf itself. */
    readonly within?: TableName;
  }[];
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
  /** `SET NULL (columns)`: the only columns that the action changes; absent: all of the key's. */
  readonly setColumns?: readonly string[];
  /** The single partition of the child that carries the key; absent: the child itself. */
  readonly childPartition?: TableName;
  /** The single partition of the parent that the key refers to; absent: the parent itself. */
  readonly parentPartition?: TableName;
  /** False for NOT ENFORCED: its rows may refer to nothing, and it neither checks nor acts. */
  readonly enforced?: boolean;
  /** PERIOD: the last column matches by overlapping ranges, and one row may need several parents. */
  readonly period?: boolean;
}
