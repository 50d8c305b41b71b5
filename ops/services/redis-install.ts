import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { errorMessage } from './processes.ts';

const installLimitMs = 300_000;
/** Debian's switch for "may this package start its service?"; see invoke-rc.d(8). */
const policyFile = '/usr/sbin/policy-rc.d';
const savedPolicyFile = `${policyFile}.before-tenant-purge`;
const policyMark = '# written by tenant-purge while it installs redis-server';
const policyDenies = 101;

/** Only root may, and only where apt-get is. */
export function canInstallRedis(): boolean {
  return process.getuid?.() === 0 && spawnSync('apt-get', ['--version']).status === 0;
}

/**
 * Installs Debian's redis-server without its service: the package's script is kept from starting
 * it, and what the script enabled for the next boot is disabled. Called only when there is no
 * Redis on the machine, so no service that ran before is touched. Idempotent.
 */
export async function installRedis(say: (line: string) => void): Promise<void> {
  say('There is no Redis on this machine: installing the package redis-server with apt-get …');
  forbidServiceStart();
  try {
    try {
      await aptGet('install');
    } catch {
      // A fresh machine has no package lists, an old one lists files that are gone.
      await aptGet('update');
      await aptGet('install');
    }
  } catch (error) {
    throw new Error(
      `redis-server could not be installed: ${errorMessage(error).trim()}\nInstall it by hand, or ` +
        'set REDIS_URL to a server of yours.',
      { cause: error },
    );
  } finally {
    disableService();
    restorePolicy();
  }
  say('redis-server is installed; its system service is neither started nor enabled.');
}

async function aptGet(verb: 'install' | 'update'): Promise<void> {
  const common = ['-qq', '-o', 'DPkg::Lock::Timeout=120'];
  const args =
    verb === 'update'
      ? [...common, 'update']
      : [...common, 'install', '--yes', '--no-install-recommends', 'redis-server'];
  await promisify(execFile)('apt-get', args, {
    timeout: installLimitMs,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
  });
}

function forbidServiceStart(): void {
  restorePolicy(); // of an install that was killed
  if (existsSync(policyFile)) {
    const { status } = spawnSync(policyFile, ['redis-server', 'start']);
    if (status === policyDenies) return;
    renameSync(policyFile, savedPolicyFile);
  }
  writeFileSync(policyFile, `#!/bin/sh\n${policyMark}\nexit ${policyDenies}\n`);
  chmodSync(policyFile, 0o755);
}

function restorePolicy(): void {
  if (existsSync(policyFile) && readFileSync(policyFile, 'utf8').includes(policyMark)) {
    rmSync(policyFile);
  }
  if (existsSync(savedPolicyFile)) renameSync(savedPolicyFile, policyFile);
}

/** Either tool may be missing (containers), and either may have nothing to disable. */
function disableService(): void {
  for (const [command, args] of [
    ['systemctl', ['disable', 'redis-server.service']],
    ['update-rc.d', ['redis-server', 'disable']],
  ] as const) {
    try {
      execFileSync(command, args, { stdio: 'ignore' });
    } catch {
      // Nothing to disable, or no such tool: then nothing is enabled by it.
    }
  }
}
