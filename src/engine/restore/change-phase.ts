import type { ArchiveChunk } from '../../domain/archive.ts';
import { joinFields, NEWLINE, splitFields } from '../../domain/copy-text.ts';
import { PurgeError } from '../../domain/errors.ts';
import { changeBack } from '../../postgres/restore/restore-batch.ts';
import { linesOf } from './line-editor.ts';
import type { TableRestore } from './restore-plan.ts';
import { changePiece, type RestoreRun, runBatch, silencedOf, skipsOfChunk } from './restore-run.ts';

/**
 * Gives the rows that the purge only changed their values from before, the last change first: one row
 * may have been changed several times. @returns rows changed back by this call
 */
export async function changeRowsBack(run: RestoreRun): Promise<number> {
  const chunks = run.tables
    .flatMap((table) => table.changed.map((chunk) => ({ table, chunk })))
    .sort((left, right) => right.chunk.seq - left.chunk.seq);
  let changed = 0;
  for (const { table, chunk } of chunks) {
    if (!run.done.has(changePiece(chunk.seq))) {
      run.progress.at(table.table);
      changed += await changeChunk(run, table, chunk);
    }
    run.progress.add(chunk.rows);
  }
  return changed;
}

/** Lines that differ in the same columns. */
interface Group {
  readonly changed: readonly string[];
  readonly lines: Buffer[];
}

async function changeChunk(
  run: RestoreRun,
  table: TableRestore,
  chunk: ArchiveChunk,
): Promise<number> {
  const { skip } = await skipsOfChunk(run, chunk.seq);
  // Before the transaction begins: one that is idle while it is read would be ended by the server.
  const { groups, isKey, identity } = await groupLines(run, table, chunk, skip);
  let done = 0;
  await runBatch(run, silencedOf(run, [table]), async (session) => {
    done = 0;
    for (const { changed, lines } of groups.values()) {
      const result = await changeBack(
        session,
        { target: table.target, identity, isKey, changed },
        once(lines),
      );
      done += result.changed;
      const left = result.rows - result.changed - result.already;
      if (
        left > 0 &&
        run.rules.settle.CHANGED_SINCE !== 'skip' &&
        run.rules.settle.ROW_GONE !== 'skip'
      ) {
        throw changedSince(run, table, { changed, left });
      }
    }
    return [
      {
        piece: changePiece(chunk.seq),
        fromLine: 0,
        toLine: chunk.rows,
        rows: done,
        skipped: 0,
        digest: null,
        counts: false,
      },
    ];
  });
  return done;
}

const changedSince = (
  run: RestoreRun,
  { table }: TableRestore,
  { changed, left }: { readonly changed: readonly string[]; readonly left: number },
): PurgeError =>
  new PurgeError(
    'RESTORE_CONFLICTS',
    `Purge ${run.hold.purgeId}: ${left} rows of ${table} that the purge changed (${changed.join(', ')}) are gone or were changed again since. This batch was rolled back.`,
    {
      details: { table, columns: changed, rows: left },
      remedy: `Keep what is there now: tenant-purge restore ${run.hold.purgeId} --settle CHANGED_SINCE=skip --settle ROW_GONE=skip`,
    },
  );

async function groupLines(
  run: RestoreRun,
  table: TableRestore,
  chunk: ArchiveChunk,
  skip: ReadonlySet<number>,
): Promise<{
  readonly groups: ReadonlyMap<string, Group>;
  readonly isKey: boolean;
  readonly identity: readonly string[];
}> {
  const layout = table.layouts.get(chunk.layout);
  if (layout === undefined) throw new Error(`no layout ${chunk.layout} of ${table.table}`);
  const { primaryKey } = table.target;
  const archived = table.columns.filter((name) => layout.fieldOf.has(name));
  const isKey = primaryKey.length > 0 && primaryKey.every((name) => archived.includes(name));
  const identity = isKey ? primaryKey : archived;
  const width = layout.layout.columns.length;
  const fieldOf = (name: string): number => layout.fieldOf.get(name) ?? 0;
  const groups = new Map<string, Group>();
  let line = -1;
  for await (const block of run.archive.lines(chunk)) {
    run.signal.throwIfAborted();
    for (const text of linesOf(block)) {
      line += 1;
      if (skip.has(line)) continue;
      const fields = splitFields(text);
      const at = (field: number): Buffer => fields[field] ?? Buffer.alloc(0);
      const changed = archived.filter(
        (name) => !at(fieldOf(name)).equals(at(width + fieldOf(name))),
      );
      if (changed.length === 0) continue;
      const place = changed.join('\0');
      const group = groups.get(place) ?? { changed, lines: [] };
      groups.set(place, group);
      group.lines.push(
        joinFields([
          ...identity.map((name) => at(width + fieldOf(name))),
          ...changed.map((name) => at(fieldOf(name))),
          ...changed.map((name) => at(width + fieldOf(name))),
        ]),
        NEWLINE_BYTES,
      );
    }
  }
  return { groups, isKey, identity };
}

const NEWLINE_BYTES = Buffer.from([NEWLINE]);

// oxlint-disable-next-line typescript/require-await -- a source of COPY is an async one
async function* once(lines: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield Buffer.concat(lines);
}
