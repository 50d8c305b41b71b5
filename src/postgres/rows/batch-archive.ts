import type pg from 'pg';
import type { ArchiveLayout, BatchSink, OpenBatchSink } from '../../domain/archive.ts';
import { recordToCopyLine } from '../../domain/record-text.ts';
import type { Fence } from '../../domain/records.ts';
import { type BookedChunk, insertChunks, insertLayouts } from './archive-bookkeeping.ts';
import type { Change, Copied } from './change-statements.ts';
import { type CopyTarget, type Message, runCopying } from './copy-query.ts';
import { LayoutReader, type RowSource } from './layout-reader.ts';

const TAB = 0x09;
const NEWLINE = 0x0a;

/** What only the transaction's results tell of a part. */
export interface PartFacts {
  readonly rows: number;
  readonly level: string;
}

/**
 * The archive's side of one transaction: takes what its statements return, sees it on disk, and gives
 * the statements that write into the ledger where it lies. Used once.
 */
export class BatchArchive {
  /** What is archived, in the order of the statements. */
  readonly parts: readonly Copied[];
  readonly #sink: BatchSink;
  readonly #changes: readonly Change[];
  /** First part of each change. */
  readonly #first: readonly number[];
  /** Lines of each part, where the server does not tell how many rows there were. */
  readonly #lines: number[];
  readonly #layouts: LayoutReader;

  constructor(open: OpenBatchSink, changes: readonly Change[], layouts: LayoutReader) {
    this.#sink = open();
    this.#changes = changes;
    this.#layouts = layouts;
    this.parts = changes.flatMap(({ copies }) => copies);
    this.#lines = this.parts.map(() => 0);
    let parts = 0;
    this.#first = changes.map(({ copies }) => {
      parts += copies.length;
      return parts - copies.length;
    });
  }

  /** A column for a SELECT after the changes; `store` wants its value. */
  get layoutDigest(): string {
    return LayoutReader.digestOf(this.#sources());
  }

  /**
   * Runs the message, the rows to the sink.
   * @param firstChange place of the first change among its statements
   */
  run(client: pg.ClientBase, message: Message, firstChange: number): Promise<pg.QueryResult[]> {
    const tagged = new TaggedLines();
    const target: CopyTarget = {
      write: (statement, bytes) => {
        const change = this.#changes[statement - firstChange];
        const first = this.#first[statement - firstChange] ?? 0;
        if (change?.rows !== 'lines') return this.#sink.write(first, bytes);
        let goOn = true;
        for (const { index, row } of tagged.split(bytes)) {
          this.#lines[first + index] = (this.#lines[first + index] ?? 0) + 1;
          goOn = this.#sink.write(first + index, recordToCopyLine(row));
        }
        return goOn;
      },
      drained: () => this.#sink.drained(),
    };
    return runCopying(client, message, target);
  }

  /** Rows of each step of a change whose archived lines are counted. */
  lines(change: Change): readonly number[] {
    const first = this.#first[this.#changes.indexOf(change)] ?? 0;
    return this.#lines.slice(first, first + change.copies.length);
  }

  /**
   * Sees everything on disk, then gives the statements that book it. The transaction must not commit
   * when it throws.
   * @param digest value of `layoutDigest`
   * @param facts of each part, in order
   * @throws PurgeError ARCHIVE_FAILED; driver errors
   */
  async store(
    client: pg.ClientBase,
    fence: Fence,
    digest: string,
    facts: readonly PartFacts[],
  ): Promise<string[]> {
    const stored = await this.#sink.store();
    if (stored.length === 0) return [];
    const layouts = await this.#layouts.read(client, this.#sources(), digest);
    const layoutOf = new Map(layouts.map((layout) => [layout.relation, layout]));
    const used = new Map<string, ArchiveLayout>();
    const chunks = stored.map((chunk): BookedChunk => {
      const part = this.parts[chunk.part];
      const fact = facts[chunk.part];
      const layout = part === undefined ? undefined : layoutOf.get(part.relation);
      if (part === undefined || fact === undefined || layout === undefined) {
        throw new Error(`the archive stored a part ${chunk.part} that no statement returned`);
      }
      used.set(layout.id, layout);
      return { ...chunk, ...part, ...fact, layout: layout.id };
    });
    return [insertLayouts(fence, [...used.values()]), insertChunks(fence, chunks)];
  }

  /** Its bytes never count. Idempotent. */
  abandon(): void {
    this.#sink.abandon();
  }

  #sources(): RowSource[] {
    const sources = new Map(this.parts.map(({ table, relation }) => [relation, table]));
    return [...sources].map(([relation, table]) => ({ table, relation }));
  }
}

interface TaggedRow {
  /** Place of its table among those of the statement. */
  readonly index: number;
  /** The row as a record, escaped as a field of COPY text. */
  readonly row: Buffer;
}

/** Lines `number of the table, tab, row as a record`, which may come cut anywhere. */
class TaggedLines {
  #rest: Buffer = Buffer.alloc(0);

  split(bytes: Buffer): TaggedRow[] {
    const rows: TaggedRow[] = [];
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let start = 0;
    for (;;) {
      const end = all.indexOf(NEWLINE, start);
      if (end < 0) break;
      const tab = all.indexOf(TAB, start);
      const index = Number(all.toString('latin1', start, tab));
      // A look whether a row was kept belongs to no table: its number is \\N.
      if (Number.isInteger(index)) rows.push({ index, row: all.subarray(tab + 1, end) });
      start = end + 1;
    }
    this.#rest = Buffer.from(all.subarray(start));
    return rows;
  }
}
