import type { PurgeId, TableName, TenantId } from './ids.ts';

/** Version of what lies in an archive's folder; a reader refuses one it does not know. */
export const ARCHIVE_FORMAT = 1;

/**
 * What a line of a chunk is.
 * `deleted`: a row as the purge deleted it, in COPY text.
 * `changed`: a row that the purge changed: all its columns before the change, then all of them after
 * it, in one line of COPY text. Where the row was deleted later, it is archived a second time there.
 */
export const CHUNK_KINDS = ['deleted', 'changed'] as const;
export type ChunkKind = (typeof CHUNK_KINDS)[number];

/** A column of an archived table, in the order in which its values stand in a line. */
export interface ArchivedColumn {
  readonly name: string;
  /** As `format_type` prints it, e.g. `numeric(10,2)`. */
  readonly type: string;
  /** GENERATED ALWAYS AS (…): its value is in the line, and never written back. */
  readonly generated: boolean;
  readonly identity: 'always' | 'by default' | null;
}

/** The columns of one relation; a partition may have them in another order than its table. */
export interface ArchiveLayout {
  /** First 16 hex digits of the sha256 of table, relation and columns as JSON. */
  readonly id: string;
  readonly table: TableName;
  /** The table itself, or the leaf that the rows came from. */
  readonly relation: TableName;
  readonly columns: readonly ArchivedColumn[];
  /** Empty where there is none. */
  readonly primaryKey: readonly string[];
}

/** Where the bytes of a chunk lie, and their digests. */
export interface StoredChunk {
  readonly segment: string;
  /** Bytes from the segment's beginning. */
  readonly offset: number;
  /** Bytes of one gzip member. */
  readonly length: number;
  /** Bytes of COPY text in it. */
  readonly rawBytes: number;
  /** Of the compressed bytes, hex. */
  readonly sha256: string;
  /** sha256 of the chain before it in its segment and its own digest, both hex; see `chainDigest`. */
  readonly chain: string;
}

/** Rows that one statement of one committed batch deleted or changed. */
export interface ArchiveChunk extends StoredChunk {
  /** Order of the commits within the purge; later changes have higher numbers. */
  readonly seq: number;
  readonly kind: ChunkKind;
  readonly table: TableName;
  readonly layout: string;
  readonly rows: number;
  readonly fence: number;
  readonly level: string;
  /** The plan's step, as in the checkpoint: `delete public.a`, `clear public.a.a_b_fkey`, … */
  readonly step: string;
  /** True where the changed rows go later in the same purge; false: they stay, changed. */
  readonly goesLater: boolean;
}

/** Redis keys that one pipeline of a sweep unlinked; a sweep serves several purges. */
export interface KeyChunk extends StoredChunk {
  readonly sweepId: number;
  readonly keys: number;
}

/** One Redis key as it lies in a chunk of keys: one JSON object a line. */
export interface ArchivedKey {
  readonly tenantId: TenantId;
  /** Bytes of the key, base64. */
  readonly key: string;
  /** What DUMP gave, base64. */
  readonly dump: string;
  /** Unix time in ms at which it expires; null: never. */
  readonly expiresAt: number | null;
}

/** Session settings that COPY text depends on; set locally in every archive and restore transaction. */
export const COPY_SETTINGS: Readonly<Record<string, string>> = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, YMD',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  client_encoding: 'UTF8',
  lc_monetary: 'C',
};

/** Everything that a reader of the folder needs; `manifest.json`. */
export interface Manifest {
  readonly format: typeof ARCHIVE_FORMAT;
  readonly purgeId: PurgeId | null;
  readonly tenant: {
    readonly table: TableName;
    readonly key: string;
    readonly id: TenantId;
    readonly label: string;
  };
  readonly database: {
    /** Of the ledger. */
    readonly identity: string;
    /** `server_version_num`. */
    readonly version: number;
    readonly searchPath: string;
  };
  readonly settings: Readonly<Record<string, string>>;
  readonly planFingerprint: string;
  /** How the purge had ended when this was written. */
  readonly status: string;
  /** ISO 8601, UTC. */
  readonly writtenAt: string;
  readonly layouts: readonly ArchiveLayout[];
  /**
   * The archived tables, parents first. The tables of one group refer to each other in a circle and
   * go back in one statement.
   */
  readonly groups: readonly (readonly TableName[])[];
  readonly chunks: readonly ArchiveChunk[];
  readonly segments: readonly ManifestSegment[];
  readonly keys: { readonly count: number; readonly chunks: readonly KeyChunk[] };
  /** sha256 over the segments' names, lengths and chains, in order of name; see `manifestDigest`. */
  readonly digest: string;
}

export interface ManifestSegment {
  readonly name: string;
  /** Committed bytes; what lies beyond was rolled back. */
  readonly bytes: number;
  /** The chain after its last chunk. */
  readonly chain: string;
}

/** Chain before the first chunk of a segment. */
export const CHAIN_START = '0'.repeat(64);

/** One part of a batch's stream, made durable. */
export interface StoredPart extends StoredChunk {
  /** As given to `write`. */
  readonly part: number;
}

/**
 * Takes what the statements of one transaction return, part by part in order, while they run; makes it
 * durable before the transaction may commit. Used once.
 */
export interface BatchSink {
  /** Copies the bytes. False: hold the source until `drained`. */
  write(part: number, bytes: Uint8Array): boolean;
  drained(): Promise<void>;
  /**
   * Resolves when every part that has bytes is on disk and was read back with the same digest.
   * @throws PurgeError ARCHIVE_FAILED; the caller rolls back
   */
  store(): Promise<readonly StoredPart[]>;
  /** The transaction has been rolled back, or its outcome is unknown: no later batch writes behind these bytes. Idempotent. */
  abandon(): void;
}

/** Opens the sink of one batch of one step; the engine hands it to the row store. */
export type OpenBatchSink = () => BatchSink;
