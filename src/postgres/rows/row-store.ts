import type { OpenBatchSink } from '../../domain/archive.ts';
import type { Checkpoint } from '../../domain/checkpoint.ts';
import type { TableName, TenantId } from '../../domain/ids.ts';
import type { ComponentStep, PlanStep } from '../../domain/plan.ts';
import type { Stage } from '../../domain/purge.ts';
import type { Fence } from '../../domain/records.ts';
import type { Database } from '../database.ts';
import {
  type BatchLimits,
  describeRange,
  entryOf,
  ledgerRows,
  NOWHERE,
  type Place,
  saveCheckpoint,
} from './batch-bookkeeping.ts';
import {
  type BatchRange,
  batchChanges,
  type Change,
  type TableStep,
  type Who,
  wholeChanges,
} from './change-statements.ts';
import {
  ChangeTransactions,
  type TransactionFailpoints,
  type TransactionResult,
} from './change-transactions.ts';
import { composeSmallPurge, type SmallPurge } from './small-purge.ts';
import { deletedRows } from './transaction-changes.ts';

/** What a transaction is about: which purge, where in its plan, and where it then stands. */
interface StepTransaction {
  readonly fence: Fence;
  readonly tenantId: TenantId;
  readonly stage: Stage;
  readonly level: string;
  /** Where the step stands once this has committed; its `rows` are not read. */
  readonly checkpoint: Checkpoint;
  readonly limits: BatchLimits;
  /** Where the rows go before they are gone; null: nowhere. */
  readonly archive: OpenBatchSink | null;
}

/** Part of one leaf of a table. */
interface Batch extends StepTransaction {
  readonly step: TableStep;
  readonly leaf: TableName;
  readonly range: BatchRange;
}

/** All of the tenant's rows in the tables of a circle. */
interface ComponentBatch extends StepTransaction {
  readonly step: ComponentStep;
}

/**
 * The only way by which a purge deletes rows: what each kind of batch changes, and what of it goes
 * into the ledger. Every batch is one transaction.
 */
export class RowStore {
  readonly #transactions: ChangeTransactions;

  constructor(database: Database, failpoints: TransactionFailpoints) {
    this.#transactions = new ChangeTransactions(database, failpoints);
  }

  /**
   * One batch of one table. All or nothing; running it twice deletes nothing twice.
   * @throws driver errors; TP001 stale fence, TP002 stop asked; PurgeError CASCADE_GUARD, ROWS_KEPT
   */
  async runBatch(batch: Batch): Promise<TransactionResult> {
    const place = { leaf: batch.leaf, range: describeRange(batch.range) };
    const changes = batchChanges(batch.step, batch, whoOf(batch));
    return this.#changeStep(batch, changes, place);
  }

  /**
   * Every table of a circle in one transaction, whatever its size. All or nothing; running it twice
   * deletes nothing twice.
   * @throws as `runBatch`
   */
  async runComponent(batch: ComponentBatch): Promise<TransactionResult> {
    return this.#changeStep(batch, wholeChanges(batch.step, whoOf(batch)), NOWHERE);
  }

  /**
   * Every level of a small tenant in one transaction: 27 tables cost two round trips and one
   * commit. References that form a cycle are cleared; self references need no clearing, because one
   * statement holds the whole chain.
   * @throws as `runBatch`
   */
  async runSmallPurge(purge: SmallPurge): Promise<TransactionResult> {
    const { book, ...composed } = composeSmallPurge(purge, whoOf(purge));
    return this.#transactions.run({ ...purge, ...composed }, book);
  }

  /** Books that a fresh query found none of the tenant's rows left. Fenced like a batch. */
  async markDone(
    fence: Fence,
    step: PlanStep,
    checkpoint: Checkpoint,
    limits: BatchLimits,
  ): Promise<void> {
    const transaction = { fence, limits, archive: null, changes: [], levelOf: () => '' };
    await this.#transactions.run(transaction, () => ({
      closing: [saveCheckpoint(fence, step, { ...checkpoint, done: true, rows: 0 })],
      rows: 0,
    }));
  }

  /** A transaction of one step, with its checkpoint and its ledger rows. */
  async #changeStep(
    batch: Batch | ComponentBatch,
    changes: readonly Change[],
    place: Place,
  ): Promise<TransactionResult> {
    const { fence, step, checkpoint } = batch;
    const transaction = { ...batch, changes, levelOf: () => batch.level };
    return this.#transactions.run(transaction, (done, durationMs) => {
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
}

const whoOf = (of: Pick<StepTransaction, 'fence' | 'tenantId' | 'archive'>): Who => ({
  fence: of.fence,
  tenantId: of.tenantId,
  archived: of.archive !== null,
});
