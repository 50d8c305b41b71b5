import type { ArchiveChunk } from '../../domain/archive.ts';
import { EMPTY_DIGEST, type LineDigest, LineHasher } from '../../domain/line-digest.ts';
import type { Piece } from '../../postgres/restore/restore-batch.ts';
import { LineEditor } from './line-editor.ts';
import { placesOf, type TableRestore } from './restore-plan.ts';
import { insertPiece, type RestoreRun, type skipsOfChunk } from './restore-run.ts';

/** Lines `from` to `to` of a chunk, the latter excluded, on their way into a table. */
export interface ChunkPart {
  readonly run: RestoreRun;
  readonly table: TableRestore;
  readonly chunk: ArchiveChunk;
  /** Columns that are NULL for now. */
  readonly links: readonly string[];
  readonly range: { readonly from: number; readonly to: number };
  readonly skips: Awaited<ReturnType<typeof skipsOfChunk>>;
}

/** The lines themselves, to be read once, and their digest as they shall be in the end. */
export class ChunkLines {
  readonly #of: ChunkPart;
  #digest: LineDigest = EMPTY_DIGEST;

  constructor(of: ChunkPart) {
    this.#of = of;
  }

  async *read(): AsyncGenerator<Buffer> {
    const { run, table, chunk, links, range } = this.#of;
    const editor = editChunk(this.#of);
    const unlink =
      links.length === 0
        ? null
        : new LineEditor({
            fields: null,
            from: 0,
            to: Infinity,
            nulls: links.map((name) => table.columns.indexOf(name)),
          });
    const hasher = new LineHasher();
    for await (const block of run.archive.lines(chunk)) {
      run.signal.throwIfAborted();
      const lines = editor.push(block);
      hasher.update(lines);
      yield unlink === null ? lines : unlink.push(lines);
      if (editor.isDone && range.to < chunk.rows) break;
    }
    this.#digest = hasher.digest();
  }

  /** What is booked once they were read. @param rows as the server counted them */
  piece(rows: number): Piece {
    const { chunk, range } = this.#of;
    return {
      piece: insertPiece(chunk.seq),
      fromLine: range.from,
      toLine: range.to,
      rows,
      skipped: range.to - range.from - rows,
      digest: this.#digest,
      counts: true,
    };
  }
}

/** Brings a part of a chunk into the columns of the table as it is now, without what is left out. */
export function editChunk({
  table,
  chunk,
  range,
  skips,
}: Pick<ChunkPart, 'table' | 'chunk' | 'range' | 'skips'>): LineEditor {
  const layout = table.layouts.get(chunk.layout);
  if (layout === undefined) throw new Error(`no layout ${chunk.layout} of ${table.table}`);
  const isWhole = range.from === 0 && range.to === chunk.rows;
  return new LineEditor({
    fields: layout.fields,
    fills: placesOf(layout, table.columns).fills,
    from: range.from,
    to: isWhole ? Infinity : range.to,
    skip: skips.skip,
    nullsOf: new Map(
      [...skips.nullsOf].map(([line, names]) => [
        line,
        names.map((name) => table.columns.indexOf(name)),
      ]),
    ),
  });
}
