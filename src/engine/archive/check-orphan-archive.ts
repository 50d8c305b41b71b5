import { checkKeys } from '../../archive/check.ts';
import { MANIFEST_FILE } from '../../archive/file-name.ts';
import type { SegmentStore } from '../../archive/store.ts';
import type { OrphanArchiveRecord, OrphanArchives } from '../../postgres/ledger/orphan-archives.ts';
import { whyOtherManifest } from '../orphans/orphan-manifest.ts';
import type { CheckedArchive } from './check-archive.ts';

/**
 * Reads every byte that the ledger has committed for a run of `redis orphans --delete`; once the run has
 * ended also its manifest, which until then may speak of an earlier stop. Changes nothing.
 */
export async function checkOrphanArchive(
  { store, orphans }: { readonly store: SegmentStore; readonly orphans: OrphanArchives },
  record: OrphanArchiveRecord,
): Promise<CheckedArchive> {
  const chunks = await orphans.chunks(record.id);
  const checked = await checkKeys({
    store,
    folder: record.folder,
    chunks: chunks.map((chunk) => ({ ...chunk, sweepId: 0 })),
    isOwnFolder: true,
  });
  const what = record.endedAt === null ? null : await whyOtherManifest(store, record, chunks);
  const manifest = { segment: MANIFEST_FILE, offset: null, table: null };
  return {
    ...checked,
    problems: [...(what === null ? [] : [{ ...manifest, what }]), ...checked.problems],
    rows: 0,
    keys: checked.rows,
  };
}
