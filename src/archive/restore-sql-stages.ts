import type { ArchiveChunk, ArchiveLayout, ChunkKind } from '../domain/archive.ts';
import { damaged } from './archive-error.ts';
import type { ByteRange } from './store.ts';

/** A temporary table of `restore.sql`: the rows of one kind and layout. */
export interface Stage {
  readonly name: string;
  readonly kind: ChunkKind;
  readonly layout: ArchiveLayout;
  /** `c1, c2, …` of deleted rows; `b1, …, a1, …` of changed ones, all of them text. */
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly ranges: readonly StageRange[];
  readonly rows: number;
  readonly seqMax: number;
}

/** Bytes of one segment that one `\copy` reads. */
interface StageRange extends ByteRange {
  readonly segment: string;
  /** Of changed rows: their chunk, for a row may have been changed several times. */
  readonly seq: number | null;
}

/** @throws PurgeError ARCHIVE_DAMAGED where a chunk's layout is unknown */
export function stagesOf(
  chunks: readonly ArchiveChunk[],
  layouts: ReadonlyMap<string, ArchiveLayout>,
): Stage[] {
  const grouped = new Map<string, ArchiveChunk[]>();
  for (const chunk of chunks) {
    const key = `${chunk.kind} ${chunk.layout}`;
    const group = grouped.get(key);
    if (group === undefined) grouped.set(key, [chunk]);
    else group.push(chunk);
  }
  return [...grouped.values()].map((group, index) => {
    const [first] = group;
    const layout = layouts.get(first?.layout ?? '');
    if (first === undefined || layout === undefined) {
      throw damaged(`The archive lacks the columns of ${first?.table ?? 'a table'}.`, {
        layout: first?.layout,
      });
    }
    return {
      name: `purge_${first.kind}_${index + 1}`,
      kind: first.kind,
      layout,
      columns: first.kind === 'deleted' ? deletedColumns(layout) : changedColumns(layout),
      ranges: first.kind === 'deleted' ? mergedRanges(group) : group.map(rangeOf),
      rows: group.reduce((sum, { rows }) => sum + rows, 0),
      seqMax: Math.max(...group.map(({ seq }) => seq)),
    };
  });
}

/** The shell's command that writes a range's bytes to a program. Segment names need no quotes. */
export const commandFor = (
  { segment, offset, length }: Pick<StageRange, 'segment' | 'offset' | 'length'>,
  program = 'gzip -dc',
): string => `tail -c +${offset + 1} ${segment} | head -c ${length} | ${program}`;

/** A generated column's values are read over, whatever they are. */
const deletedColumns = (layout: ArchiveLayout): Stage['columns'] =>
  layout.columns.map(({ type, generated }, index) => ({
    name: `c${index + 1}`,
    type: generated ? 'text' : type,
  }));

/** As text, for json, point and others know no equality, and only text says that nothing changed. */
const changedColumns = (layout: ArchiveLayout): Stage['columns'] =>
  ['b', 'a'].flatMap((half) =>
    layout.columns.map((_, index) => ({ name: `${half}${index + 1}`, type: 'text' })),
  );

const rangeOf = ({ segment, offset, length, seq }: ArchiveChunk): StageRange => ({
  segment,
  offset,
  length,
  seq,
});

/** gzip reads members one after another: chunks that touch each other are read at once. */
function mergedRanges(chunks: readonly ArchiveChunk[]): StageRange[] {
  const sorted = [...chunks].sort((left, right) =>
    left.segment === right.segment
      ? left.offset - right.offset
      : left.segment < right.segment
        ? -1
        : 1,
  );
  const ranges: StageRange[] = [];
  for (const { segment, offset, length } of sorted) {
    const last = ranges.at(-1);
    if (last?.segment === segment && last.offset + last.length === offset) {
      ranges[ranges.length - 1] = { ...last, length: last.length + length };
    } else ranges.push({ segment, offset, length, seq: null });
  }
  return ranges;
}
