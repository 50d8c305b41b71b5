import { randomUUID } from 'node:crypto';
import type { Dirent } from 'node:fs';
import {
  chmod,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  statfs,
  unlink,
} from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { PurgeError } from '../domain/errors.ts';
import { errnoOf, readFailed, writeFailed } from './archive-error.ts';
import { type ArchiveFile, PLACE_FILE, requireSafeFolder, requireSafeName } from './file-name.ts';
import { createPlace, readPlace } from './place-file.ts';
import { openSegmentFile, readRange } from './segment-file.ts';
import type { ByteRange, SegmentHandle, SegmentStore } from './store.ts';
import { FILE_MODE, FOLDER_MODE, syncFolder } from './sync-folder.ts';

/**
 * Archives in a folder of this host's file system, local or shared. Folders are made 0700 and files 0600
 * whatever the umask; the archive's own folder keeps the mode it has where it was there before. Makes
 * nothing before the first write.
 */
export function createFileSystemStore(directory: string): SegmentStore {
  const root = resolve(directory);
  const folderPath = (folder: string): string => join(root, ...requireSafeFolder(folder));
  const filePath = (folder: string, name: string): string =>
    join(folderPath(folder), requireSafeName(name));

  const place = aMoment(() => readPlace(join(root, PLACE_FILE)));
  const free = aMoment(() => freeBelow(root));

  return {
    location: (folder = '') => `${hostname()}:${folderPath(folder)}`,

    async identity() {
      const known = await place.read();
      if (known !== null) return known;
      try {
        await makeFolders(root).then(syncAll);
      } catch (error) {
        throw writeFailed(`${root} cannot be created`, error, { path: root });
      }
      return createPlace(join(root, PLACE_FILE));
    },

    knownIdentity: () => place.read(),

    async folders(folder) {
      const path = folderPath(folder);
      const names: string[] = [];
      for (const entry of await entriesOf(path)) {
        if (
          entry.isDirectory() ||
          (entry.isSymbolicLink() && (await leadsToFolder(join(path, entry.name))))
        ) {
          names.push(entry.name);
        }
      }
      return names.sort();
    },

    async files(folder) {
      const path = folderPath(folder);
      const entries = await entriesOf(path);
      const found: ArchiveFile[] = [];
      for (const entry of entries.filter((each) => !each.isDirectory())) {
        if (entry.isSymbolicLink() && (await leadsToFolder(join(path, entry.name)))) continue;
        const bytes = await sizeOf(join(path, entry.name));
        if (bytes !== null) found.push({ name: entry.name, bytes });
      }
      return found.sort((left, right) => (left.name < right.name ? -1 : 1));
    },

    async openSegment(folder, name): Promise<SegmentHandle | null> {
      const path = filePath(folder, name);
      try {
        const touched = await makeFolders(dirname(path));
        return await openSegmentFile(path, touched);
      } catch (error) {
        if (errnoOf(error) === 'EEXIST') return null;
        throw writeFailed(`${path} cannot be created`, error, { path });
      }
    },

    size: (folder, name) => sizeOf(filePath(folder, name)),

    async read(folder, name, range: ByteRange) {
      const path = filePath(folder, name);
      try {
        const file = await open(path, 'r');
        try {
          return await readRange(file, path, range);
        } finally {
          await file.close();
        }
      } catch (error) {
        throw readFailed(`${path} cannot be read`, error, { path, ...range });
      }
    },

    async get(folder, name) {
      const path = filePath(folder, name);
      try {
        const file = await open(path, 'r');
        try {
          return await file.readFile();
        } finally {
          await file.close();
        }
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return null;
        throw readFailed(`${path} cannot be read`, error, { path });
      }
    },

    async put(folder, name, bytes, { durable } = { durable: true }) {
      const path = filePath(folder, name);
      // The name begins with a dot, which no name of ours does, and two writers never share one.
      const draft = join(dirname(path), `.${name}.${randomUUID()}`);
      try {
        const touched = durable ? await makeFolders(dirname(path)) : [];
        try {
          await writeWhole(draft, bytes, durable).catch(async (error: unknown) => {
            if (durable || errnoOf(error) !== 'ENOENT') throw error;
            await makeFolders(dirname(path));
            await writeWhole(draft, bytes, durable);
          });
          await rename(draft, path);
        } catch (error) {
          await unlink(draft).catch(() => undefined);
          throw error;
        }
        if (durable) await syncAll(touched);
      } catch (error) {
        throw writeFailed(`${path} cannot be written`, error, { path });
      }
    },

    freeBytes: () => free.read(),

    async removeFile(folder, name) {
      const path = filePath(folder, name);
      if (await isLink(path)) throw linked(path);
      try {
        await rm(path, { force: true });
        await syncFolder(dirname(path));
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return;
        throw writeFailed(`${path} cannot be removed`, error, { path });
      }
    },

    async removeFolder(folder) {
      const path = folderPath(folder);
      if (path === root) throw new TypeError('the archive itself is never removed');
      const link = await firstLink(path);
      if (link !== null) throw linked(link);
      try {
        await rm(path, { recursive: true, force: true });
        await syncFolder(dirname(path));
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return;
        throw writeFailed(`${path} cannot be removed`, error, { path });
      }
    },
  };
}

/** Makes a folder and those above it. Returns the folders whose entries have to be synced. */
async function makeFolders(path: string): Promise<string[]> {
  try {
    await mkdir(path, { mode: FOLDER_MODE });
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT') {
      const above = await makeFolders(dirname(path));
      return [...new Set([...above, ...(await makeFolders(path))])];
    }
    // Who made it may have died before it synced the name.
    if (code === 'EEXIST' && (await isFolder(path))) return [dirname(path), path];
    if (code === 'EEXIST') throw Object.assign(new Error(path), { code: 'ENOTDIR' });
    throw error;
  }
  await chmod(path, FOLDER_MODE); // the umask may have taken more
  return [dirname(path), path];
}

async function isFolder(path: string): Promise<boolean> {
  const folder = await open(path, 'r');
  try {
    return (await folder.stat()).isDirectory();
  } finally {
    await folder.close();
  }
}

async function writeWhole(
  path: string,
  bytes: Uint8Array | string,
  durable: boolean,
): Promise<void> {
  const file = await open(path, 'wx', FILE_MODE);
  try {
    await file.chmod(FILE_MODE);
    await file.writeFile(bytes);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
}

const syncAll = async (folders: readonly string[]): Promise<void> => {
  await Promise.all(folders.map(syncFolder));
};

/** The folder itself, or what in it is a symbolic link: removed, it would leave the rows where it leads to. */
async function firstLink(path: string): Promise<string | null> {
  try {
    if (await isLink(path)) return path;
    const entries = await readdir(path, { withFileTypes: true });
    const found = entries.find((entry) => entry.isSymbolicLink());
    return found === undefined ? null : join(path, found.name);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw readFailed(`${path} cannot be listed`, error, { path });
  }
}

const isLink = (path: string): Promise<boolean> =>
  lstat(path).then(
    (found) => found.isSymbolicLink(),
    () => false,
  );

const linked = (path: string): PurgeError =>
  new PurgeError(
    'ARCHIVE_FAILED',
    `${path} is a symbolic link: with it the rows that lie elsewhere would only be lost sight of. Nothing was removed.`,
    {
      details: { path },
      remedy: 'Remove what the link leads to, then the link; then expire again.',
    },
  );

const leadsToFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

async function entriesOf(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw readFailed(`${path} cannot be listed`, error, { path });
  }
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    const file = await open(path, 'r');
    try {
      return (await file.stat()).size;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw readFailed(`${path} cannot be read`, error, { path });
  }
}

/** The folder may not be there yet; what it will be made in is on the same file system. */
async function freeBelow(root: string): Promise<number | null> {
  for (let path = root; ; path = dirname(path)) {
    try {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || path === dirname(path)) return null;
    }
  }
}

/** Every small purge asks; what was so a moment ago may have changed a moment ago just as well. */
const MOMENT_MS = 1_000;

/** What `ask` gave within the last second; nothing is remembered of a null or a failure. */
function aMoment<Value>(ask: () => Promise<Value | null>): { read(): Promise<Value | null> } {
  let known: { readonly value: Value; readonly at: number } | null = null;
  return {
    async read() {
      if (known !== null && performance.now() - known.at < MOMENT_MS) return known.value;
      const value = await ask();
      known = value === null ? null : { value, at: performance.now() };
      return value;
    },
  };
}
