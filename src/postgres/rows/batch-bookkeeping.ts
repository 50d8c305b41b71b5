import type { Checkpoint } from '../../domain/checkpoint.ts';
import type { PlanStep } from '../../domain/plan.ts';
import type { Stage } from '../../domain/purge.ts';
import type { Fence } from '../../domain/records.ts';
import type { BatchRange, TableStep } from './change-statements.ts';
import { literal } from './row-predicate.ts';
import { stepKey } from './step-key.ts';

export interface BatchLimits {
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
}

/** One line of the ledger: what a transaction did in one table. */
export interface LedgerEntry {
  readonly stage: Stage;
  readonly level: string;
  readonly kind: TableStep['kind'];
  readonly table: string;
  readonly leaf: string | null;
  readonly range: string | null;
  readonly rows: number;
  readonly durationMs: number;
}

/**
 * A worker that freezes inside a transaction keeps its locks; the server ends its session after
 * this long, so that a stop or the next holder need not wait for ever.
 */
const IDLE_IN_TRANSACTION_MS = 10_000;

/**
 * First statement of every transaction: locks, fence, and whether a stop was asked for. A worker that
 * freezes, or whose machine dies, while rows stream to it leaves the server waiting to send, where
 * neither that limit nor the statement's applies: the socket has one of its own.
 */
export function enterBatch(fence: Fence, limits: BatchLimits): string {
  return `select tenant_purge.enter_batch(${literal(fence.purgeId)}, ${fence.epoch},
    ${limits.lockTimeoutMs}, ${limits.statementTimeoutMs}, ${IDLE_IN_TRANSACTION_MS}),
    set_config('tcp_user_timeout', '${IDLE_IN_TRANSACTION_MS}', true)`;
}

/**
 * `rows` are this batch's and added by the server: a batch that lost its connection during COMMIT,
 * but did commit, is tried again, finds nothing, and must not write its predecessor's rows away.
 */
export function saveCheckpoint(fence: Fence, step: PlanStep, checkpoint: Checkpoint): string {
  return `insert into tenant_purge.checkpoint
      (purge_id, step, pass, leaf, filenode, next_block, done, rows)
    values (${literal(fence.purgeId)}, ${literal(stepKey(step))}, ${checkpoint.pass},
      ${literal(checkpoint.leaf)}, ${checkpoint.filenode}, ${checkpoint.nextBlock},
      ${checkpoint.done}, ${checkpoint.rows})
    on conflict (purge_id, step) do update set pass = excluded.pass, leaf = excluded.leaf,
      filenode = excluded.filenode, next_block = excluded.next_block, done = excluded.done,
      rows = checkpoint.rows + excluded.rows`;
}

/** INSERT of the entries that changed a row; empty where none did. */
export function ledgerRows(fence: Fence, entries: readonly LedgerEntry[]): string[] {
  const values = entries
    .filter(({ rows }) => rows > 0)
    .map(
      (entry) => `(${literal(fence.purgeId)}, ${fence.epoch}, ${literal(entry.stage)},
      ${literal(entry.level)}, ${literal(entry.kind)}, ${literal(entry.table)},
      ${entry.leaf === null ? 'null' : literal(entry.leaf)},
      ${entry.range === null ? 'null' : literal(entry.range)},
      ${entry.rows}, ${entry.durationMs.toFixed(3)}, ${literal(fence.worker)})`,
    );
  if (values.length === 0) return [];
  return [
    `insert into tenant_purge.batch
    (purge_id, fence, stage, level, kind, table_name, leaf, range, rows, duration_ms, worker)
    values ${values.join(', ')}`,
  ];
}

export function describeRange(range: BatchRange): string {
  return range.kind === 'blocks'
    ? `blocks ${range.from}–${range.to - 1}`
    : `rows ${range.tids.at(0)}–${range.tids.at(-1)}`;
}

/** Where inside its table a batch was; a statement over the whole table has neither. */
export type Place = Pick<LedgerEntry, 'leaf' | 'range'>;
export const NOWHERE: Place = { leaf: null, range: null };

export const entryOf = (
  step: TableStep,
  rows: number,
  durationMs: number,
  { stage, level }: Pick<LedgerEntry, 'stage' | 'level'>,
  place: Place = NOWHERE,
): LedgerEntry => ({
  stage,
  level,
  kind: step.kind,
  table: step.table,
  ...place,
  rows,
  durationMs,
});
