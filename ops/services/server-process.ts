import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { ServerUser } from './data-folder.ts';

/** One server started by the guardian, its output in a log file. */
export type ServerProcess = {
  readonly pid: number;
  /** Settles when the process has ended, with a few words on how. */
  readonly ended: Promise<string>;
  hasEnded(): boolean;
  signal(signal: NodeJS.Signals): void;
};

type ServerCommand = {
  readonly command: string;
  readonly args: readonly string[];
  readonly user: ServerUser;
  readonly folder: string;
  readonly logFile: string;
  /** Sent by the kernel should the guardian itself be killed (Linux). */
  readonly signalOnOrphan: 'INT' | 'TERM';
};

const logTailBytes = 2_000;
let setprivFound: boolean | undefined;

/** Starts a server as `user`. It dies with this process, even when this one is killed (Linux). */
export async function startServer(server: ServerCommand): Promise<ServerProcess> {
  const [command, args] = withOrphanSignal(server);
  const log = openSync(server.logFile, 'w');
  const child = spawn(command, args, {
    ...server.user.ids,
    cwd: server.folder,
    stdio: ['ignore', log, log],
    env: serverEnvironment(),
  });
  closeSync(log);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  return { pid: await requirePid(child, ended), ended, ...controls(child) };
}

/**
 * Stops a server: `gently` first, `firmly` once `limitMs` have passed, SIGKILL after as long again.
 * Harmless when it has ended already.
 */
export async function stopServer(
  server: ServerProcess,
  signals: { readonly gently: NodeJS.Signals; readonly firmly: NodeJS.Signals },
  limitMs: number,
): Promise<void> {
  for (const signal of [signals.gently, signals.firmly, 'SIGKILL'] as const) {
    if (server.hasEnded()) return;
    server.signal(signal);
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), limitMs);
    await Promise.race([
      server.ended,
      new Promise((resolve) => timeout.signal.addEventListener('abort', resolve)),
    ]);
    clearTimeout(timer);
  }
}

/** A port of 127.0.0.1 that nobody listens on at this moment. */
export function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** The last lines of a log, for an error message. */
export function readLogTail(logFile: string): string {
  try {
    return readFileSync(logFile, 'utf8').slice(-logTailBytes).trim();
  } catch {
    return '';
  }
}

/** Servers get none of the caller's PG* or LC_* variables: messages in English, settings ours. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
}

function withOrphanSignal({ command, args, signalOnOrphan }: ServerCommand): [string, string[]] {
  setprivFound ??=
    process.platform === 'linux' &&
    spawnSync('setpriv', ['--pdeathsig', 'TERM', 'true']).status === 0;
  if (!setprivFound) return [command, [...args]];
  return ['setpriv', ['--pdeathsig', signalOnOrphan, '--', command, ...args]];
}

async function requirePid(child: ChildProcess, ended: Promise<string>): Promise<number> {
  if (child.pid !== undefined) return child.pid;
  throw new Error(`${child.spawnfile} did not start: ${await ended}`);
}

function controls(child: ChildProcess): Pick<ServerProcess, 'hasEnded' | 'signal'> {
  return {
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    signal: (signal) => void child.kill(signal),
  };
}
