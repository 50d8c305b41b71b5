import {
  addDigests,
  digestText,
  EMPTY_DIGEST,
  equalDigests,
  type LineDigest,
} from '../../domain/line-digest.ts';
import type { RestoredTable } from '../../domain/restore.ts';
import type { DonePiece } from '../../postgres/restore/done-pieces.ts';
import {
  digestByKey,
  digestByTransaction,
  knownTypes,
  makeKeyStage,
} from '../../postgres/restore/read-back.ts';
import { LineEditor } from './line-editor.ts';
import { placesOf, type TableRestore } from './restore-plan.ts';
import {
  DoneWork,
  insertPiece,
  linkPiece,
  type RestoreRun,
  runBatch,
  skipsOfChunk,
  verifyPiece,
} from './restore-run.ts';

export interface Mismatch {
  readonly table: string;
  readonly archived: { readonly rows: number; readonly digest: string };
  readonly found: { readonly rows: number; readonly digest: string };
}

/** Of a table of which less than a fifth came back, its rows are looked up by their keys. */
const SHARE_MIN = 0.2;

/**
 * Reads every restored row back and compares count and digest with what went in, table by table. What
 * agreed once is not read again. @returns the tables that do not agree
 */
export async function verifyTables(run: RestoreRun): Promise<{
  readonly tables: readonly RestoredTable[];
  readonly mismatches: readonly Mismatch[];
}> {
  const pieces = await run.store.done(run.hold.purgeId);
  const done = new DoneWork(pieces);
  const tables: RestoredTable[] = [];
  const mismatches: Mismatch[] = [];
  for (const table of run.tables) {
    if (table.deleted.length === 0) continue;
    run.signal.throwIfAborted();
    run.progress.at(table.table);
    const own = table.deleted.flatMap(({ seq }) => done.of(insertPiece(seq)));
    const archived = own.reduce<LineDigest>(
      (sum, { digest }) => (digest === null ? sum : addDigests(sum, digest)),
      EMPTY_DIGEST,
    );
    const fires = table.target.triggers.some(({ name }) => run.rules.triggers[name] === 'fire');
    const verified = fires ? ('count' as const) : ('values' as const);
    tables.push({
      table: table.table,
      rows: archived.rows,
      skipped: table.rows - archived.rows,
      verified,
    });
    if (!run.done.has(verifyPiece(table.table))) {
      const links = table.deleted.flatMap(({ seq }) => done.of(linkPiece(seq)));
      const found = await readBack(run, table, { archived, pieces: [...own, ...links] });
      const agrees = fires ? found.rows === archived.rows : equalDigests(found, archived);
      if (!agrees) {
        mismatches.push({ table: table.table, archived: shown(archived), found: shown(found) });
        continue;
      }
      await book(run, table.table, archived.rows, fires ? null : archived);
      await run.failpoint('restore-verified');
    }
    run.progress.add(table.rows);
  }
  return { tables, mismatches };
}

const shown = (digest: LineDigest): Mismatch['found'] => ({
  rows: digest.rows,
  digest: digestText(digest),
});

async function readBack(
  run: RestoreRun,
  table: TableRestore,
  { archived, pieces }: { readonly archived: LineDigest; readonly pieces: readonly DonePiece[] },
): Promise<LineDigest> {
  const xids = [...new Set(pieces.map(({ xid }) => xid))];
  const { estimatedRows, primaryKey } = table.target;
  // The estimate is from before the rows came back.
  const isGoodPart = archived.rows >= SHARE_MIN * (Math.max(0, estimatedRows) + archived.rows);
  return run.sessions.look(async (session) => {
    const retyped = await knownTypes(session, table.retyped);
    const of = { target: table.target, columns: table.columns, retyped };
    if (isGoodPart || primaryKey.length === 0) {
      const found = await digestByTransaction(session, of, xids);
      if (equalDigests(found, archived) || primaryKey.length === 0) return found;
    }
    // By their keys: also where somebody wrote to a row meanwhile, but left it as it was.
    const copy = await makeKeyStage(session, table.target);
    await session.copyIn(copy, keyLines(run, table));
    return digestByKey(session, of);
  });
}

/** Primary keys of the rows that came back. */
export async function* keyLines(run: RestoreRun, table: TableRestore): AsyncGenerator<Buffer> {
  for (const chunk of table.deleted) {
    const layout = table.layouts.get(chunk.layout);
    if (layout === undefined) throw new Error(`no layout ${chunk.layout} of ${table.table}`);
    const { skip } = await skipsOfChunk(run, chunk.seq);
    const editor = new LineEditor({
      ...placesOf(layout, table.target.primaryKey),
      from: 0,
      to: Infinity,
      skip,
    });
    for await (const block of run.archive.lines(chunk)) {
      run.signal.throwIfAborted();
      yield editor.push(block);
    }
  }
}

/** @param digest of the rows' text; null where only their number was compared */
async function book(
  run: RestoreRun,
  table: string,
  rows: number,
  digest: LineDigest | null,
): Promise<void> {
  const piece = {
    piece: verifyPiece(table),
    fromLine: 0,
    toLine: 0,
    rows,
    skipped: 0,
    digest,
    counts: false,
  };
  await runBatch(run, [], () => Promise.resolve([piece]));
}
