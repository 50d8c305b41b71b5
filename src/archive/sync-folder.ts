import { open } from 'node:fs/promises';
import { errnoOf } from './archive-error.ts';

export const FOLDER_MODE = 0o700;
export const FILE_MODE = 0o600;

/** Makes the names in a folder durable. Some shared file systems do so by themselves and refuse the call. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP'].includes(errnoOf(error) ?? '')) throw error;
  } finally {
    await folder.close();
  }
}
