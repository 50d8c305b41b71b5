import type { SegmentStore } from '../../archive/store.ts';
import type { ArchiveStore } from '../../postgres/ledger/archives.ts';

/** What a process needs to write archives, to seal them and to read them. */
export interface ArchiveParts {
  /** Where they lie. */
  readonly store: SegmentStore;
  /** What the ledger knows of them. */
  readonly ledger: ArchiveStore;
  /** So long after its end a purge can be undone; absent: this process does not know it. */
  readonly keepDays?: number;
  /** `server_version_num` of the database. */
  readonly databaseVersion: number;
}
