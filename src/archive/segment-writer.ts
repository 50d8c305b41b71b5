import { type BatchSink, CHAIN_START } from '../domain/archive.ts';
import { PurgeError } from '../domain/errors.ts';
import { SegmentSink } from './segment-sink.ts';
import type { SegmentHandle, SegmentStore } from './store.ts';

/** A segment does not take another batch beyond this size. */
const SEGMENT_BYTES_MAX = 1024 ** 3;
/** Files that writers without a batch under way keep open, in this process. A purge may have a thousand tables. */
const IDLE_FILES_MAX = 32;
/** Names tried before something must be wrong with them. */
const PARTS_MAX = 1_000_000;

interface SegmentWriterOptions {
  readonly store: SegmentStore;
  readonly folder: string;
  /** Name of the segment's n-th part, from 1. */
  readonly nameOf: (part: number) => string;
  readonly segmentBytesMax?: number;
}

/** A segment and what of it batches have made durable. */
export interface OpenSegment {
  readonly handle: SegmentHandle;
  size: number;
  chain: string;
}

/** Writers whose open file no batch writes to now; the one that waits longest first. */
const idleWriters = new Map<SegmentWriter, () => void>();

/**
 * Writes the batches of one step, one after the other, into segments of its own. A name that is taken
 * (by another connection of this holder) is left to its owner. Holds at most one file open, and gives
 * that up when many others wait as well: the next batch goes to a new one.
 */
export class SegmentWriter {
  readonly #options: SegmentWriterOptions;
  readonly #closing = new Set<Promise<void>>();
  #segment: OpenSegment | null = null;
  #sink: SegmentSink | null = null;
  #part = 0;

  constructor(options: SegmentWriterOptions) {
    this.#options = options;
  }

  /**
   * The sink of the next batch; no file is made before its first bytes. To ask for it says that the
   * batch before was committed, unless it was abandoned or never stored.
   */
  open(): BatchSink {
    const before = this.#sink;
    if (before !== null && !before.isStored) before.abandon();
    this.#sink = new SegmentSink({
      take: async () => {
        // The one before may be about to open a segment, which this one would open again.
        await before?.settled();
        return this.#take();
      },
      drop: (segment, settled) => {
        this.#drop(segment, settled);
      },
      stored: () => {
        this.#rest();
      },
    });
    return this.#sink;
  }

  /** Closes what is open; an unstored batch is abandoned. Idempotent; the writer may be used again. */
  async close(): Promise<void> {
    const sink = this.#sink;
    this.#sink = null;
    if (sink !== null && !sink.isStored) sink.abandon();
    await sink?.settled();
    const segment = this.#segment;
    if (segment !== null) this.#drop(segment, Promise.resolve());
    await Promise.all(this.#closing);
  }

  #rest(): void {
    const segment = this.#segment;
    if (segment === null) return;
    idleWriters.delete(this);
    idleWriters.set(this, () => {
      this.#drop(segment, Promise.resolve());
    });
    if (idleWriters.size <= IDLE_FILES_MAX) return;
    const [giveUp] = idleWriters.values();
    giveUp?.();
  }

  /** The segment to write behind: the current one, or a new one where there is none or it is full. */
  async #take(): Promise<OpenSegment> {
    const { store, folder, nameOf, segmentBytesMax = SEGMENT_BYTES_MAX } = this.#options;
    idleWriters.delete(this);
    const current = this.#segment;
    if (current !== null) {
      if (current.size < segmentBytesMax) return current;
      this.#drop(current, Promise.resolve());
    }
    while (this.#part < PARTS_MAX) {
      this.#part += 1;
      const handle = await store.openSegment(folder, nameOf(this.#part));
      if (handle === null) continue;
      this.#segment = { handle, size: 0, chain: CHAIN_START };
      return this.#segment;
    }
    throw new PurgeError(
      'ARCHIVE_FAILED',
      `${store.location(folder)} has ${PARTS_MAX} segments named like ${nameOf(1)}.`,
    );
  }

  /** No batch writes behind these bytes any more. */
  #drop(segment: OpenSegment, settled: Promise<void>): void {
    if (this.#segment === segment) {
      this.#segment = null;
      idleWriters.delete(this);
    }
    // What was committed is synced: a close has nothing to tell about it.
    const closed = settled.then(() => segment.handle.close()).catch(() => undefined);
    this.#closing.add(closed);
    void closed.then(() => this.#closing.delete(closed));
  }
}
