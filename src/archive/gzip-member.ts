import { createGzip, gzipSync, type ZlibOptions } from 'node:zlib';

/**
 * How rows are compressed. Measured with Node 20.20 on 22 MB of COPY text, rows of 226 bytes with uuids,
 * times and words; MB of text per second of CPU, and what is left of it (`gzip -1` of GNU: 0.326):
 *
 * | level | memLevel | windowBits | MB/s | left |
 * |---|---|---|---|---|
 * | 1 | 8 | 15 | 135 | 0.298 |
 * | 1 | 9 | 15 | 139 | 0.298 |
 * | 1 | 9 | 14 | 147 | 0.295 |
 * | 1 | 8 | 13 | 151 | 0.299 |
 * | 2 | 8 | 15 | 128 | 0.289 |
 * | 3 | 8 | 15 | 91 | 0.273 |
 * | 6 | 8 | 15 | 36 | 0.245 |
 * | 1, Z_RLE | 8 | 15 | 160 | 0.610 |
 *
 * The chunkSize of a stream makes no difference to its CPU (16, 64, 256 KB: 129 to 137 MB/s), nor do blocks
 * of 64 KB to 1 MB; fewer turns of the loop are kinder to the main thread.
 */
const GZIP: ZlibOptions = { level: 1, memLevel: 9, windowBits: 14, chunkSize: 256 * 1024 };

/** Up to here one call costs less than the stream's round trips between threads. */
export const SMALL_BYTES_MAX = 64 * 1024;

/** One gzip member of a few bytes. Blocks the thread, for about a millisecond at most. */
export const gzipSmall = (raw: Uint8Array): Buffer =>
  gzipSync(raw, raw.byteLength > 16 * 1024 ? GZIP : { ...GZIP, chunkSize: 16 * 1024 });

/** One gzip member made block by block, on zlib's own thread. */
export class GzipMember {
  readonly #gzip = createGzip(GZIP);
  readonly #ended: Promise<void>;
  #failure: Error | null = null;

  /** @param take gets the compressed bytes, which are its own */
  constructor(take: (bytes: Buffer) => void) {
    this.#gzip.on('data', take);
    this.#ended = new Promise((resolve) => {
      this.#gzip.on('end', resolve);
      this.#gzip.on('close', resolve);
      this.#gzip.on('error', (error: Error) => {
        this.#failure = error;
        resolve();
      });
    });
  }

  /** Resolves when zlib no longer needs the block. One call at a time. */
  async write(raw: Uint8Array): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#gzip.write(raw, () => {
        resolve();
      });
    });
    this.#throwFailure();
  }

  /** Resolves when the last compressed byte was taken. */
  async end(): Promise<void> {
    this.#gzip.end();
    await this.#ended;
    this.#throwFailure();
  }

  destroy(): void {
    this.#gzip.destroy();
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }
}
