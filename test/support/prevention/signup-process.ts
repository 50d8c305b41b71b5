import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The example service as a process of its own. */
export interface SignupProcess {
  readonly url: string;
  /** Its log so far. */
  log(): string;
  /** Ends it as an operator would. @returns its exit code */
  stop(): Promise<number | null>;
}

const project = fileURLToPath(new URL('../../..', import.meta.url));

/** Ends with the test process, however that ends: then its stdin does. */
const TETHER =
  "data:text/javascript,process.stdin.on('end',()=>process.exit()).resume();process.stdin.unref()";

const STOP_MAX_MS = 20_000;

/** Resolves when it listens; rejects with its log when it ended before. */
export async function startSignupProcess(
  env: Readonly<Record<string, string>>,
): Promise<SignupProcess> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--import', TETHER, 'ops/signup-example/main.ts'],
    {
      cwd: project,
      env: { PATH: process.env['PATH'], PORT: '0', ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  );
  let log = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const url = await new Promise<string>((resolve, reject) => {
    let stdout = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.includes('\n')) resolve(stdout.trim());
    });
    child.once('close', () => reject(new Error(`The service ended before it listened:\n${log}`)));
  });
  return { url, log: () => log, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_MAX_MS);
  await closed.finally(() => clearTimeout(late));
  return child.exitCode;
}
