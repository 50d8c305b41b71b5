import type pg from 'pg';
import type { OpenBatchSink } from '../../domain/archive.ts';
import type { Fence } from '../../domain/records.ts';
import { insertChunks, insertLayouts } from './archive-bookkeeping.ts';
import { runCopying } from './copy-query.ts';
import { enterCopying } from './copy-settings.ts';
import { LayoutReader, type RowSource } from './layout-reader.ts';

/** A row that is about to be changed by statements of somebody else's making. */
export interface ChangedRow {
  /** FROM and WHERE that find it, before and after, as `t`. */
  readonly rows: string;
  readonly source: RowSource;
  readonly level: string;
  readonly step: string;
}

const ANSWER_TIMEOUT_MS = 60_000;
const TAB = Buffer.from('\t');

/**
 * Runs a change of one row inside the caller's transaction, with the row as it was and as it is then
 * in the archive before the transaction can commit. Nothing is archived where nothing changed.
 * @throws PurgeError ARCHIVE_FAILED; what `change` throws; driver errors. The caller rolls back
 */
export async function archivingChange<Result>(
  client: pg.PoolClient,
  fence: Fence,
  how: { readonly row: ChangedRow; readonly open: OpenBatchSink; readonly layouts: LayoutReader },
  change: () => Promise<Result>,
): Promise<Result> {
  const { row, open, layouts } = how;
  const before = await copyRow(client, row, 'for update');
  const result = await change();
  const after = await copyRow(client, row, '');
  if (before.line === null || after.line === null || before.line.equals(after.line)) return result;
  const sink = open();
  try {
    sink.write(0, Buffer.concat([before.line.subarray(0, -1), TAB, after.line]));
    const stored = await sink.store();
    const [layout] = await layouts.read(client, [row.source], after.digest);
    if (layout === undefined) throw new Error(`${row.source.relation} has no columns`);
    const { table, relation } = row.source;
    const chunks = stored.map((chunk) => ({
      ...chunk,
      ...row,
      kind: 'changed' as const,
      table,
      relation,
      goesLater: true,
      layout: layout.id,
      rows: 1,
    }));
    await client.query([insertLayouts(fence, [layout]), insertChunks(fence, chunks)].join(';\n'));
    return result;
  } catch (error) {
    sink.abandon();
    throw error;
  }
}

/** The row as a line of COPY text, with its newline; null where there is none. */
async function copyRow(
  client: pg.ClientBase,
  { rows, source }: ChangedRow,
  lock: string,
): Promise<{ readonly line: Buffer | null; readonly digest: string }> {
  const pieces: Buffer[] = [];
  const text = [
    enterCopying(),
    `copy (select t.* from ${rows} ${lock}) to stdout`,
    `select ${LayoutReader.digestOf([source])}`,
  ].join(';\n');
  const results = await runCopying(
    client,
    { text, query_timeout: ANSWER_TIMEOUT_MS },
    {
      write: (_, bytes) => {
        pieces.push(Buffer.from(bytes));
        return true;
      },
      drained: () => Promise.resolve(),
    },
  );
  const digest = String(results.at(-1)?.rows[0]?.[0] ?? '');
  return { line: pieces.length === 0 ? null : Buffer.concat(pieces), digest };
}
