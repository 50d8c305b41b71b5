import type { ArchiveChunk, ArchiveLayout, KeyChunk } from '../domain/archive.ts';
import { TAB } from '../domain/copy-text.ts';
import { PurgeError } from '../domain/errors.ts';
import type { TableName } from '../domain/ids.ts';
import { type ArchiveFile, isSegmentName, MANIFEST_FILE, RESTORE_FILE } from './file-name.ts';
import { findChunkFaults, segmentsOf } from './manifest.ts';
import { copyLines, type ReadableChunk, readChunk } from './segment-reader.ts';
import type { SegmentStore } from './store.ts';

/** Something that keeps rows or keys from being restored as they were. */
export interface ArchiveProblem {
  readonly segment: string;
  /** Where the damaged chunk begins; null where the whole segment is meant. */
  readonly offset: number | null;
  /** Null for keys, and where the whole segment is meant. */
  readonly table: TableName | null;
  /** What is wrong: the rest of a sentence about the chunk or segment, or one of the store's. */
  readonly what: string;
}

/** Bytes that no committed batch speaks of: harmless, and left where they are. */
export interface IgnoredBytes {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly why: string;
}

export interface ArchiveCheck {
  readonly problems: readonly ArchiveProblem[];
  readonly ignored: readonly IgnoredBytes[];
  /** Chunks looked at, and what the sound ones hold. */
  readonly chunks: number;
  readonly rows: number;
  /** Committed bytes, compressed. */
  readonly bytes: number;
}

interface CheckRowsOptions {
  readonly store: SegmentStore;
  readonly folder: string;
  /** From the ledger, or from the manifest where there is no ledger. */
  readonly chunks: readonly ArchiveChunk[];
  readonly layouts: readonly ArchiveLayout[];
  readonly onProgress?: (checked: number, of: number) => void;
}

/**
 * Reads every committed byte of a folder of rows: digests, their chain, decompressed size, number of rows
 * and of fields. Reports all that is wrong, and what lies there besides; changes nothing.
 * @throws PurgeError ARCHIVE_DAMAGED only where the folder itself cannot be listed
 */
export async function checkRows(options: CheckRowsOptions): Promise<ArchiveCheck> {
  const layouts = new Map(options.layouts.map((layout) => [layout.id, layout]));
  return checkFolder(options, options.chunks, {
    linesOf: (chunk) => chunk.rows,
    tableOf: (chunk) => chunk.table,
    openLine: (chunk) => {
      const columns = layouts.get(chunk.layout)?.columns.length;
      if (columns === undefined) return () => `has an unknown layout ${chunk.layout}`;
      const fields = chunk.kind === 'changed' ? 2 * columns : columns;
      return (line) => {
        const found = countFields(line);
        return found === fields ? null : `has a line of ${found} fields instead of ${fields}`;
      };
    },
  });
}

interface CheckKeysOptions extends Omit<CheckRowsOptions, 'chunks' | 'layouts'> {
  readonly chunks: readonly KeyChunk[];
  /** True where nothing else lies in the folder; by default other sweeps' segments do, no matter of this. */
  readonly isOwnFolder?: boolean;
}

/** As `checkRows`, for keys. */
export async function checkKeys(options: CheckKeysOptions): Promise<ArchiveCheck> {
  const check = await checkFolder(options, options.chunks, {
    linesOf: (chunk) => chunk.keys,
    tableOf: () => null,
    openLine: () => (line) => (isKeyLine(line) ? null : 'has a line that is no archived key'),
  });
  if (options.isOwnFolder === true) return check;
  const known = new Set(options.chunks.map(({ segment }) => segment));
  return { ...check, ignored: check.ignored.filter(({ file }) => known.has(file)) };
}

interface ChunkFormat<Chunk> {
  linesOf(chunk: Chunk): number;
  tableOf(chunk: Chunk): TableName | null;
  /** What is wrong with a line of the chunk; null: nothing. */
  openLine(chunk: Chunk): (line: Buffer) => string | null;
}

async function checkFolder<Chunk extends ReadableChunk>(
  { store, folder, onProgress }: Pick<CheckRowsOptions, 'store' | 'folder' | 'onProgress'>,
  chunks: readonly Chunk[],
  format: ChunkFormat<Chunk>,
): Promise<ArchiveCheck> {
  const files = new Map((await store.files(folder)).map((file) => [file.name, file]));
  const segments = segmentsOf(chunks);
  const problems: ArchiveProblem[] = [];
  let rows = 0;

  const tables = new Map(
    chunks.map((chunk) => [`${chunk.segment} ${chunk.offset}`, format.tableOf(chunk)]),
  );
  for (const { chunk, what } of findChunkFaults(chunks)) {
    const { segment, offset } = chunk;
    problems.push({ segment, offset, table: tables.get(`${segment} ${offset}`) ?? null, what });
  }
  for (const { name, bytes } of segments) {
    const size = files.get(name)?.bytes;
    if (size === undefined) {
      problems.push({ segment: name, offset: null, table: null, what: 'is missing' });
    } else if (size < bytes) {
      const what = `has ${size} bytes, ${bytes} were committed`;
      problems.push({ segment: name, offset: size, table: null, what });
    }
  }
  for (const [index, chunk] of chunks.entries()) {
    // A missing segment is one problem, not one for each of its thousand chunks.
    if (files.has(chunk.segment)) {
      const what = await faultOf(store, folder, chunk, format);
      if (what === null) rows += format.linesOf(chunk);
      else {
        const { segment, offset } = chunk;
        problems.push({ segment, offset, table: format.tableOf(chunk), what });
      }
    }
    onProgress?.(index + 1, chunks.length);
  }
  return {
    problems,
    ignored: ignoredIn(
      [...files.values()],
      new Map(segments.map(({ name, bytes }) => [name, bytes])),
    ),
    chunks: chunks.length,
    rows,
    bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** What is wrong with a chunk's bytes; null: nothing. */
async function faultOf<Chunk extends ReadableChunk>(
  store: SegmentStore,
  folder: string,
  chunk: Chunk,
  format: ChunkFormat<Chunk>,
): Promise<string | null> {
  const faultOfLine = format.openLine(chunk);
  const expected = format.linesOf(chunk);
  let lines = 0;
  try {
    for await (const batch of copyLines(readChunk(store, folder, chunk))) {
      lines += batch.length;
      for (const line of batch) {
        const fault = faultOfLine(line);
        if (fault !== null) return fault;
      }
    }
  } catch (error) {
    if (!(error instanceof PurgeError) || error.code !== 'ARCHIVE_DAMAGED') throw error;
    const { what } = error.details;
    return typeof what === 'string' ? what : error.message;
  }
  return lines === expected ? null : `holds ${lines} lines instead of ${expected}`;
}

function ignoredIn(
  files: readonly ArchiveFile[],
  committed: ReadonlyMap<string, number>,
): IgnoredBytes[] {
  return files.flatMap(({ name, bytes }): IgnoredBytes[] => {
    const end = committed.get(name);
    if (end === undefined) {
      if (name === MANIFEST_FILE || name === RESTORE_FILE) return [];
      const why = isSegmentName(name)
        ? 'a segment without a committed batch: its batches were rolled back, or are under way'
        : 'not of the archive';
      return [{ file: name, offset: 0, bytes, why }];
    }
    if (bytes <= end) return [];
    const why = 'behind the last committed batch: what came there was rolled back, or is under way';
    return [{ file: name, offset: end, bytes: bytes - end, why }];
  });
}

function countFields(line: Buffer): number {
  let fields = 1;
  for (let at = line.indexOf(TAB); at !== -1; at = line.indexOf(TAB, at + 1)) fields += 1;
  return fields;
}

function isKeyLine(line: Buffer): boolean {
  try {
    const { tenantId, key, dump, expiresAt } = JSON.parse(line.toString('utf8')) as Record<
      string,
      unknown
    >;
    return (
      [tenantId, key, dump].every((value) => typeof value === 'string') &&
      (expiresAt === null || typeof expiresAt === 'number')
    );
  } catch {
    return false;
  }
}
