import type { ArchiveChunk } from '../../domain/archive.ts';
import type { TableName } from '../../domain/ids.ts';
import { addDigests, EMPTY_DIGEST, type LineDigest, LineHasher } from '../../domain/line-digest.ts';
import {
  copyRows,
  insertTogether,
  linkRows,
  type Piece,
  type RowStage,
  stageRows,
} from '../../postgres/restore/restore-batch.ts';
import { readFault } from '../../postgres/sqlstate.ts';
import { LineEditor } from './line-editor.ts';
import { placesOf, type RestoreUnit, type TableRestore } from './restore-plan.ts';
import {
  insertPiece,
  linkPiece,
  type RestoreRun,
  runBatch,
  silencedOf,
  skipsOfChunk,
} from './restore-run.ts';

/** Rows of one transaction; a chunk of the archive is seldom larger. */
const PIECE_ROWS = 200_000;
/** Below this a batch that takes too long is no matter of its size. */
const PIECE_ROWS_MIN = 500;

/**
 * Puts the rows of all units back: each as soon as those that it refers to are there, so many side by
 * side. The first that fails stops the others after their batch in hand.
 */
export async function restoreUnits(run: RestoreRun, connections: number): Promise<void> {
  const failure = new AbortController();
  const own = { ...run, signal: AbortSignal.any([run.signal, failure.signal]) };
  const waiting = new Set(run.units);
  const working = new Map<RestoreUnit, Promise<void>>();
  let first: { readonly error: unknown } | null = null;
  const start = (unit: RestoreUnit): void => {
    waiting.delete(unit);
    const work = restoreUnit(own, unit)
      .catch((error: unknown) => {
        first ??= { error };
        failure.abort(error);
      })
      .finally(() => working.delete(unit));
    working.set(unit, work);
  };
  for (;;) {
    const isOpen = (unit: RestoreUnit): boolean => waiting.has(unit) || working.has(unit);
    for (const unit of waiting) {
      if (first !== null || working.size >= connections) break;
      if (!parentsOf(run, unit).some(isOpen)) start(unit);
    }
    if (working.size === 0) break;
    await Promise.race(working.values());
  }
  if (first !== null) throw (first as { readonly error: unknown }).error;
}

/** Units with rows that those of this one may refer to. */
function parentsOf({ target, units }: RestoreRun, unit: RestoreUnit): RestoreUnit[] {
  const own = new Set(namesOf(unit));
  const parents = new Set(
    target.keys.filter(({ child }) => own.has(child)).map(({ parent }) => parent),
  );
  return units.filter((each) => each !== unit && namesOf(each).some((name) => parents.has(name)));
}

const namesOf = (unit: RestoreUnit): TableName[] =>
  unit.kind === 'copy' ? [unit.table.table] : unit.tables.map(({ table }) => table);

/** Puts the rows of a unit back, as far as they are not. */
async function restoreUnit(run: RestoreRun, unit: RestoreUnit): Promise<void> {
  switch (unit.kind) {
    case 'copy':
      return copyTable(run, unit.table, []);
    case 'link':
      for (const table of unit.tables) {
        await copyTable(run, table, unit.links.get(table.table) ?? []);
      }
      return;
    case 'together':
      return insertCircle(run, unit.tables);
    default:
      return unit satisfies never;
  }
}

/** Chunk by chunk; in smaller pieces where the server takes too long. */
async function copyTable(
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

/** All rows of all these tables in one transaction and one statement, whatever their number. */
async function insertCircle(run: RestoreRun, tables: readonly TableRestore[]): Promise<void> {
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

interface LinesOf {
  readonly run: RestoreRun;
  readonly table: TableRestore;
  readonly chunk: ArchiveChunk;
  /** Columns that are NULL for now. */
  readonly links: readonly string[];
  readonly range: { readonly from: number; readonly to: number };
  readonly skips: Awaited<ReturnType<typeof skipsOfChunk>>;
}

/** Lines of a chunk on their way into a table, with their digest as they shall be in the end. */
class ChunkLines {
  readonly #of: LinesOf;
  #digest: LineDigest = EMPTY_DIGEST;

  constructor(of: LinesOf) {
    this.#of = of;
  }

  async *read(): AsyncGenerator<Buffer> {
    const { run, table, chunk, links, range } = this.#of;
    const editor = makeEditor(this.#of);
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
    this.#digest = addDigests(this.#digest, hasher.digest());
  }

  /** @param rows as the server counted them */
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

function makeEditor({ table, chunk, range, skips }: LinesOf): LineEditor {
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

/** Sets the references that were NULL for a while, chunk by chunk. */
export async function linkUnit(run: RestoreRun, unit: RestoreUnit): Promise<void> {
  if (unit.kind !== 'link') return;
  for (const table of unit.tables) {
    const links = unit.links.get(table.table) ?? [];
    if (links.length === 0) continue;
    run.progress.at(table.table);
    for (const chunk of table.deleted) {
      if (!run.done.has(linkPiece(chunk.seq))) await linkChunk(run, table, chunk, links);
      run.progress.add(chunk.rows);
    }
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
    const edit = makeEditor({
      run,
      table,
      chunk,
      links: [],
      range: { from: 0, to: chunk.rows },
      skips,
    });
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
