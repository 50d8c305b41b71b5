#!/usr/bin/env node
import { EXIT } from '../../src/domain/errors.ts';
import { shutdownSignal } from '../../workers/signals.ts';
import { runCli } from './run-cli.ts';

const interrupted = shutdownSignal();
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
  interrupted,
});
process.exitCode = exitCode;
// What an interrupted command left open would keep the process.
if (exitCode === EXIT.interrupted) process.exit();
