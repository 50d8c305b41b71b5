import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** A real worker process. */
export interface WorkerProcess {
  readonly pid: number;
  /** Resolves when its workers take jobs; rejects with its log when it ended before. */
  readonly ready: Promise<void>;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** What it has written so far. */
  log(): string;
  kill(signal: NodeJS.Signals): void;
}

const ENTRY = fileURLToPath(new URL('../../workers/purge-worker.ts', import.meta.url));
let bundle: Promise<string> | null = null;

/**
 * Starts `workers/purge-worker.ts` with this configuration and environment. Bundled once a test
 * process: a start then costs 0.3 s of one core, under tsx it is 2 s, and tests kill a hundred.
 */
export async function startWorkerProcess(
  configuration: object,
  environment: Readonly<Record<string, string>>,
): Promise<WorkerProcess> {
  const program = await (bundle ??= bundleWorker());
  const folder = mkdtempSync(join(tmpdir(), 'purge-worker-'));
  const entry = join(folder, 'purge-worker.mjs');
  writeFileSync(entry, program);
  writeFileSync(join(folder, 'purge.config.json'), JSON.stringify(configuration));
  const child = spawn(process.execPath, [entry], {
    cwd: folder,
    env: { PATH: process.env['PATH'], ...environment, LOG_LEVEL: 'info' },
    // The channel ends with the test process, and the worker with the channel: see the banner.
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let log = '';
  const ready = new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      log += chunk.toString();
      if (log.includes('"ready"')) resolve();
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('exit', () => reject(new Error(`The worker ended before it was ready:\n${log}`)));
  });
  ready.catch(() => undefined); // who waits for it hears of it
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('exit', (code, signal) => {
      rmSync(folder, { recursive: true, force: true });
      resolve({ code, signal });
    });
  });
  return {
    pid: child.pid ?? 0,
    ready,
    exited,
    log: () => log,
    kill: (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    },
  };
}

/** Kept in memory: each worker's folder, which goes with it, gets a copy. */
async function bundleWorker(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [ENTRY],
    write: false,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
    banner: {
      js: [
        // Packages of the older module system ask for built-in modules by `require`.
        "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
        "process.once('disconnect', () => process.exit()); process.channel?.unref();",
      ].join('\n'),
    },
  });
  return outputFiles[0]?.text ?? '';
}
