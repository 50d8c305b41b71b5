import { createHash } from 'node:crypto';
import { appendFile, open, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ArchiveCheck, checkKeys, checkRows } from '../../../src/archive/check.ts';
import { keySegmentName, MANIFEST_FILE, SWEEPS_FOLDER } from '../../../src/archive/file-name.ts';
import { createFileSystemStore } from '../../../src/archive/file-system-store.ts';
import { parseManifest, readManifest } from '../../../src/archive/manifest.ts';
import { copyLines, readChunk } from '../../../src/archive/segment-reader.ts';
import { SegmentWriter } from '../../../src/archive/segment-writer.ts';
import type { SegmentStore } from '../../../src/archive/store.ts';
import type { ArchiveChunk, ArchiveLayout, KeyChunk } from '../../../src/domain/archive.ts';
import { asTableName } from '../../../src/domain/ids.ts';
import { withFolder } from './archive-folder.ts';
import { FOLDER, manifestOf, writeBatches } from './written-archive.ts';

const layoutOf = (table: string, id: string, columns: number): ArchiveLayout => ({
  id: id.repeat(16),
  table: asTableName(table),
  relation: asTableName(table),
  columns: Array.from({ length: columns }, (_, index) => ({
    name: `c${index}`,
    type: 'text',
    generated: false,
    identity: null,
  })),
  primaryKey: [],
});

const AGENTS = layoutOf('public.agents', 'a', 2);
const NOTES = layoutOf('public.notes', 'b', 1);
const SEGMENT = '000001-all-tables-001.copy.gz';
const LONG = createHash('shake256', { outputLength: 120_000 }).update('x').digest('base64');

const BATCHES = [
  [
    { layout: AGENTS, kind: 'deleted' as const, text: '1\tAnn\n2\tBob\n' },
    { layout: NOTES, kind: 'deleted' as const, text: `${LONG}\nshort\n` },
  ],
  [{ layout: AGENTS, kind: 'changed' as const, text: '3\tx\t3\t\\N\n' }],
];

interface Written {
  readonly store: SegmentStore;
  readonly path: string;
  readonly chunks: readonly ArchiveChunk[];
  readonly check: (chunks?: readonly ArchiveChunk[]) => Promise<ArchiveCheck>;
}

const written = (run: (archive: Written) => Promise<void>): Promise<void> =>
  withFolder(async (folder) => {
    const store = createFileSystemStore(folder);
    const chunks = await writeBatches(store, BATCHES);
    const check = (of = chunks as readonly ArchiveChunk[]): Promise<ArchiveCheck> =>
      checkRows({ store, folder: FOLDER, chunks: of, layouts: [AGENTS, NOTES] });
    await run({ store, path: join(folder, FOLDER, SEGMENT), chunks, check });
  });

async function flip(path: string, at: number, mask: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
    await file.write(Buffer.from([(buffer[0] ?? 0) ^ mask]), 0, 1, at);
  } finally {
    await file.close();
  }
}

describe('A check of an archive', () => {
  it('finds nothing wrong with what was just written, and counts it', () =>
    written(async ({ check, chunks }) => {
      const last = chunks.at(-1);
      expect(await check()).toEqual({
        problems: [],
        ignored: [],
        chunks: 3,
        rows: 5,
        bytes: (last?.offset ?? 0) + (last?.length ?? 0),
      });
    }));

  it('finds any byte that is another, and names segment, chunk and table', () =>
    written(async ({ check, chunks, path }) => {
      const { bytes } = await check();
      // Every byte of the small chunks, headers and trailers among them; some of the large one.
      const at = fc.oneof(
        fc.integer({ min: 0, max: bytes - 1 }),
        fc.constantFrom(...chunks.flatMap(({ offset, length }) => [offset, offset + length - 1])),
        fc.integer({ min: 0, max: (chunks[0]?.length ?? 1) - 1 }),
      );
      await fc.assert(
        fc.asyncProperty(at, fc.integer({ min: 1, max: 255 }), async (place, mask) => {
          await flip(path, place, mask);
          const hit = chunks.find(({ offset, length }) => place < offset + length);
          const { problems, rows } = await check();
          expect(problems).toEqual([
            {
              segment: SEGMENT,
              offset: hit?.offset,
              table: hit?.table,
              what: 'is not what was written: its sha256 is another',
            },
          ]);
          expect(rows).toBe(5 - (hit?.rows ?? 0));
          await flip(path, place, mask);
        }),
        { numRuns: 300 },
      );
    }));

  it('says what is missing from a segment that was cut off', () =>
    written(async ({ check, chunks, path }) => {
      const cut = (chunks[1]?.offset ?? 0) + 10;
      await truncate(path, cut);
      const { problems } = await check();
      expect(problems.map(({ offset, table }) => [offset, table])).toEqual([
        [cut, null],
        [chunks[1]?.offset, 'public.notes'],
        [chunks[2]?.offset, 'public.agents'],
      ]);
      expect(problems[1]?.what).toContain(`has ${cut} bytes`);
    }));

  it('names a segment that is missing, once', () =>
    written(async ({ check, path }) => {
      await rm(path);
      const { problems, rows } = await check();
      expect(problems).toEqual([
        { segment: SEGMENT, offset: null, table: null, what: 'is missing' },
      ]);
      expect(rows).toBe(0);
    }));

  it('ignores, and names, what was rolled back and what is not of the archive', () =>
    written(async ({ check, path, store }) => {
      const { bytes } = await check();
      await appendFile(path, 'rolled back');
      await store.put(FOLDER, '000001-all-tables-002.copy.gz', 'never committed');
      await store.put(FOLDER, MANIFEST_FILE, '{}');
      await writeFile(join(path, '..', 'notes.txt'), 'mine');
      const { problems, ignored } = await check();
      expect(problems).toEqual([]);
      expect(ignored.map(({ file, offset, bytes: length }) => [file, offset, length])).toEqual([
        [SEGMENT, bytes, 11],
        ['000001-all-tables-002.copy.gz', 0, 15],
        ['notes.txt', 0, 4],
      ]);
    }));

  it('holds the archive to what the ledger says: order, rows, fields', () =>
    written(async ({ check, chunks }) => {
      const [first, second, third] = chunks;
      if (first === undefined || second === undefined || third === undefined) throw new Error();
      const whatIsWrong = async (of: readonly ArchiveChunk[]): Promise<string[]> =>
        (await check(of)).problems.map(({ what }) => what);
      expect(await whatIsWrong([first, third])).toEqual([
        expect.stringMatching(/^begins at \d+, the one before ends at \d+$/),
        'does not continue the digest chain of its segment',
      ]);
      expect(await whatIsWrong([first, second, { ...third, rows: 2 }])).toEqual([
        'holds 1 lines instead of 2',
      ]);
      expect(await whatIsWrong([{ ...first, layout: NOTES.id }, second, third])).toEqual([
        'has a line of 2 fields instead of 1',
      ]);
      expect(await whatIsWrong([{ ...first, rawBytes: 13 }, second, third])).toEqual([
        'holds 12 bytes of text instead of 13',
      ]);
      expect(await whatIsWrong([{ ...first, rawBytes: 11 }, second, third])).toEqual([
        'holds more than 11 bytes of text instead of 11',
      ]);
    }));

  it('looks into the keys of sweeps, and at no other sweep', () =>
    withFolder(async (folder) => {
      const store = createFileSystemStore(folder);
      const writeSweep = async (sweepId: number, lines: readonly object[]): Promise<KeyChunk[]> => {
        const writer = new SegmentWriter({
          store,
          folder: SWEEPS_FOLDER,
          nameOf: (part) => keySegmentName(sweepId, 1, part),
        });
        const sink = writer.open();
        for (const line of lines) sink.write(0, Buffer.from(`${JSON.stringify(line)}\n`));
        const stored = await sink.store();
        await writer.close();
        return stored.map((chunk) => ({ ...chunk, sweepId, keys: lines.length }));
      };
      const key = { tenantId: '1', key: 'a2V5', dump: 'AA==', expiresAt: null };
      const chunks = await writeSweep(1, [key, { ...key, expiresAt: 1_700_000_000_000 }]);
      await writeSweep(2, [key]);
      const options = { store, folder: SWEEPS_FOLDER };
      expect(await checkKeys({ ...options, chunks })).toMatchObject({
        problems: [],
        ignored: [],
        rows: 2,
      });
      const wrong = await writeSweep(3, [{ ...key, dump: null }]);
      expect((await checkKeys({ ...options, chunks: wrong })).problems).toMatchObject([
        {
          segment: '3-1-001.keys.gz',
          offset: 0,
          table: null,
          what: 'has a line that is no archived key',
        },
      ]);
    }));
});

describe('A reader of a chunk', () => {
  it('gives no byte of a damaged chunk', () =>
    written(async ({ store, chunks, path }) => {
      const chunk = chunks[1];
      if (chunk === undefined) throw new Error();
      await flip(path, chunk.offset + chunk.length - 1, 1);
      let pieces = 0;
      const readAll = async (): Promise<void> => {
        for await (const _ of readChunk(store, FOLDER, chunk)) pieces += 1;
      };
      await expect(readAll()).rejects.toMatchObject({
        code: 'ARCHIVE_DAMAGED',
        message: expect.stringContaining(`${SEGMENT} from byte ${chunk.offset}`),
        details: { segment: SEGMENT, offset: chunk.offset, table: 'public.notes' },
      });
      expect(pieces).toBe(0);
    }));

  it('gives the lines as they were, however the pieces are cut', async () => {
    const line = fc.string({ unit: fc.constantFrom('a', '\t', 'ä', '€') });
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.infiniteStream(fc.nat(7)), async (lines, cuts) => {
        const text = Buffer.from(lines.map((each) => `${each}\n`).join(''));
        async function* pieces(): AsyncGenerator<Buffer> {
          for (let at = 0; at < text.length; ) {
            const { value } = cuts.next();
            yield text.subarray(at, at + value);
            at += value;
          }
        }
        const found: string[] = [];
        for await (const batch of copyLines(pieces())) {
          found.push(...batch.map((each) => each.toString('utf8')));
        }
        expect(found).toEqual(lines);
      }),
    );
  });
});

describe('A manifest', () => {
  it('reads back as it was made', () =>
    written(async ({ store, chunks }) => {
      const manifest = manifestOf(chunks, [AGENTS, NOTES], [[AGENTS.table, NOTES.table]]);
      expect(await readManifest(store, FOLDER)).toBeNull();
      await store.put(FOLDER, MANIFEST_FILE, JSON.stringify(manifest));
      expect(await readManifest(store, FOLDER)).toEqual(manifest);
    }));

  it('is refused where it contradicts itself or could lead elsewhere', () =>
    written(async ({ chunks }) => {
      const manifest = manifestOf(chunks, [AGENTS, NOTES]);
      const [first, ...others] = manifest.chunks;
      if (first === undefined) throw new Error();
      const refused: readonly [object, RegExp][] = [
        [{ ...manifest, digest: '0'.repeat(64) }, /digest is not that of its segments/],
        [{ ...manifest, chunks: others }, /begins at/],
        [{ ...manifest, segments: [] }, /segments are not those of its chunks/],
        [{ ...manifest, layouts: [AGENTS] }, /public\.notes has rows of a layout/],
        [{ ...manifest, format: 2 }, /has format 2; this program knows 1/],
        [{ ...manifest, chunks: [{ ...first, segment: '../x' }] }, /no name of a segment/],
        [{ ...manifest, chunks: [{ ...first, segment: 'x; rm -rf .' }] }, /no name of a segment/],
        [{ ...manifest, tenant: undefined }, /tenant/],
        [[], /is no manifest/],
      ];
      for (const [wrong, message] of refused) {
        expect(() => parseManifest(JSON.stringify(wrong), 'here')).toThrow(message);
      }
      expect(() => parseManifest('{', 'here')).toThrow(/here is no JSON/);
    }));
});
