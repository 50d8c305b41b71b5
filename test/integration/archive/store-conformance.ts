import { describe, expect, it } from 'vitest';
import type { SegmentStore } from '../../../src/archive/store.ts';

/** An empty place of a test's own. */
export interface StorePlace {
  /** A store as another process would open it: nothing is shared but the place. */
  readonly open: () => SegmentStore;
  readonly remove: () => Promise<void>;
}

/** What every store must do, whatever keeps its bytes. */
export function conformsToTheStorePort(name: string, make: () => Promise<StorePlace>): void {
  const inPlace =
    (run: (place: StorePlace) => Promise<void>): (() => Promise<void>) =>
    async () => {
      const place = await make();
      try {
        await run(place);
      } finally {
        await place.remove();
      }
    };
  describe(`A ${name}`, () => {
    it(
      'has no identity before somebody asks for one, and then keeps it',
      inPlace(async ({ open }) => {
        expect(await open().knownIdentity()).toBeNull();
        const id = await open().identity();
        expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
        expect(await open().identity()).toBe(id);
        expect(await open().knownIdentity()).toBe(id);
      }),
    );

    it(
      'gives all that start together one identity',
      inPlace(async ({ open }) => {
        const ids = await Promise.all(Array.from({ length: 24 }, () => open().identity()));
        expect(new Set(ids).size).toBe(1);
      }),
    );

    it(
      'lists nothing where nothing is',
      inPlace(async ({ open }) => {
        expect(await open().files('purges/none')).toEqual([]);
        expect(await open().folders('purges')).toEqual([]);
        expect(await open().size('purges/none', 'a.copy.gz')).toBeNull();
        expect(await open().get('purges/none', 'a.copy.gz')).toBeNull();
      }),
    );

    it(
      'appends to a segment and reads back any range of it',
      inPlace(async ({ open }) => {
        const store = open();
        const segment = await store.openSegment('purges/one', 'a-001.copy.gz');
        await segment?.append(Buffer.from('first '));
        await segment?.append(Buffer.from('second'));
        await segment?.sync();
        expect(segment?.name).toBe('a-001.copy.gz');
        expect(text((await segment?.readBack({ offset: 6, length: 6 })) ?? null)).toBe('second');
        await segment?.append(Buffer.from(' third'));
        await segment?.sync();
        await segment?.close();
        await segment?.close();
        const other = open();
        expect(await other.size('purges/one', 'a-001.copy.gz')).toBe(18);
        const range = { offset: 6, length: 12 };
        expect(text(await other.read('purges/one', 'a-001.copy.gz', range))).toBe('second third');
        expect(await other.files('purges/one')).toEqual([{ name: 'a-001.copy.gz', bytes: 18 }]);
        expect(await other.folders('purges')).toEqual(['one']);
      }),
    );

    it(
      'gives a segment’s name to one of many that want it',
      inPlace(async ({ open }) => {
        const handles = await Promise.all(
          Array.from({ length: 12 }, () => open().openSegment('purges/one', 'a-001.copy.gz')),
        );
        const given = handles.filter((handle) => handle !== null);
        expect(given).toHaveLength(1);
        for (const handle of given) await handle.close();
      }),
    );

    it(
      'says of a range beyond the end, and of a missing file, that the archive is damaged',
      inPlace(async ({ open }) => {
        const store = open();
        await store.put('purges/one', 'short.copy.gz', 'four');
        const range = { offset: 2, length: 3 };
        await expect(store.read('purges/one', 'short.copy.gz', range)).rejects.toMatchObject({
          code: 'ARCHIVE_DAMAGED',
          message: expect.stringContaining('has 4 bytes; 3 from 2 on were written'),
        });
        await expect(store.read('purges/one', 'none.copy.gz', range)).rejects.toMatchObject({
          code: 'ARCHIVE_DAMAGED',
          message: expect.stringContaining('none.copy.gz'),
        });
      }),
    );

    it(
      'replaces a small file whole, also when many write it at once',
      inPlace(async ({ open }) => {
        const texts = Array.from({ length: 10 }, (_, index) => String(index).repeat(20_000));
        await Promise.all(texts.map((each) => open().put('purges/one', 'manifest.json', each)));
        expect(texts).toContain(text(await open().get('purges/one', 'manifest.json')));
        await open().put('purges/one', 'manifest.json', Buffer.from('last'));
        expect(text(await open().get('purges/one', 'manifest.json'))).toBe('last');
        expect(await open().files('purges/one')).toEqual([{ name: 'manifest.json', bytes: 4 }]);
      }),
    );

    it(
      'removes a folder with what is in it, twice without complaint, and no other',
      inPlace(async ({ open }) => {
        const store = open();
        await store.put('purges/one', 'a.copy.gz', 'one');
        await store.put('purges/two', 'a.copy.gz', 'two');
        await store.removeFolder('purges/one');
        await store.removeFolder('purges/one');
        await store.removeFolder('created/never');
        expect(await store.folders('purges')).toEqual(['two']);
        expect(text(await store.get('purges/two', 'a.copy.gz'))).toBe('two');
      }),
    );

    it.each([
      '..',
      '.',
      '',
      '../x',
      '/etc',
      'a/../../b',
      'a//b',
      'a\0b',
      '-rf',
      'a b',
      '$(id)',
      'a/./b',
      'x'.repeat(201),
    ])('never leaves its place for a name like %j', (bad) =>
      inPlace(async ({ open }) => {
        const store = open();
        const attempts = [
          () => store.get('purges', bad),
          () => store.put('purges', bad, 'x'),
          () => store.openSegment('purges', bad),
          () => store.read('purges', bad, { offset: 0, length: 0 }),
          () => store.size('purges', bad),
          // The empty path is the archive itself, which may be listed and never be removed.
          ...(bad === '' ? [] : [() => store.files(bad)]),
          () => store.removeFolder(bad),
        ];
        for (const attempt of attempts) {
          await expect((async () => attempt())()).rejects.toThrow(
            /no name for a file|never removed/,
          );
        }
        expect(await store.folders('')).toEqual([]);
      })(),
    );

    it(
      'says where it is, and how much room there is or that nobody knows',
      inPlace(async ({ open }) => {
        const store = open();
        expect(store.location('purges/one').startsWith(store.location())).toBe(true);
        const free = await store.freeBytes();
        expect(free === null || free > 0).toBe(true);
      }),
    );
  });
}

const text = (bytes: Buffer | null): string | undefined => bytes?.toString('utf8');
