import { chmodSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { createPrivateFolder, giveTo, type ServerUser } from './data-folder.ts';
import type { TlsFiles } from './options.ts';

/**
 * Copies a certificate and its key to where the server's user alone may read them: PostgreSQL
 * refuses a key that others could read, and a server's user may enter few of the caller's folders.
 */
export function bringTlsFiles(from: TlsFiles, room: string, user: ServerUser): TlsFiles {
  const folder = join(room, 'tls');
  createPrivateFolder(folder, user);
  const bring = (file: string, name: string): string => {
    const copy = join(folder, name);
    copyFileSync(file, copy);
    chmodSync(copy, 0o600);
    giveTo(copy, user);
    return copy;
  };
  return {
    certificateFile: bring(from.certificateFile, 'server.crt'),
    keyFile: bring(from.keyFile, 'server.key'),
  };
}
