import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { CliIo, InputStream, OutputStream } from '../../ops/cli/io.ts';
import { runCli } from '../../ops/cli/run-cli.ts';

/** How a command ended and what it wrote. */
export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** What somebody at a terminal types; without it there is no terminal. */
  readonly typed?: string;
  readonly interrupted?: AbortSignal;
}

const project = fileURLToPath(new URL('../..', import.meta.url));

/** Runs a command in this process: as fast as can be, and the same code. */
export async function runInProcess(
  argv: readonly string[],
  options: CliOptions,
): Promise<CliResult> {
  const isTTY = options.typed !== undefined;
  const stdout = collector(false);
  const stderr = collector(isTTY);
  const stdin: InputStream = Object.assign(new PassThrough(), { isTTY });
  const io: CliIo = {
    stdin,
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: { LOG_LEVEL: 'silent', NO_COLOR: '1', ...options.env },
    cwd: options.cwd ?? project,
    interrupted: options.interrupted ?? new AbortController().signal,
  };
  const running = runCli(argv, io);
  if (options.typed !== undefined && stdin instanceof PassThrough) stdin.write(options.typed);
  return { exitCode: await running, stdout: stdout.text(), stderr: stderr.text() };
}

/** The JSON document of a command that was run with `--json`. */
export async function runForJson(
  argv: readonly string[],
  options: CliOptions,
): Promise<{ readonly exitCode: number | null; readonly document: Record<string, unknown> }> {
  const { exitCode, stdout } = await runInProcess([...argv, '--json'], options);
  return { exitCode, document: JSON.parse(stdout) };
}

function collector(isTTY: boolean): { readonly stream: OutputStream; text(): string } {
  let written = '';
  const writable = new Writable({
    write(chunk, _encoding, done) {
      written += String(chunk);
      done();
    },
  });
  return { stream: Object.assign(writable, { isTTY, columns: 80 }), text: () => written };
}

/** A command as a process of its own. */
export interface CliProcess {
  readonly child: ChildProcess;
  /** Resolves when what it has written to stdout or stderr fits; rejects when it ends before. */
  saw(pattern: RegExp): Promise<void>;
  readonly result: Promise<CliResult>;
}

export function spawnCli(argv: readonly string[], env: NodeJS.ProcessEnv): CliProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', 'ops/cli/main.ts', ...argv], {
    cwd: project,
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    child.emit('written');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    child.emit('written');
  });
  const result = once(child, 'close').then(() => ({ exitCode: child.exitCode, stdout, stderr }));
  return {
    child,
    result,
    saw: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (pattern.test(stdout) || pattern.test(stderr)) resolve();
        };
        child.on('written', look);
        child.once('close', () =>
          reject(new Error(`It ended without ${pattern}:\n${stdout}\n${stderr}`)),
        );
        look();
      }),
  };
}
