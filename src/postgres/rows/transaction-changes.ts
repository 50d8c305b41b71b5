import type pg from 'pg';
import type { TableName } from '../../domain/ids.ts';
import type { Fence } from '../../domain/records.ts';
import { READ_COMMITTED } from '../database.ts';
import type { BatchArchive } from './batch-archive.ts';
import { type BatchLimits, enterBatch } from './batch-bookkeeping.ts';
import { ChangeAudit, type OwnChanges, type Reading } from './change-audit.ts';
import type { Change, TableStep } from './change-statements.ts';
import type { Message } from './copy-query.ts';
import { enterCopying } from './copy-settings.ts';
import { nameKeptRow } from './kept-row.ts';

/** What a transaction changes, and under which fence. */
export interface ChangeRequest {
  readonly fence: Fence;
  readonly limits: BatchLimits;
  readonly changes: readonly Change[];
}

/** Rows that one of our own statements changed. */
export interface Done {
  readonly step: TableStep;
  readonly rows: number;
}

interface Changed {
  readonly done: readonly Done[];
  /** Of the columns of the archived rows; empty without an archive. */
  readonly layoutDigest: string;
}

/**
 * First message of a transaction: enters it, changes, and checks that nothing else has changed. The
 * transaction stays open.
 * @throws driver errors; TP001 stale fence, TP002 stop asked; PurgeError CASCADE_GUARD, ROWS_KEPT,
 * DRIFT; the caller rolls back
 */
export async function runChanges(
  client: pg.ClientBase,
  { fence, limits, changes }: ChangeRequest,
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
  const running = archive === null ? runAll(client, message) : archive.run(client, message, first);
  const results = await running.catch((error: unknown) => {
    throw nameKeptRow(fence.purgeId, error);
  });
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

/** Of what the statements changed, the rows that are gone. */
export const deletedRows = (done: readonly Done[]): number =>
  done.reduce((sum, { step, rows }) => (step.kind === 'delete' ? sum + rows : sum), 0);

/** Several statements in one message: the driver answers with one result for each. */
const runAll = async (client: pg.ClientBase, message: Message): Promise<pg.QueryResult[]> =>
  (await client.query({ ...message, rowMode: 'array' })) as unknown as pg.QueryResult[];

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
