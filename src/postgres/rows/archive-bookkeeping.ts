import type { ArchiveLayout, StoredChunk } from '../../domain/archive.ts';
import type { Fence } from '../../domain/records.ts';
import type { Copied } from './change-statements.ts';
import { literal } from './row-predicate.ts';

/** A chunk as the ledger is to hold it. */
export interface BookedChunk extends StoredChunk, Copied {
  readonly layout: string;
  readonly rows: number;
  readonly level: string;
}

/** INSERT of the chunks of one transaction. */
export const insertChunks = (fence: Fence, chunks: readonly BookedChunk[]): string =>
  `insert into tenant_purge.archive_chunk (purge_id, segment, byte_offset, byte_length, raw_bytes,
     kind, table_name, layout, rows, sha256, chain, fence, level, step, goes_later)
   values ${chunks.map((chunk) => chunkRow(fence, chunk)).join(', ')}`;

function chunkRow(fence: Fence, chunk: BookedChunk): string {
  const texts = (...values: readonly string[]): string => values.map(literal).join(', ');
  return `(${texts(fence.purgeId, chunk.segment)}, ${chunk.offset}, ${chunk.length}, ${chunk.rawBytes},
    ${texts(chunk.kind, chunk.table, chunk.layout)}, ${chunk.rows}, ${texts(chunk.sha256, chunk.chain)},
    ${fence.epoch}, ${texts(chunk.level, chunk.step)}, ${chunk.goesLater})`;
}

/** INSERT of layouts, as far as the ledger does not have them. */
export const insertLayouts = (fence: Fence, layouts: readonly ArchiveLayout[]): string =>
  `insert into tenant_purge.archive_layout (purge_id, id, table_name, relation, columns, primary_key)
   values ${layouts.map((layout) => layoutRow(fence, layout)).join(', ')}
   on conflict do nothing`;

const layoutRow = (fence: Fence, layout: ArchiveLayout): string =>
  `(${[fence.purgeId, layout.id, layout.table, layout.relation, JSON.stringify(layout.columns)]
    .map(literal)
    .join(', ')}, array[${layout.primaryKey.map(literal).join(', ')}]::text[])`;
