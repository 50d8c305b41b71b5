import { constants } from 'node:fs';
import { access, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { errnoOf } from './archive-error.ts';
import { CREATED_FOLDER, PURGES_FOLDER, SWEEPS_FOLDER } from './file-name.ts';

/** Whether archives can be written to a folder, found out without writing. */
interface ArchiveFitness {
  readonly directory: string;
  /** False: the first archive makes it. */
  readonly exists: boolean;
  /** What the system says against writing there, or to what it would be made in, e.g. `EACCES`. */
  readonly refusal: string | null;
  /** Null where nobody knows. */
  readonly freeBytes: number | null;
  /** Folders that others than their owner may enter, by path; some of them where there are many. */
  readonly openFolders: readonly string[];
}

/** Folders of purges whose modes are looked at. */
const LOOKED_AT_MAX = 1_000;
const OTHERS = 0o077;

/** Looks at a folder of archives, or where it would be made. Changes nothing. */
export async function readArchiveFitness(dir: string): Promise<ArchiveFitness> {
  const directory = resolve(dir);
  const nearest = await nearestFolder(directory);
  const exists = nearest === directory;
  return {
    directory,
    exists,
    refusal: await refusalOf(nearest),
    freeBytes: await freeBytesOf(nearest),
    openFolders: exists ? await openFoldersIn(directory) : [],
  };
}

/** What is there already of the path. */
async function nearestFolder(directory: string): Promise<string> {
  for (let path = directory; ; path = dirname(path)) {
    try {
      await stat(path);
      return path;
    } catch (error) {
      // What may not be looked at is there.
      if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '') || path === dirname(path)) {
        return path;
      }
    }
  }
}

async function refusalOf(path: string): Promise<string | null> {
  try {
    if (!(await stat(path)).isDirectory()) return 'ENOTDIR';
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    return errnoOf(error) ?? String(error);
  }
}

async function freeBytesOf(path: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    return null;
  }
}

/** The archive's own folder may have any mode: what is in it has no secrets in its names. */
async function openFoldersIn(directory: string): Promise<string[]> {
  const tops = [PURGES_FOLDER, SWEEPS_FOLDER, CREATED_FOLDER].map((name) => join(directory, name));
  const inside = await Promise.all(
    tops.map(async (top) => (await namesIn(top)).map((name) => join(top, name))),
  );
  const looked = [...tops, ...inside.flat().slice(0, LOOKED_AT_MAX)];
  const found = await Promise.all(looked.map(async (path) => ((await isOpen(path)) ? [path] : [])));
  return found.flat();
}

const namesIn = (path: string): Promise<string[]> =>
  readdir(path, { withFileTypes: true }).then(
    (entries) => entries.filter((entry) => entry.isDirectory()).map(({ name }) => name),
    () => [],
  );

const isOpen = (path: string): Promise<boolean> =>
  stat(path).then(
    ({ mode }) => (mode & OTHERS) !== 0,
    () => false,
  );
