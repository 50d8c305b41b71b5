/**
 * How far a table is. A position is a hint that saves work, never proof: VACUUM FULL changes the
 * filenode, updated rows land behind the scan, and only a fresh query says that a table is done.
 */
export interface Checkpoint {
  /** Pass over the table: 1 for the first; another when a fresh query still finds rows. */
  readonly pass: number;
  /** Leaf the pass stands in (the table itself unless partitioned), as `schema.table`. */
  readonly leaf: string;
  /** `pg_relation_filenode` of the leaf when the pass entered it; another one restarts the leaf. */
  readonly filenode: number;
  /** First block not yet visited. */
  readonly nextBlock: number;
  /** Only a fresh query that finds none of the tenant's rows sets it. */
  readonly done: boolean;
  /** Rows committed so far, all passes together. */
  readonly rows: number;
}
