import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { errorMessage } from './processes.ts';

const installLimitMs = 300_000;
/** Debian's switch for "may this package start its service?"; see invoke-rc.d(8). */
const policyFile = '/usr/sbin/policy-rc.d';
const savedPolicyFile = `${policyFile}.before-tenant-purge`;
const policyMark = '# written by tenant-purge while it installs a package';
const policyDenies = 101;

/** Of a server that Debian starts, and enables for the next boot, when it installs it. */
type ServerPackage = {
  /** Also the name of its service. */
  readonly name: string;
  /** Why it is installed, for people. */
  readonly reason: string;
  /** What else they can do where it cannot be. */
  readonly otherwise: string;
};

/** Only root may, and only where apt-get is. */
export function canInstallPackages(): boolean {
  return process.getuid?.() === 0 && spawnSync('apt-get', ['--version']).status === 0;
}

/**
 * Installs one of Debian's packages without its service: the package's script is kept from starting
 * it, and what the script enabled for the next boot is disabled. Called only when its program is not
 * on the machine, so no service that ran before is touched. Idempotent.
 */
export async function installPackage(
  { name, reason, otherwise }: ServerPackage,
  say: (line: string) => void,
): Promise<void> {
  say(`${reason}: installing the package ${name} with apt-get …`);
  forbidServiceStart();
  try {
    try {
      await aptGet('install', name);
    } catch {
      // A fresh machine has no package lists, an old one lists files that are gone.
      await aptGet('update', name);
      await aptGet('install', name);
    }
  } catch (error) {
    throw new Error(`${name} could not be installed: ${errorMessage(error).trim()}\n${otherwise}`, {
      cause: error,
    });
  } finally {
    disableService(name);
    restorePolicy();
  }
  say(`${name} is installed; its system service is neither started nor enabled.`);
}

async function aptGet(verb: 'install' | 'update', name: string): Promise<void> {
  const common = ['-qq', '-o', 'DPkg::Lock::Timeout=120'];
  const args =
    verb === 'update'
      ? [...common, 'update']
      : [...common, 'install', '--yes', '--no-install-recommends', name];
  await promisify(execFile)('apt-get', args, {
    timeout: installLimitMs,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
  });
}

function forbidServiceStart(): void {
  restorePolicy(); // of an install that was killed
  if (existsSync(policyFile)) {
    const { status } = spawnSync(policyFile, ['any-service', 'start']);
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
function disableService(name: string): void {
  for (const [command, args] of [
    ['systemctl', ['disable', `${name}.service`]],
    ['update-rc.d', [name, 'disable']],
  ] as const) {
    try {
      execFileSync(command, args, { stdio: 'ignore' });
    } catch {
      // Nothing to disable, or no such tool: then nothing is enabled by it.
    }
  }
}
