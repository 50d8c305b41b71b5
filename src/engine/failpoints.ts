/**
 * Named points at which a test may kill the process or throw: one between any two things that a purge
 * makes durable. Enter and change of a batch are one message to the server, so that nothing can die
 * between them but the server itself.
 */
export const FAILPOINTS = [
  /** The fence is ours; nothing was looked at. */
  'claimed',
  /** The plan is the approved one; nothing was deleted. */
  'preflight-done',
  /** The tenant bears the mark of the purge, where one is configured; nothing was deleted. */
  'quiesced',
  /** The ledger says which level is next. */
  'level-entered',
  /** Before each transaction over tenants' tables. */
  'before-batch',
  /** Rows are deleted, but not committed. */
  'before-commit',
  /** The deleted rows are durable in the archive; the ledger does not know. */
  'archive-written',
  /** Rows, checkpoint and ledger are committed; the process has not heard of more. */
  'batch-committed',
  /** A fresh look has found none of the rows of a step, and the checkpoint says so. */
  'step-done',
  /** Every level is empty, or the one transaction of a small purge has committed. */
  'rows-done',
  /** The shared pass over Redis is claimed. */
  'before-sweep',
  /** The keys of one pipeline are known, none of them is gone. */
  'before-unlink',
  /** The keys of one pipeline are durable in the archive, and the ledger knows; none of them is gone. */
  'keys-archived',
  /** The pass is through; the ledger does not know. */
  'sweep-passed',
  /** The pass has sealed its purges; their jobs were not woken. */
  'swept',
  /** Verified by the purge itself, as where there are no Redis keys; its status is not written. */
  'before-seal',
  /** The final status is written; the job has not been told. */
  'sealed',
  /** The purge has ended; its archive has no manifest. */
  'before-manifest',
  /** A stop or an error has ended the run; the ledger does not know. */
  'before-settle',
] as const;

/** The same for a restore, which runs in the command's own process. */
export const RESTORE_FAILPOINTS = [
  /** The restore is held by this process, and the purge is `restoring`; no row is back. */
  'restore-claimed',
  /** Rows of a batch are inserted, linked or changed back, but not committed. */
  'restore-batch',
  /** They are committed, with the piece of work; the process has not heard of more. */
  'restore-committed',
  /** Every row is back and refers to what it referred to. */
  'restore-linked',
  /** A table was read back and agrees with the archive; the ledger knows. */
  'restore-verified',
  /** Rows that the purge had only changed have their values again; nobody has looked yet. */
  'restore-changed',
  /** Keys of one pipeline are back in Redis; the ledger does not know. */
  'restore-keys',
  /** Everything is back; the ledger does not know. */
  'restore-ended',
] as const;
export const ALL_FAILPOINTS = [...FAILPOINTS, ...RESTORE_FAILPOINTS] as const;
export type FailpointName = (typeof ALL_FAILPOINTS)[number];

/** Awaited at each point; does nothing in production. */
export type Failpoint = (name: FailpointName) => Promise<void>;

export const noFailpoint: Failpoint = () => Promise.resolve();
