import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chainDigest, sha256Of } from '../../../src/archive/chain.ts';
import { rowSegmentName } from '../../../src/archive/file-name.ts';
import { createFileSystemStore } from '../../../src/archive/file-system-store.ts';
import { findChunkFaults } from '../../../src/archive/manifest.ts';
import { SegmentWriter } from '../../../src/archive/segment-writer.ts';
import type { SegmentStore } from '../../../src/archive/store.ts';
import { type BatchSink, CHAIN_START, type StoredPart } from '../../../src/domain/archive.ts';
import { withFolder } from './archive-folder.ts';

const FOLDER = 'purges/one';

const makeWriter = (
  store: SegmentStore,
  options: { readonly fence?: number; readonly segmentBytesMax?: number } = {},
): SegmentWriter =>
  new SegmentWriter({
    store,
    folder: FOLDER,
    nameOf: (part) => rowSegmentName(options.fence ?? 1, 'public.rows', part),
    ...(options.segmentBytesMax === undefined ? {} : { segmentBytesMax: options.segmentBytesMax }),
  });

const textOf = async (store: SegmentStore, chunk: StoredPart): Promise<string> =>
  gunzipSync(await store.read(FOLDER, chunk.segment, chunk)).toString('utf8');

async function writeAll(sink: BatchSink, part: number, text: string): Promise<void> {
  if (!sink.write(part, Buffer.from(text))) await sink.drained();
}

async function storeBatch(writer: SegmentWriter, texts: readonly string[]): Promise<StoredPart[]> {
  const sink = writer.open();
  for (const [part, text] of texts.entries()) await writeAll(sink, part, text);
  return [...(await sink.store())];
}

/** Text that gzip cannot make much smaller. */
const noise = (length: number, seed = 1): string =>
  createHash('shake256', { outputLength: length })
    .update(String(seed))
    .digest('base64')
    .slice(0, length);

const openFilesIn = (folder: string): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(folder) ? [path] : [];
    } catch {
      return [];
    }
  });

describe('A segment writer', () => {
  it('stores the parts of a batch one behind the other, each a gzip member with its digest', () =>
    withFolder(async (folder) => {
      const store = createFileSystemStore(folder);
      const writer = makeWriter(store, { fence: 7 });
      const first = await storeBatch(writer, ['1\ta\n2\tb\n', 'x\n']);
      const second = await storeBatch(writer, ['3\tc\n']);
      await writer.close();
      const all = [...first, ...second];
      expect(all.map(({ segment, part, rawBytes }) => [segment, part, rawBytes])).toEqual([
        ['000007-public.rows-001.copy.gz', 0, 8],
        ['000007-public.rows-001.copy.gz', 1, 2],
        ['000007-public.rows-001.copy.gz', 0, 4],
      ]);
      let chain = CHAIN_START;
      let offset = 0;
      for (const chunk of all) {
        const compressed = await store.read(FOLDER, chunk.segment, chunk);
        expect(chunk.sha256).toBe(sha256Of(compressed));
        chain = chainDigest(chain, chunk.sha256);
        expect([chunk.offset, chunk.chain]).toEqual([offset, chain]);
        offset += chunk.length;
      }
      expect(await Promise.all(all.map((chunk) => textOf(store, chunk)))).toEqual([
        '1\ta\n2\tb\n',
        'x\n',
        '3\tc\n',
      ]);
      expect(await store.size(FOLDER, '000007-public.rows-001.copy.gz')).toBe(offset);
    }));

  it('makes no file for a batch without rows', () =>
    withFolder(async (folder) => {
      const writer = makeWriter(createFileSystemStore(folder));
      expect(await writer.open().store()).toEqual([]);
      const sink = writer.open();
      sink.write(0, Buffer.alloc(0));
      expect(await sink.store()).toEqual([]);
      await writer.close();
      expect(await readdir(folder)).toEqual([]);
    }));

  it('copies what it is given: the source may use its buffer again', () =>
    withFolder(async (folder) => {
      const store = createFileSystemStore(folder);
      const sink = makeWriter(store).open();
      const buffer = Buffer.from('first\n');
      sink.write(0, buffer);
      buffer.write('other\n');
      sink.write(0, buffer);
      const [chunk] = await sink.store();
      expect(chunk && (await textOf(store, chunk))).toBe('first\nother\n');
    }));

  it('gives back what was written, whatever the sizes of parts, rows and batches', () =>
    withFolder(async (folder) => {
      let run = 0;
      const size = fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 0, max: 300 }) },
        { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 70_000 }) },
        { weight: 1, arbitrary: fc.constantFrom(262_143, 262_144, 262_145, 700_000) },
      );
      const rows = fc.array(size, { maxLength: 12 });
      const batches = fc.array(fc.array(rows, { minLength: 1, maxLength: 4 }), { maxLength: 4 });
      await fc.assert(
        fc.asyncProperty(batches, fc.integer({ min: 1, max: 100_000 }), async (each, bytesMax) => {
          run += 1;
          const store = createFileSystemStore(join(folder, String(run)));
          const writer = makeWriter(store, { segmentBytesMax: bytesMax });
          const stored: StoredPart[] = [];
          for (const parts of each) {
            const sink = writer.open();
            const texts = parts.map((sizes) => sizes.map((length, row) => noise(length, row + 1)));
            for (const [part, lines] of texts.entries()) {
              for (const line of lines) await writeAll(sink, part, line);
            }
            const chunks = await sink.store();
            const expected = texts.map((lines) => lines.join(''));
            const withBytes = [...expected.keys()].filter((part) => expected[part] !== '');
            expect(chunks.map(({ part }) => part)).toEqual(withBytes);
            for (const chunk of chunks) {
              expect((await textOf(store, chunk)) === expected[chunk.part]).toBe(true);
              expect(chunk.rawBytes).toBe(expected[chunk.part]?.length);
            }
            stored.push(...chunks);
          }
          await writer.close();
          expect(findChunkFaults(stored)).toEqual([]);
        }),
        { numRuns: 40 },
      );
      expect(openFilesIn(folder)).toEqual([]);
    }));

  it('holds the source while zlib is behind, and lets it go on afterwards', () =>
    withFolder(async (folder) => {
      const store = createFileSystemStore(folder);
      const sink = makeWriter(store).open();
      const row = Buffer.from(`${noise(999)}\n`);
      let written = 0;
      while (sink.write(0, row)) written += row.length;
      expect(written).toBeGreaterThan(7 * 1024 * 1024);
      expect(written).toBeLessThan(9 * 1024 * 1024);
      await sink.drained();
      expect(sink.write(0, row)).toBe(true);
      const [chunk] = await sink.store();
      expect(chunk?.rawBytes).toBe(written + 2 * row.length);
    }));

  it('begins another segment when one is full', () =>
    withFolder(async (folder) => {
      const writer = makeWriter(createFileSystemStore(folder), { segmentBytesMax: 1000 });
      const segments: string[] = [];
      for (let batch = 0; batch < 4; batch += 1) {
        const [chunk] = await storeBatch(writer, [noise(700)]);
        segments.push(`${chunk?.segment} ${chunk?.offset === 0}`);
      }
      await writer.close();
      expect(segments).toEqual([
        '000001-public.rows-001.copy.gz true',
        '000001-public.rows-001.copy.gz false',
        '000001-public.rows-002.copy.gz true',
        '000001-public.rows-002.copy.gz false',
      ]);
      expect(openFilesIn(folder)).toEqual([]);
    }));

  it('never writes behind a batch that was rolled back, also when that was on disk', () =>
    withFolder(async (folder) => {
      const store = createFileSystemStore(folder);
      const writer = makeWriter(store);
      const [kept] = await storeBatch(writer, ['kept\n']);
      const sink = writer.open();
      await writeAll(sink, 0, 'rolled back\n');
      const [gone] = await sink.store();
      sink.abandon();
      sink.abandon();
      const [next] = await storeBatch(writer, ['next\n']);
      await writer.close();
      expect(gone?.segment).toBe(kept?.segment);
      expect([next?.segment, next?.offset]).toEqual(['000001-public.rows-002.copy.gz', 0]);
      expect(next?.chain).toBe(chainDigest(CHAIN_START, next?.sha256 ?? ''));
      expect(kept && (await textOf(store, kept))).toBe('kept\n');
      expect(openFilesIn(folder)).toEqual([]);
    }));

  it('goes on in the same segment where the abandoned batch never reached it', () =>
    withFolder(async (folder) => {
      const writer = makeWriter(createFileSystemStore(folder));
      const [kept] = await storeBatch(writer, ['kept\n']);
      const sink = writer.open();
      await writeAll(sink, 0, 'never stored\n');
      sink.abandon();
      const [next] = await storeBatch(writer, ['next\n']);
      await writer.close();
      expect([next?.segment, next?.offset]).toEqual([kept?.segment, kept?.length]);
    }));

  it('may be abandoned in the middle of a large batch, at any moment', () =>
    withFolder(async (folder) => {
      const store = createFileSystemStore(folder);
      const writer = makeWriter(store);
      const row = Buffer.from(noise(100_000));
      for (let rows = 0; rows < 40; rows += 3) {
        const sink = writer.open();
        for (let index = 0; index < rows; index += 1) {
          if (!sink.write(0, row)) await sink.drained();
          if (index % 10 === 9) await new Promise(setImmediate);
        }
        sink.abandon();
        await expect(sink.store()).rejects.toMatchObject({ code: 'ARCHIVE_FAILED' });
        const [chunk] = await storeBatch(writer, [`after ${rows}`]);
        expect(chunk && (await textOf(store, chunk))).toBe(`after ${rows}`);
      }
      await writer.close();
      expect(openFilesIn(folder)).toEqual([]);
    }));

  it('leaves a name that is taken to its owner', () =>
    withFolder(async (folder) => {
      const store = createFileSystemStore(folder);
      const writers = Array.from({ length: 6 }, () => makeWriter(store));
      const chunks = await Promise.all(writers.map((writer) => storeBatch(writer, ['mine\n'])));
      await Promise.all(writers.map((writer) => writer.close()));
      expect(new Set(chunks.map(([chunk]) => chunk?.segment)).size).toBe(6);
      const [later] = await storeBatch(makeWriter(store, { fence: 2 }), ['other holder\n']);
      expect(later?.segment).toBe('000002-public.rows-001.copy.gz');
    }));

  it('keeps few files open, however many steps wait for their next batch', () =>
    withFolder(async (folder) => {
      const store = createFileSystemStore(folder);
      const writers = Array.from({ length: 60 }, () => makeWriter(store));
      for (const writer of writers) await storeBatch(writer, ['first\n']);
      expect(openFilesIn(folder).length).toBeLessThanOrEqual(33);
      const [next] = await storeBatch(writers[0] ?? makeWriter(store), ['second\n']);
      expect(next && (await textOf(store, next))).toBe('second\n');
      for (const writer of writers) await writer.close();
      expect(openFilesIn(folder)).toEqual([]);
    }));

  it('refuses a batch whose bytes read back as others, and goes on in a new segment', () =>
    withFolder(async (folder) => {
      const store = createFileSystemStore(folder);
      const writer = makeWriter(store);
      const sink = writer.open();
      const path = join(folder, FOLDER, '000001-public.rows-001.copy.gz');
      for (;;) {
        if (!sink.write(0, Buffer.from(noise(200_000)))) await sink.drained();
        await new Promise(setImmediate);
        if ((await stat(path).catch(() => null))?.size) break;
      }
      const file = await open(path, 'r+');
      const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 100);
      await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, 100);
      await file.close();
      await expect(sink.store()).rejects.toMatchObject({
        code: 'ARCHIVE_FAILED',
        message: expect.stringContaining('000001-public.rows-001.copy.gz reads back other bytes'),
      });
      const [next] = await storeBatch(writer, ['next\n']);
      expect(next?.segment).toBe('000001-public.rows-002.copy.gz');
      await writer.close();
      expect(openFilesIn(folder)).toEqual([]);
    }));

  it('refuses parts out of order', () =>
    withFolder(async (folder) => {
      const sink = makeWriter(createFileSystemStore(folder)).open();
      sink.write(1, Buffer.from('b'));
      expect(sink.write(0, Buffer.from('a'))).toBe(false);
      await expect(sink.drained()).rejects.toMatchObject({ code: 'INTERNAL' });
      await expect(sink.store()).rejects.toMatchObject({ code: 'INTERNAL' });
    }));

  const canMount = process.getuid?.() === 0 && process.platform === 'linux';
  it.runIf(canMount)(
    'ends a batch early when the disk is full, and works again when it is not',
    () =>
      withFolder(async (folder) => {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', folder]);
        try {
          const store = createFileSystemStore(folder);
          const writer = makeWriter(store);
          const [kept] = await storeBatch(writer, ['kept\n']);
          const sink = writer.open();
          const full = {
            code: 'ARCHIVE_FAILED',
            message: expect.stringContaining('the disk is full (ENOSPC)'),
            remedy: expect.stringContaining('Free space'),
          };
          const endless = async (): Promise<void> => {
            for (let row = 0; ; row += 1) {
              await writeAll(sink, 0, noise(100_000, row + 1));
              await new Promise(setImmediate);
            }
          };
          await expect(endless()).rejects.toMatchObject(full);
          await expect(sink.store()).rejects.toMatchObject(full);
          sink.abandon();
          expect(kept && (await textOf(store, kept))).toBe('kept\n');
          execFileSync('mount', ['-o', 'remount,size=30m', folder]);
          const [next] = await storeBatch(writer, ['next\n']);
          expect(next?.segment).toBe('000001-public.rows-002.copy.gz');
          await writer.close();
        } finally {
          execFileSync('umount', [folder]);
        }
      }),
  );
});
