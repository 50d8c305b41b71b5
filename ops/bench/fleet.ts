import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { ConfigInput } from '../../src/config/schema.ts';

/** What one worker process has used so far; zeros where there is no /proc. */
interface Usage {
  /** Most that was ever resident, MiB. */
  readonly rssMaxMib: number;
  readonly cpuSec: number;
}

/** Real worker processes. */
interface Fleet {
  usage(): Usage[];
  /** SIGTERM to each and waits; SIGKILL for one that does not end. Idempotent. */
  stop(): Promise<void>;
}

interface FleetOptions {
  readonly processes: number;
  /** What the configuration file holds. */
  readonly config: ConfigInput;
  readonly env: Readonly<Record<string, string>>;
}

const ENTRY = fileURLToPath(new URL('worker.ts', import.meta.url));
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const READY_MAX_MS = 60_000;
const STOP_MAX_MS = 15_000;
/** Lines of a worker's log kept for the message when it ends by itself. */
const LOG_LINES_KEPT = 20;
/** Kernel ticks a second, on every Linux that Node runs on. */
const TICKS_PER_SEC = 100;

/** Starts the workers and returns when all take jobs. @throws Error when one ends before that */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const folder = await mkdtemp(join(tmpdir(), 'tenant-purge-bench-'));
  const configFile = join(folder, 'purge.config.json');
  await writeFile(configFile, JSON.stringify(options.config));
  const children: ChildProcess[] = [];
  const fleet: Fleet = {
    usage: () => children.map((child) => readUsage(child.pid ?? 0)),
    async stop() {
      await Promise.all(children.map(stopChild));
      await rm(folder, { recursive: true, force: true });
    },
  };
  try {
    for (let number = 1; number <= options.processes; number += 1) {
      const child = spawn(process.execPath, ['--import', TSX, ENTRY, configFile], {
        // Nothing of the caller's may configure a worker: a keep list would be one tenant less.
        env: { PATH: process.env['PATH'], ...options.env },
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      });
      children.push(child);
    }
    await Promise.all(children.map(becomesReady));
    return fleet;
  } catch (error) {
    await fleet.stop();
    throw error;
  }
}

async function becomesReady(child: ChildProcess): Promise<void> {
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const fail = (what: string): void =>
      reject(new Error(`A worker ${what}. Its log ends:\n${lines.join('\n')}`));
    const timer = setTimeout(() => fail(`was not ready after ${READY_MAX_MS} ms`), READY_MAX_MS);
    child.once('exit', () => {
      clearTimeout(timer);
      fail('ended by itself');
    });
    if (child.stderr === null) return fail('has no log');
    // Read to the end: a full pipe would stop the worker.
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      if (lines.length > LOG_LINES_KEPT) lines.shift();
      if (isTrouble(line)) process.stderr.write(`${line}\n`);
      if (!line.includes('"event":"ready"')) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/** A warning, an error, or something that is no line of the log. */
const isTrouble = (line: string): boolean => !/^\{"level":(10|20|30),/.test(line);

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MAX_MS);
  await ended.finally(() => clearTimeout(timer));
}

function readUsage(pid: number): Usage {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kib = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0);
    // After the name in brackets: state is field 3, user and system time are 14 and 15.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    const ticks = Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
    return { rssMaxMib: Math.round(kib / 1_024), cpuSec: ticks / TICKS_PER_SEC };
  } catch {
    return { rssMaxMib: 0, cpuSec: 0 };
  }
}
