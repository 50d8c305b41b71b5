#!/usr/bin/env node
import { EXIT } from '../../src/domain/errors.ts';
import { runCli } from './run-cli.ts';

/**
 * A launcher (npm, tsx) passes on the Ctrl-C that the terminal has sent to the whole group already:
 * what comes within this time is the same one.
 */
const SAME_SIGNAL_MS = 300;

const interrupted = new AbortController();
let interruptedAt = 0;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (!interrupted.signal.aborted) {
      interruptedAt = performance.now();
      interrupted.abort();
    } else if (performance.now() - interruptedAt > SAME_SIGNAL_MS) {
      process.exit(EXIT.interrupted);
    }
  });
}
// `… | head` has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.done);
  throw error;
});

const exitCode = await runCli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  interrupted: interrupted.signal,
});
process.exitCode = exitCode;
// What an interrupted command left open would keep the process.
if (exitCode === EXIT.interrupted) process.exit();
