import type pg from 'pg';
import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TableName, TenantId } from '../domain/ids.ts';
import type { ClearStep, PlanLevel, PlanStep } from '../domain/plan.ts';
import type { Stage } from '../domain/purge.ts';
import type { Fence } from '../domain/records.ts';
import { ChangeAudit, type OwnChanges } from './change-audit.ts';
import { type Database, withConnection } from './database.ts';
import { column, columns, literal, ownedRows } from './row-predicate.ts';

/** Part of one leaf that a batch visits. */
export type BatchRange =
  /** Blocks `from` (inclusive) to `to` (exclusive), read by a TID range scan. */
  | { readonly kind: 'blocks'; readonly from: number; readonly to: number }
  /** These rows by address, as an index gave them. */
  | { readonly kind: 'rows'; readonly tids: readonly string[] };

export interface Batch {
  readonly fence: Fence;
  readonly tenantId: TenantId;
  readonly stage: Stage;
  readonly level: string;
  readonly step: PlanStep;
  readonly leaf: string;
  readonly range: BatchRange;
  /** Where the table stands once this batch has committed; its `rows` are not read. */
  readonly checkpoint: Checkpoint;
  readonly limits: BatchLimits;
}

export interface BatchLimits {
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
}

export interface BatchResult {
  readonly rows: number;
  readonly durationMs: number;
}

/** All levels of a small tenant, in one transaction. */
export interface SmallPurge {
  readonly fence: Fence;
  readonly tenantId: TenantId;
  readonly levels: readonly PlanLevel[];
  readonly limits: BatchLimits;
  /** `redis`: give the purge back to wait for the sweep; `verify`: go on at once. */
  readonly next: 'redis' | 'verify';
}

/**
 * A worker that freezes inside a transaction keeps its locks; the server ends its session after
 * this long, so that a stop or the next holder need not wait for ever.
 */
const IDLE_IN_TRANSACTION_MS = 10_000;

/** The checkpoint's key of a step. */
export const stepKey = (step: PlanStep): string =>
  step.kind === 'delete' ? `delete ${step.table}` : `clear ${step.foreignKey}`;

/**
 * The only SQL that writes to tenants' tables. Every batch is one transaction of two round trips:
 * enter (locks, fence, wish) and delete; then checkpoint, ledger row and commit. Simple
 * protocol: nothing of it outlives the transaction, so a pooler in transaction mode serves.
 */
export class RowStore {
  readonly #pool: pg.Pool;
  readonly #beforeCommit: () => Promise<void>;

  /** @param beforeCommit fault point between the delete and its commit; nothing in production */
  constructor(database: Database, beforeCommit: () => Promise<void> = () => Promise.resolve()) {
    this.#pool = database.pool;
    this.#beforeCommit = beforeCommit;
  }

  /**
   * One batch of one table. All or nothing; running it twice deletes nothing twice.
   * @throws driver errors; TP001 stale fence, TP002 stop asked; PurgeError CASCADE_GUARD
   */
  async runBatch(batch: Batch): Promise<BatchResult> {
    const { step, fence } = batch;
    const doomed = `${ownedByAddress(step, batch.tenantId)} and ${rangeCondition(batch.range)}`;
    const changes = [{ step, sql: changeStatement(step, batch.leaf, doomed) }];
    return this.#change(fence, batch.limits, changes, (counts, durationMs) => {
      const rows = counts[0] ?? 0;
      const entry = {
        stage: batch.stage,
        level: batch.level,
        kind: step.kind,
        table: step.table,
        leaf: batch.leaf,
        range: describeRange(batch.range),
        rows,
        durationMs,
      };
      return {
        closing: [
          saveCheckpoint(fence, step, {
            ...batch.checkpoint,
            rows: step.kind === 'delete' ? rows : 0,
          }),
          ...(rows === 0 ? [] : [ledgerRows(fence, [entry])]),
        ],
        rows,
      };
    });
  }

  /**
   * Every level of a small tenant in one transaction: 27 tables cost two round trips and one
   * commit. References that form a cycle are cleared; self references need no clearing, because one
   * statement holds the whole chain.
   */
  async runSmallPurge(purge: SmallPurge): Promise<BatchResult> {
    const { fence } = purge;
    const changes = purge.levels.flatMap((level) =>
      level.steps
        .filter((step) => step.kind === 'delete' || step.reason === 'cycle')
        .map((step) => ({
          step,
          level,
          sql: changeStatement(step, step.table, ownedRows(step.path, 't', purge.tenantId)),
        })),
    );
    return this.#change(fence, purge.limits, changes, (counts, durationMs) => {
      const entries = changes
        .map(({ step, level }, index) => ({
          stage: level.stage,
          level: level.name,
          kind: step.kind,
          table: step.table,
          leaf: null,
          range: null,
          rows: counts[index] ?? 0,
          durationMs,
        }))
        .filter((entry) => entry.rows > 0);
      const rows = entries
        .filter((entry) => entry.kind === 'delete')
        .reduce((sum, entry) => sum + entry.rows, 0);
      return {
        closing: [
          ...(entries.length === 0 ? [] : [ledgerRows(fence, entries)]),
          `update tenant_purge.purge set rows_deleted = rows_deleted + ${rows}, level = null, ${
            purge.next === 'redis'
              ? `stage = 'redis', status = 'queued', worker = null, redis_waiting_since = clock_timestamp()`
              : `stage = 'verify'`
          } where id = ${literal(fence.purgeId)}`,
        ],
        rows,
      };
    });
  }

  /** Books that a fresh query found none of the tenant's rows left. Fenced like a batch. */
  async markDone(
    fence: Fence,
    step: PlanStep,
    checkpoint: Checkpoint,
    limits: BatchLimits,
  ): Promise<void> {
    await this.#change(fence, limits, [], () => ({
      closing: [saveCheckpoint(fence, step, { ...checkpoint, done: true, rows: 0 })],
      rows: 0,
    }));
  }

  /**
   * One transaction in two messages: enter and change; then, if nothing changed but what our own
   * statements named, book and commit.
   * @param book from rows per change to the closing statements and the rows to report
   */
  async #change(
    fence: Fence,
    limits: BatchLimits,
    changes: readonly { readonly step: PlanStep; readonly sql: string }[],
    book: (
      counts: readonly number[],
      durationMs: number,
    ) => { readonly closing: readonly string[]; readonly rows: number },
  ): Promise<BatchResult> {
    const audit = new ChangeAudit(changes.map(({ step }) => step));
    const counters = audit.statement();
    const watch = counters === null ? [] : [counters];
    const opening = [
      'BEGIN',
      enterBatch(fence, limits),
      ...watch,
      ...changes.map(({ sql }) => sql),
      ...watch,
    ];
    const startedAt = performance.now();
    return withConnection(this.#pool, async (client) => {
      // Several statements in one message: the driver answers with one result for each.
      const results = (await client.query(opening.join(';\n'))) as unknown as pg.QueryResult[];
      const first = 2 + watch.length;
      const counts = changes.map((_, index) => results[first + index]?.rowCount ?? 0);
      if (counters !== null) {
        const before = countersOf(results[2]);
        audit.check(fence.purgeId, before, countersOf(results.at(-1)), ownChanges(changes, counts));
      }
      const { closing, rows } = book(counts, performance.now() - startedAt);
      await this.#beforeCommit();
      await client.query([...closing, 'COMMIT'].join(';\n'));
      return { rows, durationMs: performance.now() - startedAt };
    });
  }
}

const countersOf = (result: pg.QueryResult | undefined): number[] =>
  (result?.rows[0]?.counters ?? []).map(Number);

function ownChanges(
  changes: readonly { readonly step: PlanStep }[],
  counts: readonly number[],
): Map<TableName, OwnChanges> {
  const own = new Map<TableName, OwnChanges>();
  for (const [index, { step }] of changes.entries()) {
    const sum = own.get(step.table) ?? { deleted: 0, updated: 0 };
    const rows = counts[index] ?? 0;
    if (step.kind === 'delete') sum.deleted += rows;
    else sum.updated += rows;
    own.set(step.table, sum);
  }
  return own;
}

function enterBatch(fence: Fence, limits: BatchLimits): string {
  return `select tenant_purge.enter_batch(${literal(fence.purgeId)}, ${fence.epoch},
    ${limits.lockTimeoutMs}, ${limits.statementTimeoutMs}, ${IDLE_IN_TRANSACTION_MS})`;
}

/** ONLY: plain inheritance must not widen a delete; a partitioned table has no rows of its own. */
function changeStatement(step: PlanStep, target: string, doomed: string): string {
  if (step.kind === 'clear') return clearStatement(step, target, doomed);
  const whole = step.partitioned && target === step.table;
  return `delete from ${whole ? '' : 'only '}${target} t where ${doomed}`;
}

function clearStatement(step: ClearStep, target: string, doomed: string): string {
  const assignments = step.columns.map((name) => `${column(name)} = null`).join(', ');
  return `update ${target} t set ${assignments}
    where ${doomed} and (${columns(step.columns)}) is distinct from (${step.columns.map(() => 'null').join(', ')})`;
}

/**
 * The tenant's rows, to be found by their addresses. IS TRUE keeps the tenant column's index out of it:
 * for 8,000 of 80,000 addresses the planner preferred the index, and every batch read all that the
 * batches before it had deleted. Behind a hop it would turn the join into a sub-plan for each row.
 */
function ownedByAddress(step: PlanStep, tenantId: TenantId): string {
  const owned = ownedRows(step.path, 't', tenantId);
  return step.path.hops.length === 0 ? `(${owned}) is true` : owned;
}

function rangeCondition(range: BatchRange): string {
  switch (range.kind) {
    case 'blocks':
      return `t.ctid >= '(${range.from},0)' and t.ctid < '(${range.to},0)'`;
    case 'rows':
      // The bounds offer a range scan, where so many addresses would make a scan of the table look cheap.
      return `t.ctid >= ${literal(range.tids.at(0) ?? '')} and t.ctid <= ${literal(range.tids.at(-1) ?? '')}
        and t.ctid = any(${literal(`{${range.tids.map((tid) => `"${tid}"`).join(',')}}`)}::tid[])`;
    default:
      return range satisfies never;
  }
}

function describeRange(range: BatchRange): string {
  return range.kind === 'blocks'
    ? `blocks ${range.from}–${range.to - 1}`
    : `rows ${range.tids.at(0)}–${range.tids.at(-1)}`;
}

/**
 * `rows` are this batch's and added by the server: a batch that lost its connection during COMMIT,
 * but did commit, is tried again, finds nothing, and must not write its predecessor's rows away.
 */
function saveCheckpoint(fence: Fence, step: PlanStep, checkpoint: Checkpoint): string {
  return `insert into tenant_purge.checkpoint
      (purge_id, step, pass, leaf, filenode, next_block, done, rows)
    values (${literal(fence.purgeId)}, ${literal(stepKey(step))}, ${checkpoint.pass},
      ${literal(checkpoint.leaf)}, ${checkpoint.filenode}, ${checkpoint.nextBlock},
      ${checkpoint.done}, ${checkpoint.rows})
    on conflict (purge_id, step) do update set pass = excluded.pass, leaf = excluded.leaf,
      filenode = excluded.filenode, next_block = excluded.next_block, done = excluded.done,
      rows = checkpoint.rows + excluded.rows`;
}

interface LedgerEntry {
  readonly stage: Stage;
  readonly level: string;
  readonly kind: 'delete' | 'clear';
  readonly table: string;
  readonly leaf: string | null;
  readonly range: string | null;
  readonly rows: number;
  readonly durationMs: number;
}

function ledgerRows(fence: Fence, entries: readonly LedgerEntry[]): string {
  const values = entries.map(
    (entry) => `(${literal(fence.purgeId)}, ${fence.epoch}, ${literal(entry.stage)},
      ${literal(entry.level)}, ${literal(entry.kind)}, ${literal(entry.table)},
      ${entry.leaf === null ? 'null' : literal(entry.leaf)},
      ${entry.range === null ? 'null' : literal(entry.range)},
      ${entry.rows}, ${entry.durationMs.toFixed(3)}, ${literal(fence.worker)})`,
  );
  return `insert into tenant_purge.batch
    (purge_id, fence, stage, level, kind, table_name, leaf, range, rows, duration_ms, worker)
    values ${values.join(', ')}`;
}
