/** What is known of one leaf and of the tenant's part in it. */
interface LeafFacts {
  readonly blocks: number;
  /** `reltuples`; -1 when never analysed. */
  readonly estimatedRows: number;
  readonly hasTenantIndex: boolean;
  /** The tenant's rows in the table when the purge was enqueued. */
  readonly tenantRows: number;
}

/**
 * `heap`: visit the leaf block range by block range; never rescans, needs no index, reads all of it.
 * `index`: ask the index for the rows' addresses, then delete those.
 */
type AccessPath = 'heap' | 'index';

/** Below this share of the leaf's rows, the addresses are cheaper than a look at every block. */
const INDEX_SHARE_MAX = 0.1;
/** A leaf this small is read in one batch anyway. */
const HEAP_BLOCKS_ALWAYS = 64;

export function chooseAccessPath(facts: LeafFacts): AccessPath {
  if (!facts.hasTenantIndex || facts.blocks <= HEAP_BLOCKS_ALWAYS) return 'heap';
  const rows = facts.estimatedRows > 0 ? facts.estimatedRows : facts.blocks * ROWS_A_BLOCK_GUESS;
  return facts.tenantRows / rows < INDEX_SHARE_MAX ? 'index' : 'heap';
}

/** For leaves without statistics: rows of about 200 bytes. */
const ROWS_A_BLOCK_GUESS = 35;
