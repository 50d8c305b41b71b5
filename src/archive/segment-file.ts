import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { damaged, readFailed, writeFailed } from './archive-error.ts';
import type { ByteRange, SegmentHandle } from './store.ts';
import { FILE_MODE, syncFolder } from './sync-folder.ts';

/**
 * Creates a segment's file, which must not be there.
 * @param touched folders whose entries became new with it, its own among them; synced once, with the
 *   first `sync`, all at the same time: a small purge pays one journal commit instead of three
 * @throws the system's error, EEXIST where the name is taken
 */
export async function openSegmentFile(
  path: string,
  touched: readonly string[],
): Promise<SegmentHandle> {
  const file = await open(path, 'wx+', FILE_MODE);
  let size = 0;
  let unsynced = touched;
  let closing: Promise<void> | null = null;
  try {
    await file.chmod(FILE_MODE);
  } catch (error) {
    await file.close();
    throw error;
  }

  return {
    name: basename(path),

    async append(bytes) {
      try {
        // A full disk or a quota may take a part and refuse the rest at the next call.
        for (let done = 0; done < bytes.byteLength; ) {
          const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, size);
          done += bytesWritten;
          size += bytesWritten;
        }
      } catch (error) {
        throw writeFailed(`${path} cannot be written`, error, { path, offset: size });
      }
    },

    async sync() {
      try {
        await Promise.all([file.datasync(), ...unsynced.map(syncFolder)]);
        unsynced = [];
      } catch (error) {
        throw writeFailed(`${path} cannot be made durable`, error, { path });
      }
    },

    async readBack(range) {
      try {
        return await readRange(file, path, range);
      } catch (error) {
        throw readFailed(`${path} cannot be read back`, error, { path, ...range });
      }
    },

    close() {
      closing ??= file.close();
      return closing;
    },
  };
}

/** @throws PurgeError ARCHIVE_DAMAGED where the file is shorter; the system's errors as they are */
export async function readRange(
  file: FileHandle,
  path: string,
  { offset, length }: ByteRange,
): Promise<Buffer> {
  const { size } = await file.stat();
  // Asked first: a wrong length must not become an allocation.
  if (offset + length > size) {
    throw damaged(`${path} has ${size} bytes; ${length} from ${offset} on were written.`, {
      path,
      offset,
      length,
      size,
    });
  }
  const bytes = Buffer.allocUnsafe(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) {
      throw damaged(`${path} ended at ${offset + done} while it was read.`, {
        path,
        offset,
        length,
      });
    }
    done += bytesRead;
  }
  return bytes;
}
