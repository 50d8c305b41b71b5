import type pg from 'pg';
import type { OpenBatchSink } from '../../domain/archive.ts';
import { type Database, withConnection } from '../database.ts';
import { BatchArchive, type PartFacts } from './batch-archive.ts';
import type { BatchLimits } from './batch-bookkeeping.ts';
import type { TableStep } from './change-statements.ts';
import { LayoutReader } from './layout-reader.ts';
import { type ChangeRequest, type Done, runChanges } from './transaction-changes.ts';

/** A transaction as it is put together. */
interface Transaction extends ChangeRequest {
  /** Where the rows go before they are gone; null: nowhere. */
  readonly archive: OpenBatchSink | null;
  readonly levelOf: (step: TableStep) => string;
}

/** From rows per step to the statements before COMMIT and the rows to report. */
export type Book = (
  done: readonly Done[],
  durationMs: number,
) => { readonly closing: readonly string[]; readonly rows: number };

export interface TransactionResult {
  readonly rows: number;
  readonly durationMs: number;
}

/** Failpoints inside a transaction; in production they do nothing. */
export interface TransactionFailpoints {
  /** The rows are deleted, nothing is archived for sure. */
  readonly beforeCommit: () => Promise<void>;
  /** The rows are durable in the archive; the ledger does not know. */
  readonly archiveWritten: () => Promise<void>;
}

/**
 * The transactions that change tenants' tables, each of two messages: enter (locks, fence, wish) and
 * change, the rows streaming to the archive; then, once they are durable there, archive chunks,
 * bookings and commit. Simple protocol: nothing of it outlives the transaction, so a pooler in
 * transaction mode serves.
 */
export class ChangeTransactions {
  readonly #pool: pg.Pool;
  readonly #failpoints: TransactionFailpoints;
  readonly #layouts = new LayoutReader();

  constructor(database: Database, failpoints: TransactionFailpoints) {
    this.#pool = database.pool;
    this.#failpoints = failpoints;
  }

  /**
   * All or nothing: commits only if nothing changed but what our own statements named and all of it
   * is in the archive.
   * @throws as `runChanges`; PurgeError ARCHIVE_FAILED
   */
  async run(transaction: Transaction, book: Book): Promise<TransactionResult> {
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

/** Of many statements a few may each take their limit; then nobody is at the other end. */
const answerTimeout = (
  { lockTimeoutMs, statementTimeoutMs }: BatchLimits,
  statements: number,
): number => lockTimeoutMs + Math.min(statements + 1, 3) * statementTimeoutMs + ANSWER_SLACK_MS;
const ANSWER_SLACK_MS = 5_000;

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
