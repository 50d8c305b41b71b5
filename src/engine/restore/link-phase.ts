import type { ArchiveChunk } from '../../domain/archive.ts';
import { linkRows, stageRows } from '../../postgres/restore/restore-batch.ts';
import { editChunk } from './chunk-lines.ts';
import { LineEditor } from './line-editor.ts';
import type { TableRestore } from './restore-plan.ts';
import { linkPiece, type RestoreRun, runBatch, silencedOf, skipsOfChunk } from './restore-run.ts';

/**
 * Sets the references that were NULL for a while, chunk by chunk: every row they refer to is there now.
 * @param rowsTotal of the whole restore, for the display
 */
export async function linkUnits(run: RestoreRun, rowsTotal: number): Promise<void> {
  const linked = run.units.flatMap((unit) => (unit.kind === 'link' ? [unit] : []));
  if (linked.length === 0) return;
  run.progress.enter('linking', rowsTotal);
  for (const { tables, links } of linked) {
    for (const table of tables) await linkTable(run, table, links.get(table.table) ?? []);
  }
}

async function linkTable(
  run: RestoreRun,
  table: TableRestore,
  links: readonly string[],
): Promise<void> {
  if (links.length === 0) return;
  run.progress.at(table.table);
  for (const chunk of table.deleted) {
    if (!run.done.has(linkPiece(chunk.seq))) await linkChunk(run, table, chunk, links);
    run.progress.add(chunk.rows);
  }
}

async function linkChunk(
  run: RestoreRun,
  table: TableRestore,
  chunk: ArchiveChunk,
  links: readonly string[],
): Promise<void> {
  const skips = await skipsOfChunk(run, chunk.seq);
  const columns = [...table.target.primaryKey, ...links];
  const places = columns.map((name) => table.columns.indexOf(name));
  await runBatch(run, silencedOf(run, [table]), async (session) => {
    const edit = editChunk({ table, chunk, range: { from: 0, to: chunk.rows }, skips });
    const pick = new LineEditor({
      fields: places,
      from: 0,
      to: Infinity,
      someOf: links.map((_, at) => table.target.primaryKey.length + at),
    });
    const lines = async function* (): AsyncGenerator<Buffer> {
      for await (const block of run.archive.lines(chunk)) {
        run.signal.throwIfAborted();
        yield pick.push(edit.push(block));
      }
    };
    const stage = { number: table.number, target: table.target, columns };
    const wanted = await stageRows(session, stage, lines());
    const rows = wanted === 0 ? 0 : await linkRows(session, stage, links);
    if (rows !== wanted) {
      throw new Error(`${wanted - rows} rows of ${table.table} went while they were restored`);
    }
    return [
      {
        piece: linkPiece(chunk.seq),
        fromLine: 0,
        toLine: chunk.rows,
        rows,
        skipped: 0,
        digest: null,
        counts: false,
      },
    ];
  });
}
