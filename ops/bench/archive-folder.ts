import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';

/** A folder for one run's archive, on the disk that the database is on; gone afterwards. */
export async function withArchiveFolder<Result>(
  use: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-archive-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Bytes of the segments below a folder, and of the same text as one `gzip -1`. */
export async function compareCompression(
  folder: string,
): Promise<{ readonly archiveBytes: number; readonly gzipBytes: number }> {
  const names = (await readdir(folder, { recursive: true })).filter((name) =>
    name.endsWith('.copy.gz'),
  );
  const files = names.sort().map((name) => join(folder, name));
  let archiveBytes = 0;
  for (const file of files) archiveBytes += (await stat(file)).size;
  let gzipBytes = 0;
  const text = async function* (): AsyncGenerator<Buffer> {
    for (const file of files) {
      for await (const piece of createReadStream(file).pipe(createGunzip())) yield piece as Buffer;
    }
  };
  await pipeline(
    Readable.from(text()),
    createGzip({ level: 1 }),
    new Writable({
      write(chunk: Buffer, _, done) {
        gzipBytes += chunk.length;
        done();
      },
    }),
  );
  return { archiveBytes, gzipBytes };
}
