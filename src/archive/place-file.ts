import { randomUUID } from 'node:crypto';
import { link, open, readFile, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ARCHIVE_FORMAT } from '../domain/archive.ts';
import { PurgeError } from '../domain/errors.ts';
import { isUuid } from '../domain/ids.ts';
import { errnoOf, readFailed, writeFailed } from './archive-error.ts';
import { FILE_MODE, syncFolder } from './sync-folder.ts';

/** How long another process may take between creating the mark and having written it. */
const HALF_WRITTEN_MS_MAX = 2_000;
const HALF_WRITTEN_POLL_MS = 20;

/**
 * The archive's uuid; null where the file is not there.
 * @throws PurgeError ARCHIVE_PLACE where it says nothing we understand
 */
export async function readPlace(path: string): Promise<string | null> {
  const giveUpAt = Date.now() + HALF_WRITTEN_MS_MAX;
  for (;;) {
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      // Whoever writes hears what stands in the way.
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return null;
      throw readFailed(`${path} cannot be read`, error, { path });
    }
    // Only where hard links are unknown is the mark ever seen empty or half written.
    if (text.endsWith('\n')) return parsePlace(path, text);
    if (Date.now() >= giveUpAt) throw unknownPlace(path, 'it is half written');
    await delay(HALF_WRITTEN_POLL_MS);
  }
}

/**
 * Writes a mark with a new uuid unless there is one, and returns the one that is there then. A process
 * killed in the middle leaves no half mark: the file gets its name when it is whole and durable.
 */
export async function createPlace(path: string): Promise<string> {
  const draft = join(dirname(path), `.place.${randomUUID()}`);
  const place = { format: ARCHIVE_FORMAT, id: randomUUID(), createdAt: new Date().toISOString() };
  const text = `${JSON.stringify(place)}\n`;
  try {
    await writeNew(draft, text);
    try {
      await link(draft, path);
    } catch (error) {
      const code = errnoOf(error);
      // FAT, some SMB and FUSE mounts have no hard links; creating exclusively is all that is left.
      if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code ?? '')) {
        await writeNew(path, text).catch(unlessTaken);
      } else unlessTaken(error);
    } finally {
      await unlink(draft);
    }
    await syncFolder(dirname(path));
  } catch (error) {
    throw writeFailed(`${path} cannot be written`, error, { path });
  }
  const id = await readPlace(path);
  if (id === null) throw unknownPlace(path, 'it was removed again');
  return id;
}

function unlessTaken(error: unknown): void {
  if (errnoOf(error) !== 'EEXIST') throw error;
}

async function writeNew(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', FILE_MODE);
  try {
    await file.chmod(FILE_MODE);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

function parsePlace(path: string, text: string): string {
  let place: unknown;
  try {
    place = JSON.parse(text);
  } catch {
    throw unknownPlace(path, 'it is no JSON');
  }
  const { format, id } = (place ?? {}) as { format?: unknown; id?: unknown };
  if (format !== ARCHIVE_FORMAT) {
    throw unknownPlace(
      path,
      `its format is ${JSON.stringify(format)}, this program knows ${ARCHIVE_FORMAT}`,
    );
  }
  if (typeof id !== 'string' || !isUuid(id)) throw unknownPlace(path, 'it has no id');
  return id;
}

const unknownPlace = (path: string, why: string): PurgeError =>
  new PurgeError('ARCHIVE_PLACE', `${path} does not say which archive this is: ${why}.`, {
    details: { path },
    remedy: 'Bring the file back from a backup of the archive, or choose another archive.dir.',
  });
