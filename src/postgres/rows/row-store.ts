import type pg from 'pg';
import type { Checkpoint } from '../../domain/checkpoint.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId, TableName, TenantId } from '../../domain/ids.ts';
import type { ComponentStep, PlanLevel, PlanStep } from '../../domain/plan.ts';
import type { Stage } from '../../domain/purge.ts';
import type { Fence } from '../../domain/records.ts';
import { type Database, withConnection } from '../database.ts';
import { readFault } from '../sqlstate.ts';
import {
  type BatchLimits,
  describeRange,
  enterBatch,
  entryOf,
  type LedgerEntry,
  ledgerRows,
  NOWHERE,
  type Place,
  saveCheckpoint,
} from './batch-bookkeeping.ts';
import { ChangeAudit, type OwnChanges, type Reading } from './change-audit.ts';
import {
  type BatchRange,
  batchChanges,
  type Change,
  type TableStep,
  wholeChanges,
} from './change-statements.ts';
import { literal } from './row-predicate.ts';

/** What a transaction is about: which purge, where in its plan, and where it then stands. */
interface StepTransaction {
  readonly fence: Fence;
  readonly tenantId: TenantId;
  readonly stage: Stage;
  readonly level: string;
  /** Where the step stands once this has committed; its `rows` are not read. */
  readonly checkpoint: Checkpoint;
  readonly limits: BatchLimits;
}

export interface Batch extends StepTransaction {
  readonly step: TableStep;
  readonly leaf: string;
  readonly range: BatchRange;
}

/** All of the tenant's rows in the tables of a circle. */
export interface ComponentBatch extends StepTransaction {
  readonly step: ComponentStep;
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

/** Rows that one of our own statements changed. */
interface Done {
  readonly step: TableStep;
  readonly rows: number;
}

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
   * @throws driver errors; TP001 stale fence, TP002 stop asked; PurgeError CASCADE_GUARD, ROWS_KEPT
   */
  async runBatch(batch: Batch): Promise<BatchResult> {
    const place = { leaf: batch.leaf, range: describeRange(batch.range) };
    const changes = batchChanges(batch.step, batch, batch);
    return this.#changeStep(batch, changes, place);
  }

  /**
   * Every table of a circle in one transaction, whatever its size. All or nothing; running it twice
   * deletes nothing twice.
   * @throws as `runBatch`
   */
  async runComponent(batch: ComponentBatch): Promise<BatchResult> {
    return this.#changeStep(batch, wholeChanges(batch.step, batch), NOWHERE);
  }

  /**
   * Every level of a small tenant in one transaction: 27 tables cost two round trips and one
   * commit. References that form a cycle are cleared; self references need no clearing, because one
   * statement holds the whole chain.
   * @throws as `runBatch`
   */
  async runSmallPurge(purge: SmallPurge): Promise<BatchResult> {
    const { fence } = purge;
    const levelOf = new Map<TableStep, PlanLevel>();
    const changes = purge.levels.flatMap((level) =>
      inOrder(level).flatMap((step) => {
        const changesOfStep = wholeChanges(step, purge);
        for (const each of changesOfStep.flatMap(({ steps }) => steps)) levelOf.set(each, level);
        return changesOfStep;
      }),
    );
    return this.#change(fence, purge.limits, changes, (done, durationMs) => {
      const entries = done.flatMap(({ step, rows }): LedgerEntry[] => {
        const level = levelOf.get(step);
        if (level === undefined) return [];
        return [entryOf(step, rows, durationMs, { stage: level.stage, level: level.name })];
      });
      const rows = deletedRows(done);
      return {
        closing: [
          ...ledgerRows(fence, entries),
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

  /** A transaction of one step, with its checkpoint and its ledger rows. */
  async #changeStep(
    batch: Batch | ComponentBatch,
    changes: readonly Change[],
    place: Place,
  ): Promise<BatchResult> {
    const { fence, step, checkpoint } = batch;
    return this.#change(fence, batch.limits, changes, (done, durationMs) => {
      const entries = done.map((each) => entryOf(each.step, each.rows, durationMs, batch, place));
      return {
        closing: [
          saveCheckpoint(fence, step, { ...checkpoint, rows: deletedRows(done) }),
          ...ledgerRows(fence, entries),
        ],
        rows: done.reduce((sum, { rows }) => sum + rows, 0),
      };
    });
  }

  /**
   * One transaction in two messages: enter and change; then, if nothing changed but what our own
   * statements named, book and commit.
   * @param book from rows per step to the closing statements and the rows to report
   */
  async #change(
    fence: Fence,
    limits: BatchLimits,
    changes: readonly Change[],
    book: (
      done: readonly Done[],
      durationMs: number,
    ) => { readonly closing: readonly string[]; readonly rows: number },
  ): Promise<BatchResult> {
    const audit = new ChangeAudit(changes.flatMap(({ steps }) => steps));
    const watch = audit.statements();
    const opening = [
      'BEGIN',
      enterBatch(fence, limits),
      ...(watch === null ? [] : [watch.before]),
      ...changes.map(({ sql }) => sql),
      ...(watch === null ? [] : [watch.after]),
    ];
    const startedAt = performance.now();
    return withConnection(this.#pool, async (client) => {
      const query_timeout = answerTimeout(limits, changes.length);
      const results = await runAll(
        client,
        { text: opening.join(';\n'), query_timeout },
        fence.purgeId,
      );
      const first = watch === null ? 2 : 3;
      const done = changes.flatMap((change, index) => readDone(change, results[first + index]));
      if (watch !== null) {
        const readings = { before: readingOf(results[2]), after: readingOf(results.at(-1)) };
        audit.check(fence.purgeId, readings, ownChanges(done));
      }
      const { closing, rows } = book(done, performance.now() - startedAt);
      await this.#beforeCommit();
      const booking = { text: [...closing, 'COMMIT'].join(';\n'), query_timeout };
      await client.query(booking);
      return { rows, durationMs: performance.now() - startedAt };
    });
  }
}

/** Of many statements a few may each take their limit; then nobody is at the other end. */
const answerTimeout = (
  { lockTimeoutMs, statementTimeoutMs }: BatchLimits,
  statements: number,
): number => lockTimeoutMs + Math.min(statements + 1, 3) * statementTimeoutMs + ANSWER_SLACK_MS;
const ANSWER_SLACK_MS = 5_000;

/** Several statements in one message: the driver answers with one result for each. */
async function runAll(
  client: pg.ClientBase,
  query: { readonly text: string; readonly query_timeout: number },
  purgeId: PurgeId,
): Promise<pg.QueryResult[]> {
  try {
    return (await client.query({ ...query, rowMode: 'array' })) as unknown as pg.QueryResult[];
  } catch (error) {
    throw rowsKept(purgeId, error);
  }
}

/** TP007 of `refuse_kept` as a PurgeError with the row's key; anything else unchanged. */
function rowsKept(purgeId: PurgeId, error: unknown): unknown {
  if (readFault(error).sqlState !== 'TP007') return error;
  const { table, detail } = error as { readonly table?: string; readonly detail?: string };
  return new PurgeError(
    'ROWS_KEPT',
    `Purge ${purgeId}: a row of ${table} stays although it was deleted: ${detail}; the batch was rolled back.`,
    {
      details: { table, row: detail },
      remedy: `A BEFORE DELETE trigger of ${table} keeps this row: see what it wants, settle that or disable the trigger, then enqueue again.`,
      cause: error,
    },
  );
}

function readDone(change: Change, result: pg.QueryResult | undefined): Done[] {
  const columns: readonly unknown[] = change.rows === 'columns' ? (result?.rows[0] ?? []) : [];
  return change.steps.map((step, index) => ({
    step,
    rows: change.rows === 'tag' ? (result?.rowCount ?? 0) : Number(columns[index] ?? 0),
  }));
}

const readingOf = (result: pg.QueryResult | undefined): Reading => ({
  counters: (result?.rows[0]?.[0] ?? []).map(Number),
  keys: result?.rows[0]?.[1] ?? [],
});

function ownChanges(done: readonly Done[]): Map<TableName, OwnChanges> {
  const own = new Map<TableName, OwnChanges>();
  for (const { step, rows } of done) {
    const sum = own.get(step.table) ?? { deleted: 0, updated: 0 };
    if (step.kind === 'delete') sum.deleted += rows;
    else sum.updated += rows;
    own.set(step.table, sum);
  }
  return own;
}

/** Clearing comes first: it is what makes the deletes of the level possible. */
const inOrder = ({ steps }: PlanLevel): PlanStep[] => [
  ...steps.filter((step) => step.kind === 'clear' && step.reason !== 'self'),
  ...steps.filter((step) => step.kind !== 'clear'),
];

const deletedRows = (done: readonly Done[]): number =>
  done.reduce((sum, { step, rows }) => (step.kind === 'delete' ? sum + rows : sum), 0);
