import { createFileSystemStore } from '../archive/file-system-store.ts';
import type { Config } from '../config/config.ts';
import type { ArchiveParts } from '../engine/archive/archive-parts.ts';
import type { Database } from '../postgres/database.ts';
import { ArchiveStore } from '../postgres/ledger/archives.ts';

/** Where archives lie; nothing is made there before the first of them. */
export const archiveParts = (config: Config, database: Database): ArchiveParts => ({
  store: createFileSystemStore(config.archive.dir),
  ledger: new ArchiveStore(database),
  databaseVersion: database.version,
  keepDays: config.archive.keepDays,
});
