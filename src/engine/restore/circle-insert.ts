import {
  insertTogether,
  type Piece,
  type RowStage,
  stageRows,
} from '../../postgres/restore/restore-batch.ts';
import { ChunkLines } from './chunk-lines.ts';
import type { TableRestore } from './restore-plan.ts';
import { type RestoreRun, runBatch, silencedOf, skipsOfChunk } from './restore-run.ts';

/** All rows of all these tables in one transaction and one statement, whatever their number. */
export async function insertCircle(
  run: RestoreRun,
  tables: readonly TableRestore[],
): Promise<void> {
  const open = tables.flatMap((table) =>
    table.deleted
      .filter(({ seq, rows }) => run.done.nextLine(seq) < rows)
      .map((chunk) => ({ table, chunk })),
  );
  if (open.length === 0) return;
  run.progress.at(tables.map(({ table }) => table).join(', '));
  const skips = new Map(
    await Promise.all(
      open.map(async ({ chunk }) => [chunk.seq, await skipsOfChunk(run, chunk.seq)] as const),
    ),
  );
  const members = tables.filter((table) => open.some((each) => each.table === table));
  const stages = members.map(stageOf);
  await runBatch(run, silencedOf(run, members), async (session) => {
    const pieces: Piece[] = [];
    for (const { table, chunk } of open) {
      const lines = new ChunkLines({
        run,
        table,
        chunk,
        links: [],
        range: { from: 0, to: chunk.rows },
        skips: skips.get(chunk.seq) ?? { skip: new Set(), nullsOf: new Map() },
      });
      pieces.push(lines.piece(await stageRows(session, stageOf(table), lines.read())));
    }
    const inserted = await insertTogether(session, stages);
    const staged = pieces.reduce((sum, { rows }) => sum + rows, 0);
    const total = inserted.reduce((sum, rows) => sum + rows, 0);
    if (total !== staged) {
      throw new Error(
        `of ${staged} rows of ${members.map(({ table }) => table).join(', ')} the database took ${total}`,
      );
    }
    return pieces;
  });
  run.progress.add(open.reduce((sum, { chunk }) => sum + chunk.rows, 0));
}

const stageOf = ({ number, target, columns }: TableRestore): RowStage => ({
  number,
  target,
  columns,
});
