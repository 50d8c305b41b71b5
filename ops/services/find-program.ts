import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Folders of the PATH, in its order. */
export const pathFolders = (): string[] => (process.env['PATH'] ?? '').split(':');

/** The first of these programs, in the first of these folders, that runs; null where none does. */
export function findProgram(
  programs: readonly string[],
  folders: readonly string[],
): string | null {
  for (const program of programs) {
    for (const folder of folders) {
      const file = join(folder, program);
      if (folder !== '' && existsSync(file) && runs(file)) return file;
    }
  }
  return null;
}

function runs(file: string): boolean {
  try {
    execFileSync(file, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
