import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A worker or the board, as a process of its own. */
interface Child {
  /** First line it prints on stdout; rejects when it ends before. */
  readonly firstLine: Promise<string>;
  /** SIGTERM, and SIGKILL after a while. Idempotent. */
  stop(): Promise<void>;
}

const ENTRY = fileURLToPath(new URL('child.ts', import.meta.url));
const STOP_MAX_MS = 10_000;

/**
 * Runs a tenant-purge command beside the demo. In a process group of its own, so that Ctrl-C reaches
 * it through the demo, in order; tied to the demo by a channel, so that it ends even when the demo
 * is killed.
 */
export function spawnChild(argv: readonly string[], env: NodeJS.ProcessEnv): Child {
  const child = spawn(process.execPath, ['--import', 'tsx', ENTRY, ...argv], {
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const firstLine = new Promise<string>((resolve, reject) => {
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).once('line', resolve);
    void ended.then(() => reject(new Error(`${argv.join(' ')} ended before it was ready`)));
  });
  // Not everybody asks for it.
  firstLine.catch(() => undefined);
  return {
    firstLine,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MAX_MS);
      await ended.finally(() => clearTimeout(timer));
    },
  };
}
