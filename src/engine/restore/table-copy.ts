import { copyRows } from '../../postgres/restore/restore-batch.ts';
import { readFault } from '../../postgres/sqlstate.ts';
import { ChunkLines } from './chunk-lines.ts';
import type { TableRestore } from './restore-plan.ts';
import { type RestoreRun, runBatch, silencedOf, skipsOfChunk } from './restore-run.ts';

/** Rows of one transaction; a chunk of the archive is seldom larger. */
const PIECE_ROWS = 200_000;
/** Below this a batch that takes too long is no matter of its size. */
const PIECE_ROWS_MIN = 500;

/**
 * Puts a table's rows back, as far as they are not: chunk by chunk; in smaller pieces where the server
 * takes too long.
 * @param links columns that stay NULL for now
 */
export async function copyTable(
  run: RestoreRun,
  table: TableRestore,
  links: readonly string[],
): Promise<void> {
  run.progress.at(table.table);
  const triggers = silencedOf(run, [table]);
  let pieceRows = PIECE_ROWS;
  for (const chunk of table.deleted) {
    const skips = await skipsOfChunk(run, chunk.seq);
    while (run.done.nextLine(chunk.seq) < chunk.rows) {
      const from = run.done.nextLine(chunk.seq);
      const to = Math.min(chunk.rows, from + pieceRows);
      const source = { run, table, chunk, links, range: { from, to }, skips };
      try {
        await runBatch(run, triggers, async (session) => {
          const lines = new ChunkLines(source);
          const rows = await copyRows(session, table.target, table.columns, lines.read());
          return [lines.piece(rows)];
        });
      } catch (error) {
        if (readFault(error).faultClass !== 'shrink' || to - from <= PIECE_ROWS_MIN) throw error;
        pieceRows = Math.max(PIECE_ROWS_MIN, Math.ceil((to - from) / 4));
        continue;
      }
      run.progress.add(to - from);
    }
  }
}
