import type pg from 'pg';
import type { OpenBatchSink } from '../../domain/archive.ts';
import type { Checkpoint } from '../../domain/checkpoint.ts';
import { PurgeError } from '../../domain/errors.ts';
import type { PurgeId, TableName, TenantId } from '../../domain/ids.ts';
import type { ComponentStep, PlanLevel, PlanStep } from '../../domain/plan.ts';
import type { Stage } from '../../domain/purge.ts';
import type { Fence } from '../../domain/records.ts';
import { type Database, READ_COMMITTED, withConnection } from '../database.ts';
import { readFault } from '../sqlstate.ts';
import { BatchArchive, type PartFacts } from './batch-archive.ts';
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
  type Who,
  wholeChanges,
} from './change-statements.ts';
import type { Message } from './copy-query.ts';
import { enterCopying } from './copy-settings.ts';
import { LayoutReader } from './layout-reader.ts';
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
  /** Where the rows go before they are gone; null: nowhere. */
  readonly archive: OpenBatchSink | null;
}

export interface Batch extends StepTransaction {
  readonly step: TableStep;
  readonly leaf: TableName;
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
  readonly archive: OpenBatchSink | null;
  /** `redis`: give the purge back to wait for the sweep; `verify`: go on at once. */
  readonly next: 'redis' | 'verify';
}

/** Rows that one of our own statements changed. */
interface Done {
  readonly step: TableStep;
  readonly rows: number;
}

/** Fault points inside a transaction; nothing in production. */
export interface RowStoreFailpoints {
  /** The rows are deleted, nothing is archived for sure. */
  readonly beforeCommit: () => Promise<void>;
  /** The rows are durable in the archive; the ledger does not know. */
  readonly archiveWritten: () => Promise<void>;
}

const NO_FAILPOINTS: RowStoreFailpoints = {
  beforeCommit: () => Promise.resolve(),
  archiveWritten: () => Promise.resolve(),
};

/** A transaction as it is put together. */
interface Transaction {
  readonly fence: Fence;
  readonly limits: BatchLimits;
  readonly archive: OpenBatchSink | null;
  readonly changes: readonly Change[];
  readonly levelOf: (step: TableStep) => string;
}

/**
 * The only SQL that writes to tenants' tables. Every batch is one transaction of two round trips:
 * enter (locks, fence, wish) and delete, the rows streaming to the archive; then, once they are
 * durable there, archive chunks, checkpoint, ledger row and commit. Simple protocol: nothing of it
 * outlives the transaction, so a pooler in transaction mode serves.
 */
export class RowStore {
  readonly #pool: pg.Pool;
  readonly #failpoints: RowStoreFailpoints;
  readonly #layouts = new LayoutReader();

  constructor(database: Database, failpoints: RowStoreFailpoints = NO_FAILPOINTS) {
    this.#pool = database.pool;
    this.#failpoints = failpoints;
  }

  /**
   * One batch of one table. All or nothing; running it twice deletes nothing twice.
   * @throws driver errors; TP001 stale fence, TP002 stop asked; PurgeError CASCADE_GUARD, ROWS_KEPT
   */
  async runBatch(batch: Batch): Promise<BatchResult> {
    const place = { leaf: batch.leaf, range: describeRange(batch.range) };
    const changes = batchChanges(batch.step, batch, whoOf(batch));
    return this.#changeStep(batch, changes, place);
  }

  /**
   * Every table of a circle in one transaction, whatever its size. All or nothing; running it twice
   * deletes nothing twice.
   * @throws as `runBatch`
   */
  async runComponent(batch: ComponentBatch): Promise<BatchResult> {
    return this.#changeStep(batch, wholeChanges(batch.step, whoOf(batch)), NOWHERE);
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
        const changesOfStep = wholeChanges(step, whoOf(purge));
        for (const each of changesOfStep.flatMap(({ steps }) => steps)) levelOf.set(each, level);
        return changesOfStep;
      }),
    );
    const levelName = (step: TableStep): string => levelOf.get(step)?.name ?? '';
    const transaction = { ...purge, changes, levelOf: levelName };
    return this.#change(transaction, (done, durationMs) => {
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
    const transaction = { fence, limits, archive: null, changes: [], levelOf: () => '' };
    await this.#change(transaction, () => ({
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
    const transaction = { ...batch, changes, levelOf: () => batch.level };
    return this.#change(transaction, (done, durationMs) => {
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
   * statements named and all of it is in the archive, book and commit.
   * @param book from rows per step to the closing statements and the rows to report
   */
  async #change(
    transaction: Transaction,
    book: (
      done: readonly Done[],
      durationMs: number,
    ) => { readonly closing: readonly string[]; readonly rows: number },
  ): Promise<BatchResult> {
    const { fence, limits, changes } = transaction;
    const archive = this.#openArchive(transaction);
    try {
      return await withConnection(this.#pool, async (client) => {
        const startedAt = performance.now();
        const query_timeout = answerTimeout(limits, changes.length);
        const changed = await runChanges(client, transaction, { archive, query_timeout });
        const { closing, rows } = book(changed.done, performance.now() - startedAt);
        await this.#failpoints.beforeCommit();
        const archived = await archive?.store(
          client,
          fence,
          changed.layoutDigest,
          partFacts(transaction, changed.done),
        );
        if ((archived?.length ?? 0) > 0) await this.#failpoints.archiveWritten();
        const text = [...(archived ?? []), ...closing, 'COMMIT'].join(';\n');
        await client.query({ text, query_timeout } as pg.QueryConfig);
        return { rows, durationMs: performance.now() - startedAt };
      });
    } catch (error) {
      // Rolled back, or nobody knows: what it wrote is never followed by anything that counts.
      archive?.abandon();
      throw error;
    }
  }

  #openArchive({ archive, changes }: Transaction): BatchArchive | null {
    if (archive === null || changes.length === 0) return null;
    return new BatchArchive(archive, changes, this.#layouts);
  }
}

/** What the changes of a transaction have done. */
interface Changed {
  readonly done: readonly Done[];
  /** Of the columns of the archived rows; empty without an archive. */
  readonly layoutDigest: string;
}

/** Enters the transaction and changes; checks that nothing else has changed. */
async function runChanges(
  client: pg.ClientBase,
  { fence, limits, changes }: Transaction,
  how: { readonly archive: BatchArchive | null; readonly query_timeout: number },
): Promise<Changed> {
  const { archive, query_timeout } = how;
  const audit = new ChangeAudit(changes.flatMap(({ steps }) => steps));
  const watch = audit.statements();
  const opening = [
    READ_COMMITTED,
    enterBatch(fence, limits),
    ...(archive === null ? [] : [enterCopying()]),
    ...(watch === null ? [] : [watch.before]),
  ];
  const closing = [
    ...(watch === null ? [] : [watch.after]),
    ...(archive === null ? [] : [`select ${archive.layoutDigest}`]),
  ];
  const first = opening.length;
  const message = {
    text: [...opening, ...changes.map(({ sql }) => sql), ...closing].join(';\n'),
    query_timeout,
  };
  const results = await namingKept(fence.purgeId, () =>
    archive === null ? runAll(client, message) : archive.run(client, message, first),
  );
  const done = changes.flatMap((change, index) =>
    readDone(change, results[first + index], archive),
  );
  if (watch !== null) {
    const before = readingOf(results[first - 1]);
    const after = readingOf(results[first + changes.length]);
    audit.check(fence.purgeId, { before, after }, ownChanges(done));
  }
  const layoutDigest = archive === null ? '' : String(results.at(-1)?.rows[0]?.[0] ?? '');
  return { done, layoutDigest };
}

/** Of many statements a few may each take their limit; then nobody is at the other end. */
const answerTimeout = (
  { lockTimeoutMs, statementTimeoutMs }: BatchLimits,
  statements: number,
): number => lockTimeoutMs + Math.min(statements + 1, 3) * statementTimeoutMs + ANSWER_SLACK_MS;
const ANSWER_SLACK_MS = 5_000;

/** Several statements in one message: the driver answers with one result for each. */
const runAll = async (client: pg.ClientBase, message: Message): Promise<pg.QueryResult[]> =>
  (await client.query({ ...message, rowMode: 'array' })) as unknown as pg.QueryResult[];

async function namingKept<Result>(purgeId: PurgeId, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
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

function readDone(
  change: Change,
  result: pg.QueryResult | undefined,
  archive: BatchArchive | null,
): Done[] {
  const rowsOf = (index: number): number => {
    switch (change.rows) {
      case 'tag':
        return result?.rowCount ?? 0;
      case 'columns':
        return Number(result?.rows[0]?.[index] ?? 0);
      case 'lines':
        return archive?.lines(change)[index] ?? 0;
      default:
        return change.rows satisfies never;
    }
  };
  return change.steps.map((step, index) => ({ step, rows: rowsOf(index) }));
}

/** Rows and level of each archived part: a change streams out one for each of its steps. */
function partFacts({ changes, levelOf }: Transaction, done: readonly Done[]): PartFacts[] {
  let place = 0;
  return changes.flatMap(({ steps, copies }) => {
    const mine = done.slice(place, place + steps.length);
    place += steps.length;
    return copies.length === 0
      ? []
      : mine.map(({ step, rows }) => ({ rows, level: levelOf(step) }));
  });
}

const whoOf = (of: Pick<StepTransaction, 'fence' | 'tenantId' | 'archive'>): Who => ({
  fence: of.fence,
  tenantId: of.tenantId,
  archived: of.archive !== null,
});

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
