import type pg from 'pg';
import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TenantId } from '../domain/ids.ts';
import type { ClearStep, DeleteStep, PlanLevel, PlanStep } from '../domain/plan.ts';
import type { Stage } from '../domain/purge.ts';
import type { Fence } from '../domain/records.ts';
import type { Database } from './database.ts';
import { column, columns, guardStatement, literal, ownedRows } from './row-predicate.ts';

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
 * enter (locks, fence, wish), guard and delete; then checkpoint, ledger row and commit. Simple
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
   * @throws driver errors; TP001 stale fence, TP002 stop asked, TP003 cascade guard
   */
  async runBatch(batch: Batch): Promise<BatchResult> {
    const doomed = `${ownedRows(batch.step.path, 't', batch.tenantId)} and ${rangeCondition(batch.range)}`;
    const opening = [
      'BEGIN',
      enterBatch(batch.fence, batch.limits),
      ...(batch.step.kind === 'delete'
        ? deleteStatements(batch.step, batch.leaf, doomed)
        : [clearStatement(batch.step, batch.leaf, doomed)]),
    ];
    return this.#transact(opening, (results, durationMs) => {
      const rows = results.at(-1)?.rowCount ?? 0;
      return {
        closing: [
          saveCheckpoint(batch.fence, batch.step, {
            ...batch.checkpoint,
            rows: batch.step.kind === 'delete' ? rows : 0,
          }),
          ...(rows === 0
            ? []
            : [
                ledgerRows(batch.fence, [
                  {
                    stage: batch.stage,
                    level: batch.level,
                    kind: batch.step.kind,
                    table: batch.step.table,
                    leaf: batch.leaf,
                    range: describeRange(batch.range),
                    rows,
                    durationMs,
                  },
                ]),
              ]),
        ],
        result: (totalMs) => ({ rows, durationMs: totalMs }),
      };
    });
  }

  /**
   * Every level of a small tenant in one transaction: 27 tables cost two round trips and one
   * commit. References that form a cycle are cleared; self references need no clearing, because one
   * statement holds the whole chain.
   */
  async runSmallPurge(purge: SmallPurge): Promise<BatchResult> {
    const opening = ['BEGIN', enterBatch(purge.fence, purge.limits)];
    const deletes: { index: number; level: PlanLevel; step: PlanStep }[] = [];
    for (const level of purge.levels) {
      for (const step of level.steps) {
        if (step.kind === 'clear' && step.reason === 'self') continue;
        const doomed = ownedRows(step.path, 't', purge.tenantId);
        if (step.kind === 'clear') opening.push(clearStatement(step, step.table, doomed));
        else opening.push(...deleteStatements(step, step.table, doomed));
        deletes.push({ index: opening.length - 1, level, step });
      }
    }
    return this.#transact(opening, (results, durationMs) => {
      const entries = deletes
        .map(({ index, level, step }) => ({
          stage: level.stage,
          level: level.name,
          kind: step.kind,
          table: step.table,
          leaf: null,
          range: null,
          rows: results[index]?.rowCount ?? 0,
          durationMs,
        }))
        .filter((entry) => entry.rows > 0);
      const rows = entries.reduce(
        (sum, entry) => sum + (entry.kind === 'delete' ? entry.rows : 0),
        0,
      );
      return {
        closing: [
          ...(entries.length === 0 ? [] : [ledgerRows(purge.fence, entries)]),
          `update tenant_purge.purge set rows_deleted = rows_deleted + ${rows}, level = null, ${
            purge.next === 'redis'
              ? `stage = 'redis', status = 'queued', worker = null, redis_waiting_since = clock_timestamp()`
              : `stage = 'verify'`
          } where id = ${literal(purge.fence.purgeId)}`,
        ],
        result: (totalMs) => ({ rows, durationMs: totalMs }),
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
    await this.#transact(['BEGIN', enterBatch(fence, limits)], () => ({
      closing: [saveCheckpoint(fence, step, { ...checkpoint, done: true, rows: 0 })],
      result: () => undefined,
    }));
  }

  async #transact<Result>(
    opening: readonly string[],
    close: (
      results: readonly pg.QueryResult[],
      durationMs: number,
    ) => { readonly closing: readonly string[]; readonly result: (totalMs: number) => Result },
  ): Promise<Result> {
    const client = await this.#pool.connect();
    let broken: Error | undefined;
    const startedAt = performance.now();
    try {
      // Several statements in one message: the driver answers with one result for each.
      const results = (await client.query(opening.join(';\n'))) as unknown as pg.QueryResult[];
      const { closing, result } = close(results, performance.now() - startedAt);
      await this.#beforeCommit();
      await client.query([...closing, 'COMMIT'].join(';\n'));
      return result(performance.now() - startedAt);
    } catch (error) {
      await client.query('ROLLBACK').catch((rollbackError: Error) => {
        broken = rollbackError;
      });
      throw error;
    } finally {
      client.release(broken);
    }
  }
}

function enterBatch(fence: Fence, limits: BatchLimits): string {
  return `select tenant_purge.enter_batch(${literal(fence.purgeId)}, ${fence.epoch},
    ${limits.lockTimeoutMs}, ${limits.statementTimeoutMs}, ${IDLE_IN_TRANSACTION_MS})`;
}

/** Guards and the delete; the delete comes last. ONLY: plain inheritance must not widen it. */
function deleteStatements(step: DeleteStep, target: string, doomed: string): string[] {
  const remove = `delete from ${step.partitioned && target === step.table ? '' : 'only '}${target} t where ${doomed}`;
  if (step.guards.length === 0) return [remove];
  // The children have just been deleted, so their statistics are stale and a hash join would read
  // the whole dead table in every batch; the foreign key's index answers at once.
  return [
    'set local enable_seqscan = off',
    guardStatement(step.table, step.guards, doomed),
    'set local enable_seqscan = on',
    remove,
  ];
}

function clearStatement(step: ClearStep, target: string, doomed: string): string {
  const assignments = step.columns.map((name) => `${column(name)} = null`).join(', ');
  return `update ${target} t set ${assignments}
    where ${doomed} and (${columns(step.columns)}) is distinct from (${step.columns.map(() => 'null').join(', ')})`;
}

function rangeCondition(range: BatchRange): string {
  switch (range.kind) {
    case 'blocks':
      return `t.ctid >= '(${range.from},0)' and t.ctid < '(${range.to},0)'`;
    case 'rows':
      return `t.ctid = any(${literal(`{${range.tids.map((tid) => `"${tid}"`).join(',')}}`)}::tid[])`;
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
