import { rowSegmentName } from '../../../src/archive/file-name.ts';
import { makeManifest } from '../../../src/archive/manifest.ts';
import { SegmentWriter } from '../../../src/archive/segment-writer.ts';
import type { SegmentStore } from '../../../src/archive/store.ts';
import type {
  ArchiveChunk,
  ArchiveLayout,
  ChunkKind,
  Manifest,
} from '../../../src/domain/archive.ts';
import { asPurgeId, asTableName, asTenantId, type TableName } from '../../../src/domain/ids.ts';

export const PURGE_ID = asPurgeId('0b1f9f5e-6d0c-4a57-9a51-1f9f5e6d0c4a');
export const FOLDER = `purges/${PURGE_ID}`;

/** The rows of one statement, as COPY text. */
export interface WrittenPart {
  readonly layout: ArchiveLayout;
  readonly kind: ChunkKind;
  readonly text: string;
  readonly goesLater?: boolean;
}

/** Writes batches into one segment, and returns what the ledger would hold of them. */
export async function writeBatches(
  store: SegmentStore,
  batches: readonly (readonly WrittenPart[])[],
): Promise<ArchiveChunk[]> {
  const writer = new SegmentWriter({
    store,
    folder: FOLDER,
    nameOf: (part) => rowSegmentName(1, 'all-tables', part),
  });
  const chunks: ArchiveChunk[] = [];
  for (const batch of batches) {
    const sink = writer.open();
    for (const [part, { text }] of batch.entries()) {
      if (!sink.write(part, Buffer.from(text))) await sink.drained();
    }
    for (const { part, ...stored } of await sink.store()) {
      const written = batch[part];
      if (written === undefined) continue;
      const { layout, kind, text, goesLater = false } = written;
      chunks.push({
        ...stored,
        seq: chunks.length + 1,
        kind,
        table: layout.table,
        layout: layout.id,
        rows: text.split('\n').length - 1,
        fence: 1,
        level: 'dependents',
        step: `${kind} ${layout.table}`,
        goesLater,
      });
    }
  }
  await writer.close();
  return chunks;
}

export function manifestOf(
  chunks: readonly ArchiveChunk[],
  layouts: readonly ArchiveLayout[],
  groups: readonly (readonly TableName[])[] = [],
): Manifest {
  return makeManifest({
    purgeId: PURGE_ID,
    tenant: {
      table: asTableName('public.tenants'),
      key: 'id',
      id: asTenantId('42'),
      label: 'Ann\n; drop table x; -- "',
    },
    database: { identity: 'd1', version: 180_004, searchPath: '"$user", public' },
    planFingerprint: 'f1',
    status: 'completed',
    writtenAt: new Date('2025-01-02T03:04:05Z'),
    layouts,
    groups,
    chunks,
    keys: { count: 0, chunks: [] },
  });
}
