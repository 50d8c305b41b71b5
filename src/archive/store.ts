import type { ArchiveFile } from './file-name.ts';

/**
 * Where archives lie: folders of files that are written once. The file system now; object storage
 * fits as well, for nothing is ever changed in place. Every store passes
 * `test/integration/archive/store-conformance.ts`.
 *
 * Folders are paths of checked names, `purges/<id>`; files are names inside them.
 * Writing throws ARCHIVE_FAILED, reading ARCHIVE_DAMAGED; both name the path and the cause.
 */
export interface SegmentStore {
  /** For people: host and absolute folder. */
  location(folder?: string): string;

  /**
   * uuid of this archive; made where there is none. Processes that start together agree on one.
   * @throws PurgeError ARCHIVE_PLACE where the mark is there and cannot be understood
   */
  identity(): Promise<string>;

  /** As `identity`, but makes nothing: null where no archive was begun here. */
  knownIdentity(): Promise<string | null>;

  /** Names of the folders directly inside a folder, sorted; none where it is not there. */
  folders(folder: string): Promise<readonly string[]>;

  /** Files directly inside a folder, sorted by name; none where it is not there. */
  files(folder: string): Promise<readonly ArchiveFile[]>;

  /**
   * Creates a segment for its only writer, and the folders above it. Null where the name is taken,
   * whoever took it.
   */
  openSegment(folder: string, name: string): Promise<SegmentHandle | null>;

  /** Bytes of a file; null where it is not there. */
  size(folder: string, name: string): Promise<number | null>;

  /** A range of a file in one piece. @throws PurgeError ARCHIVE_DAMAGED where the file is shorter */
  read(folder: string, name: string, range: ByteRange): Promise<Buffer>;

  /** A whole small file; null where it is not there. */
  get(folder: string, name: string): Promise<Buffer | null>;

  /**
   * Writes a small file: a reader sees the old one or the new one. Durable, unless `durable` is false:
   * then a crash of the machine may take it back. Idempotent.
   */
  put(
    folder: string,
    name: string,
    bytes: Uint8Array | string,
    options?: { readonly durable: boolean },
  ): Promise<void>;

  /** Bytes that may still be written; null where nobody knows. */
  freeBytes(): Promise<number | null>;

  /** Removes a file, durably. Idempotent. */
  removeFile(folder: string, name: string): Promise<void>;

  /** Removes a folder and what is in it, durably. Idempotent. */
  removeFolder(folder: string): Promise<void>;
}

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** A segment in the hands of its only writer. */
export interface SegmentHandle {
  readonly name: string;
  /** Appends all bytes; one call at a time. They are durable after `sync`. */
  append(bytes: Uint8Array): Promise<void>;
  /** Makes durable what was appended, the segment's name and the folders made for it. */
  sync(): Promise<void>;
  /** What the store gives back of what was appended. */
  readBack(range: ByteRange): Promise<Buffer>;
  /** Idempotent. */
  close(): Promise<void>;
}
