import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join, resolve } from 'node:path';

/** Who the servers run as: `ids` is empty when that is the caller. */
export type ServerUser = { readonly ids: { readonly uid: number; readonly gid: number } | object };

/** Where the services write: `room` is `dataDir` itself, or a place its user can enter. */
export type DataFolder = { readonly dataDir: string; readonly room: string };

const elsewhereLink = 'elsewhere';
/** Every user may enter it, and unlike /tmp it is seldom held in memory. */
const openParent = '/var/tmp';

/**
 * PostgreSQL refuses to run as root. Then `postgres` runs it where that user exists, else `nobody`,
 * which every system has: no account is created on the machine.
 */
export function findServerUser(): ServerUser {
  if (process.getuid?.() !== 0) return { ids: {} };
  for (const name of ['postgres', 'nobody']) {
    const uid = readId('-u', name);
    const gid = readId('-g', name);
    if (uid !== undefined && gid !== undefined) return { ids: { uid, gid } };
  }
  throw new Error(
    'PostgreSQL cannot run as root, and this machine has neither a user postgres nor nobody. ' +
      'Run as an ordinary user, or set DATABASE_URL to a server of yours.',
  );
}

/**
 * Creates the folder. Where the servers' user cannot enter it (a folder above it is closed to
 * others, as /root and mkdtemp's are), their data goes below /var/tmp and a link points there.
 */
export function openDataFolder(dataDir: string, user: ServerUser): DataFolder {
  const folder = resolve(dataDir);
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o755); // whatever the umask: the servers' user passes through it
  }
  if (canEnter(folder, user)) return { dataDir: folder, room: folder };
  const room = openSharedFolder(folder);
  const link = join(folder, elsewhereLink);
  rmSync(link, { force: true });
  symlinkSync(room, link);
  return { dataDir: folder, room };
}

/** Removes the folder and what lies elsewhere for it. Idempotent. */
export function removeDataFolder(dataDir: string): void {
  const folder = resolve(dataDir);
  const room = sharedFolderFor(folder);
  if (readLink(join(folder, elsewhereLink)) === room)
    rmSync(room, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
}

/** A folder below /var/tmp that belongs to `source` alone and that others may pass through. */
export function openSharedFolder(source: string): string {
  const folder = sharedFolderFor(source);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const stat = lstatSync(folder);
  // Anyone may create names in /var/tmp: never trust a folder that another user could change.
  if (!stat.isDirectory() || stat.uid !== process.getuid?.()) {
    throw new Error(`${folder} belongs to another user. Remove it, then run this again.`);
  }
  chmodSync(folder, 0o755);
  return folder;
}

/** A folder that only the servers' user may read. */
export function createPrivateFolder(path: string, user: ServerUser): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  giveTo(path, user);
}

export function giveTo(path: string, { ids }: ServerUser): void {
  if ('uid' in ids) chownSync(path, ids.uid, ids.gid);
}

/** Asked of the system itself, as that user: modes, groups and access lists all count. */
function canEnter(path: string, user: ServerUser): boolean {
  if (!('uid' in user.ids)) return true;
  return spawnSync('test', ['-x', path], { ...user.ids, cwd: '/' }).status === 0;
}

function sharedFolderFor(source: string): string {
  const hash = createHash('sha256').update(source).digest('hex').slice(0, 12);
  return join(openParent, `tenant-purge-${hash}`);
}

function readId(flag: '-u' | '-g', name: string): number | undefined {
  try {
    const text = execFileSync('id', [flag, name], { encoding: 'utf8', stdio: 'pipe' });
    return Number.parseInt(text, 10);
  } catch {
    return undefined;
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
