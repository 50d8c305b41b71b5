import { createHash, type Hash } from 'node:crypto';
import type { BatchSink, StoredPart } from '../domain/archive.ts';
import { PurgeError } from '../domain/errors.ts';
import { writeFailed } from './archive-error.ts';
import { chainDigest } from './chain.ts';
import { GzipMember, gzipSmall, SMALL_BYTES_MAX } from './gzip-member.ts';
import { RowBlocks, type Slice } from './row-blocks.ts';
import type { OpenSegment } from './segment-writer.ts';

/** Raw bytes that wait for zlib: above the one the source is held, below the other it goes on. */
const WAITING_BYTES_MAX = 8 * 1024 * 1024;
const WAITING_BYTES_LOW = 4 * 1024 * 1024;
/** Compressed bytes gathered for one write. */
const APPEND_BYTES = 1024 * 1024;
const READ_BACK_BYTES = 1024 * 1024;

/** The writer that a sink belongs to. */
interface SinkOwner {
  /** The segment to write behind. */
  take(): Promise<OpenSegment>;
  /** Nobody writes to this segment any more; it is closed once `settled`. */
  drop(segment: OpenSegment, settled: Promise<void>): void;
  /** The batch is durable; nothing is written to the segment before the next one. */
  stored(): void;
}

interface PartProgress {
  readonly part: number;
  readonly hash: Hash;
  rawBytes: number;
  length: number;
}

/**
 * The sink of one batch. `write` only copies; compressing, digesting and writing run beside the
 * transaction, in order, one slice at a time. After a failure what comes is dropped, `write` asks to
 * hold and `drained` and `store` throw, so that the transaction ends early.
 */
export class SegmentSink implements BatchSink {
  readonly #owner: SinkOwner;
  readonly #rows = new RowBlocks((slice) => {
    this.#queue(slice);
  });
  readonly #slices: Slice[] = [];
  readonly #parts: PartProgress[] = [];
  #waitingBytes = 0;
  #waiters: (() => void)[] = [];
  #pump: Promise<void> = Promise.resolve();
  #isPumping = false;
  #member: GzipMember | null = null;
  /** Compressed, and not yet appended. */
  #output: Buffer[] = [];
  #outputBytes = 0;
  /** Given to the segment, whether they arrived or not. */
  #appendedBytes = 0;
  #segment: OpenSegment | null = null;
  #failure: PurgeError | null = null;
  #isAbandoned = false;
  #stage: 'taking' | 'storing' | 'stored' = 'taking';

  constructor(owner: SinkOwner) {
    this.#owner = owner;
  }

  get isStored(): boolean {
    return this.#stage === 'stored';
  }

  write(part: number, bytes: Uint8Array): boolean {
    if (this.#isDead) return this.#isAbandoned;
    try {
      this.#rows.write(part, bytes);
    } catch (error) {
      this.#fail(
        new PurgeError('INTERNAL', 'The rows of a batch came out of order.', { cause: error }),
      );
      return false;
    }
    return this.#waitingBytes < WAITING_BYTES_MAX;
  }

  async drained(): Promise<void> {
    while (this.#waitingBytes > WAITING_BYTES_LOW && !this.#isDead) {
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
      });
    }
    if (this.#failure !== null) throw this.#failure;
  }

  async store(): Promise<readonly StoredPart[]> {
    if (this.#stage !== 'taking') throw new TypeError('a sink is stored once');
    this.#stage = 'storing';
    this.#rows.end();
    try {
      await this.#pump;
      this.#throwIfDead();
      const stored = await this.#makeDurable();
      this.#throwIfDead();
      this.#stage = 'stored';
      this.#owner.stored();
      return stored;
    } catch (error) {
      const failure = this.#fail(error);
      this.abandon();
      throw failure;
    }
  }

  abandon(): void {
    if (this.#isAbandoned) return;
    this.#isAbandoned = true;
    this.#wake();
    // Bytes that only lay in memory leave the segment as it was.
    if (this.#segment !== null && this.#appendedBytes > 0) {
      this.#owner.drop(this.#segment, this.#pump);
    }
  }

  /** Resolves when nothing of this sink runs any more; it never rejects. */
  settled(): Promise<void> {
    return this.#pump;
  }

  get #isDead(): boolean {
    return this.#failure !== null || this.#isAbandoned;
  }

  #queue(slice: Slice): void {
    this.#slices.push(slice);
    this.#waitingBytes += slice.bytes.byteLength;
    if (this.#isPumping) return;
    this.#isPumping = true;
    this.#pump = this.#run();
  }

  async #run(): Promise<void> {
    for (let slice = this.#slices.shift(); slice !== undefined; slice = this.#slices.shift()) {
      try {
        if (!this.#isDead) await this.#compress(slice);
        if (!this.#isDead && this.#outputBytes >= APPEND_BYTES) await this.#append();
      } catch (error) {
        this.#fail(error);
      }
      slice.release();
      this.#waitingBytes -= slice.bytes.byteLength;
      if (this.#waitingBytes <= WAITING_BYTES_LOW) this.#wake();
    }
    if (this.#isDead) this.#member?.destroy();
    this.#isPumping = false;
  }

  async #compress({ part, bytes, isFirst, isLast }: Slice): Promise<void> {
    if (isFirst) {
      this.#parts.push({ part, hash: createHash('sha256'), rawBytes: 0, length: 0 });
    }
    const progress = this.#parts.at(-1);
    if (progress === undefined) throw new TypeError('a slice that is not the first has no part');
    progress.rawBytes += bytes.byteLength;
    const take = (compressed: Buffer): void => {
      progress.hash.update(compressed);
      progress.length += compressed.byteLength;
      this.#output.push(compressed);
      this.#outputBytes += compressed.byteLength;
    };
    if (isFirst && isLast && bytes.byteLength <= SMALL_BYTES_MAX) {
      take(gzipSmall(bytes));
      return;
    }
    this.#member ??= new GzipMember(take);
    await this.#member.write(bytes);
    if (!isLast) return;
    await this.#member.end();
    this.#member = null;
  }

  async #append(): Promise<void> {
    const bytes = Buffer.concat(this.#output, this.#outputBytes);
    this.#output = [];
    this.#outputBytes = 0;
    this.#segment ??= await this.#owner.take();
    if (this.#isDead) return;
    this.#appendedBytes += bytes.byteLength;
    await this.#segment.handle.append(bytes);
  }

  async #makeDurable(): Promise<StoredPart[]> {
    if (this.#outputBytes > 0) {
      // Seen by `abandon`, which must not close the segment below a write.
      this.#pump = this.#append().catch((error: unknown) => {
        this.#fail(error);
      });
      await this.#pump;
      this.#throwIfDead();
    }
    const segment = this.#segment;
    if (segment === null) return [];
    await segment.handle.sync();
    const stored = this.#place(segment);
    await verify(segment, stored);
    segment.size += this.#appendedBytes;
    segment.chain = stored.at(-1)?.chain ?? segment.chain;
    return stored;
  }

  #place(segment: OpenSegment): StoredPart[] {
    let offset = segment.size;
    let chain = segment.chain;
    return this.#parts.map(({ part, hash, rawBytes, length }) => {
      const sha256 = hash.digest('hex');
      chain = chainDigest(chain, sha256);
      const stored = {
        part,
        segment: segment.handle.name,
        offset,
        length,
        rawBytes,
        sha256,
        chain,
      };
      offset += length;
      return stored;
    });
  }

  #fail(error: unknown): PurgeError {
    this.#failure ??= writeFailed('The rows of a batch could not be archived', error);
    this.#wake();
    return this.#failure;
  }

  #throwIfDead(): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#isAbandoned) {
      throw new PurgeError('ARCHIVE_FAILED', 'The batch was abandoned while it was archived.');
    }
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

/**
 * What lies in the segment must be what was compressed. Read in few pieces, whatever the number of
 * parts: two calls to the file for each of 28 tables were a fifth of a small purge's CPU.
 */
async function verify({ handle }: OpenSegment, parts: readonly StoredPart[]): Promise<void> {
  const last = parts.at(-1);
  const end = last === undefined ? 0 : last.offset + last.length;
  let piece: Buffer = Buffer.alloc(0);
  let pieceAt = 0;
  for (const part of parts) {
    const hash = createHash('sha256');
    const partEnd = part.offset + part.length;
    for (let at = part.offset; at < partEnd; ) {
      if (at < pieceAt || at >= pieceAt + piece.byteLength) {
        pieceAt = at;
        const length = Math.min(READ_BACK_BYTES, end - at);
        piece = await handle.readBack({ offset: at, length });
      }
      const bytes = piece.subarray(at - pieceAt, partEnd - pieceAt);
      hash.update(bytes);
      at += bytes.byteLength;
    }
    if (hash.digest('hex') === part.sha256) continue;
    throw new PurgeError(
      'ARCHIVE_FAILED',
      `${handle.name} reads back other bytes than were written, from ${part.offset} to ${partEnd}.`,
      {
        details: { segment: handle.name, offset: part.offset, length: part.length },
        remedy: 'Look at the disk or the shared storage: it does not keep what it is given.',
      },
    );
  }
}
