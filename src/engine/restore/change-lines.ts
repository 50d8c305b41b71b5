import type { ArchiveChunk } from '../../domain/archive.ts';
import { encodeField, splitFields } from '../../domain/copy-text.ts';
import type { RestoreArchive } from './chunk-source.ts';
import { linesOf } from './line-editor.ts';
import type { TableRestore } from './restore-plan.ts';

/**
 * Each changed column of a changed row as a line of its own, for `makeChangeStage`: chunk, line, column,
 * its value before and after, and the row's primary key.
 * @param skipOf lines of a chunk that are left out
 */
export async function* changeLines(
  {
    archive,
    signal,
  }: { readonly archive: Pick<RestoreArchive, 'lines'>; readonly signal: AbortSignal },
  table: TableRestore,
  chunks: readonly ArchiveChunk[],
  skipOf: (seq: number) => ReadonlySet<number> = () => NONE,
): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    const layout = table.layouts.get(chunk.layout);
    if (layout === undefined) throw new Error(`no layout ${chunk.layout} of ${table.table}`);
    const names = layout.layout.columns.map(({ name }) => name);
    const key = table.target.primaryKey.map((name) => layout.fieldOf.get(name) ?? 0);
    const skip = skipOf(chunk.seq);
    let line = -1;
    for await (const block of archive.lines(chunk)) {
      signal.throwIfAborted();
      const out: string[] = [];
      for (const text of linesOf(block)) {
        line += 1;
        if (skip.has(line)) continue;
        const fields = splitFields(text);
        const keyText = key.map((field) => fields[names.length + field]?.toString('utf8') ?? '');
        for (const [at, name] of names.entries()) {
          const [before, after] = [fields[at], fields[names.length + at]];
          if (before === undefined || after === undefined || before.equals(after)) continue;
          out.push(
            [
              chunk.seq,
              line,
              encodeField(name).toString('utf8'),
              before.toString('utf8'),
              after.toString('utf8'),
              ...keyText,
            ].join('\t'),
          );
        }
      }
      yield Buffer.from(out.map((text) => `${text}\n`).join(''), 'utf8');
    }
  }
}

const NONE: ReadonlySet<number> = new Set();
