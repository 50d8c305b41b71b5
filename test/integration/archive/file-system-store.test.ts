import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync } from 'node:fs';
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createFileSystemStore } from '../../../src/archive/file-system-store.ts';
import { withFolder } from './archive-folder.ts';
import { conformsToTheStorePort } from './store-conformance.ts';

conformsToTheStorePort('file system store', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'archive-'));
  return {
    open: () => createFileSystemStore(join(folder, 'not', 'there', 'yet')),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
});

const modeOf = async (path: string): Promise<string> =>
  ((await stat(path)).mode & 0o777).toString(8);

describe('A file system store', () => {
  it.each([0o000, 0o022, 0o077, 0o177])(
    'makes folders 0700 and files 0600 under umask %i',
    (umask) =>
      withFolder(async (folder) => {
        const before = process.umask(umask);
        try {
          const root = join(folder, 'archive');
          const store = createFileSystemStore(root);
          await store.identity();
          await store.put('purges/one', 'manifest.json', '{}');
          const segment = await store.openSegment('purges/two', 'a-001.copy.gz');
          await segment?.close();
          for (const made of ['', 'purges', 'purges/one', 'purges/two']) {
            expect([made, await modeOf(join(root, made))]).toEqual([made, '700']);
          }
          for (const made of [
            'place.json',
            'purges/one/manifest.json',
            'purges/two/a-001.copy.gz',
          ]) {
            expect([made, await modeOf(join(root, made))]).toEqual([made, '600']);
          }
        } finally {
          process.umask(before);
        }
      }),
  );

  it('leaves the mode of a folder that was there', () =>
    withFolder(async (folder) => {
      chmodSync(folder, 0o750);
      await createFileSystemStore(folder).identity();
      expect(await modeOf(folder)).toBe('750');
    }));

  it('names host and absolute folder as its location', () =>
    withFolder(async (folder) => {
      expect(createFileSystemStore(folder).location('purges/one')).toBe(
        `${hostname()}:${folder}/purges/one`,
      );
      expect(createFileSystemStore('archive').location()).toBe(
        `${hostname()}:${process.cwd()}/archive`,
      );
    }));

  it('works in a folder that is a symbolic link', () =>
    withFolder(async (folder) => {
      await mkdir(join(folder, 'real'));
      await symlink(join(folder, 'real'), join(folder, 'link'));
      const store = createFileSystemStore(join(folder, 'link'));
      await store.put('purges/one', 'a', 'bytes');
      expect(await readFile(join(folder, 'real/purges/one/a'), 'utf8')).toBe('bytes');
      await store.removeFolder('purges/one');
      expect(existsSync(join(folder, 'real/purges/one'))).toBe(false);
    }));

  it('removes nothing where a symbolic link leads the rows out of the folder', () =>
    withFolder(async (folder) => {
      const root = join(folder, 'archive');
      const store = createFileSystemStore(root);
      await store.put('purges/one', 'a', 'rows');
      await store.put('purges/two', 'b', 'rows');
      await store.put('sweeps', 'c', 'keys');
      const elsewhere = join(folder, 'elsewhere');
      await mkdir(elsewhere);
      // As one who moves what is large to another disk: a folder, a file in one, a file of keys.
      await rename(join(root, 'purges/one'), join(elsewhere, 'one'));
      await symlink(join(elsewhere, 'one'), join(root, 'purges/one'));
      for (const [from, to] of [
        ['purges/two/b', 'b'],
        ['sweeps/c', 'c'],
      ] as const) {
        await rename(join(root, from), join(elsewhere, to));
        await symlink(join(elsewhere, to), join(root, from));
      }
      expect(await store.folders('purges')).toEqual(['one', 'two']);
      const refused = {
        code: 'ARCHIVE_FAILED',
        message: expect.stringContaining('is a symbolic link'),
      };
      await expect(store.removeFolder('purges/one')).rejects.toMatchObject(refused);
      await expect(store.removeFolder('purges/two')).rejects.toMatchObject(refused);
      await expect(store.removeFile('sweeps', 'c')).rejects.toMatchObject(refused);
      expect((await store.get('purges/one', 'a'))?.toString()).toBe('rows');
      expect((await store.get('purges/two', 'b'))?.toString()).toBe('rows');
    }));

  it.each(['', 'purges'])('refuses a file where the folder %j should be, and says so', (inner) =>
    withFolder(async (folder) => {
      const root = join(folder, 'archive');
      if (inner !== '') await mkdir(root);
      await writeFile(join(root, inner), 'a file');
      const store = createFileSystemStore(root);
      const failed = {
        code: 'ARCHIVE_FAILED',
        message: expect.stringMatching(/should be a folder is a file \(E\w+\)/),
        remedy: expect.stringContaining('archive.dir'),
      };
      await expect(store.openSegment('purges/one', 'a-001.copy.gz')).rejects.toMatchObject(failed);
      await expect(store.put('purges/one', 'manifest.json', '{}')).rejects.toMatchObject(failed);
    }),
  );

  it.each(['', '\n', 'null\n', '{"format":1,"id":7}\n', '{"format":2,"id":"x"}\n', '{"form'])(
    'refuses a mark that says %j rather than take it for another archive or write over it',
    (mark) =>
      withFolder(async (folder) => {
        await writeFile(join(folder, 'place.json'), mark);
        const store = createFileSystemStore(folder);
        await expect(store.identity()).rejects.toMatchObject({ code: 'ARCHIVE_PLACE' });
        expect(await readFile(join(folder, 'place.json'), 'utf8')).toBe(mark);
      }),
  );

  it('leaves no draft behind', () =>
    withFolder(async (folder) => {
      const store = createFileSystemStore(folder);
      await Promise.all([store.identity(), store.identity(), store.put('', 'note', 'x')]);
      expect((await readdir(folder)).sort()).toEqual(['note', 'place.json']);
    }));

  const canMount = process.getuid?.() === 0 && process.platform === 'linux';
  it.runIf(canMount)('says that the disk is full, and keeps the file that was there', () =>
    withFolder(async (folder) => {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder]);
      try {
        const store = createFileSystemStore(folder);
        await store.put('purges/one', 'manifest.json', 'old');
        const full = {
          code: 'ARCHIVE_FAILED',
          message: expect.stringContaining('the disk is full (ENOSPC)'),
        };
        const large = Buffer.alloc(1024 * 1024, 1);
        await expect(store.put('purges/one', 'manifest.json', large)).rejects.toMatchObject(full);
        expect((await store.get('purges/one', 'manifest.json'))?.toString()).toBe('old');
        expect(await store.files('purges/one')).toHaveLength(1);
        const segment = await store.openSegment('purges/one', 'a-001.copy.gz');
        await expect(segment?.append(large)).rejects.toMatchObject(full);
        await segment?.close();
        expect(await store.freeBytes()).toBeLessThan(256 * 1024);
      } finally {
        execFileSync('umount', [folder]);
      }
    }),
  );
});
