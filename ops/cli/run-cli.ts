import { Command, CommanderError } from 'commander';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { EXIT, type ExitCode, PurgeError, toPurgeError } from '../../src/domain/errors.ts';
import type { Answer, Host, Session } from './command.ts';
import { archive } from './commands/archive.ts';
import { board } from './commands/board.ts';
import { diagnose } from './commands/diagnose.ts';
import { doctor } from './commands/doctor.ts';
import { enqueue } from './commands/enqueue.ts';
import { plan } from './commands/plan.ts';
import { prevention } from './commands/prevention.ts';
import { reconcile } from './commands/reconcile.ts';
import { redis } from './commands/redis.ts';
import { restore } from './commands/restore.ts';
import { status } from './commands/status.ts';
import { cancel, pause, resume } from './commands/stop.ts';
import { tune } from './commands/tune.ts';
import { verify } from './commands/verify.ts';
import { worker } from './commands/worker.ts';
import { type CliIo, colorsOf, columnsOf, writeLine } from './io.ts';
import { renderError } from './output/errors.ts';

const COMMANDS = [
  plan,
  enqueue,
  status,
  pause,
  resume,
  cancel,
  tune,
  verify,
  restore,
  archive,
  diagnose,
  redis,
  reconcile,
  doctor,
  prevention,
  worker,
  board,
];

/**
 * Runs one command line. Never throws and never ends the process.
 * @param argv without node and script, e.g. `['plan', '--json']`
 * @returns the exit code, see `EXIT`
 */
export async function runCli(argv: readonly string[], io: CliIo): Promise<ExitCode> {
  const json = argv.includes('--json');
  let exitCode: ExitCode = EXIT.done;
  const usage: string[] = [];
  const host: Host = async (command, globals, run) => {
    const work = run(makeSession(io, json, globals.config));
    const answer = await (command.handlesInterrupt ? work : orInterrupt(work, io.interrupted));
    exitCode = answer.exitCode;
    print(io, json, answer);
  };
  try {
    await makeProgram(io, host, (text) => usage.push(text)).parseAsync([...argv], { from: 'user' });
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return EXIT.done;
    const error =
      thrown instanceof CommanderError ? usageError(thrown, usage) : toPurgeError(thrown);
    exitCode = error.exitCode;
    print(io, json, {
      exitCode,
      document: { error: error.toReport() },
      text: '',
      errors: [error],
    });
  }
  return exitCode;
}

function makeProgram(io: CliIo, host: Host, onUsage: (text: string) => void): Command {
  const program = new Command('tenant-purge')
    .description('Staged, resumable purges of tenants from PostgreSQL and Redis')
    .option('--json', 'print one JSON document on stdout')
    .option('--config <file>', 'configuration file (default: purge.config.{ts,mjs,js,json})')
    .showSuggestionAfterError()
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: onUsage,
      getOutHelpWidth: () => columnsOf(io.stdout),
      getErrHelpWidth: () => columnsOf(io.stderr),
    })
    .addHelpText('after', EXIT_CODES);
  for (const command of COMMANDS) command.attach(program, host);
  return program;
}

const EXIT_CODES = `
Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 refused by a guard or
hazard, 4 residue found, 5 cancelled, 130 interrupted.

Example:
  $ tenant-purge plan --counts`;

function makeSession(io: CliIo, json: boolean, file: string | undefined): Session {
  let config: Promise<Config> | null = null;
  return {
    io,
    json,
    colors: colorsOf(io.stdout, io.env),
    columns: columnsOf(io.stdout),
    config: () =>
      (config ??= loadConfig({
        cwd: io.cwd,
        env: io.env,
        ...(file === undefined ? {} : { file }),
      })),
    note: (line) => writeLine(io.stderr, line),
  };
}

function print(io: CliIo, json: boolean, answer: Answer): void {
  if (json) {
    if (answer.document !== undefined) {
      writeLine(io.stdout, JSON.stringify(answer.document, null, 2));
    }
    return;
  }
  if (answer.text !== '') writeLine(io.stdout, answer.text);
  const colors = colorsOf(io.stderr, io.env);
  for (const error of answer.errors ?? []) {
    writeLine(io.stderr, renderError(error, colors, columnsOf(io.stderr)));
  }
}

async function orInterrupt(work: Promise<Answer>, interrupted: AbortSignal): Promise<Answer> {
  const raceIsOver = new AbortController();
  const stopped = new Promise<never>((_, reject) => {
    const stop = (): void =>
      reject(
        new PurgeError('STOP_ASKED', 'Interrupted.', {
          remedy: 'What the ledger had recorded by then stands: see `tenant-purge status`.',
        }),
      );
    if (interrupted.aborted) stop();
    else interrupted.addEventListener('abort', stop, { signal: raceIsOver.signal });
  });
  // Whatever the abandoned work still throws, the interrupt has been reported.
  work.catch(() => undefined);
  return Promise.race([work, stopped]).finally(() => raceIsOver.abort());
}

/** Commander's words without its prefix; the near miss it found is in them. */
function usageError(thrown: CommanderError, usage: readonly string[]): PurgeError {
  if (thrown.code === 'commander.help') {
    return new PurgeError('USAGE', usage.join('').trim() || 'No command was given.');
  }
  const message = thrown.message.replace(/^error: /, '').trim();
  return new PurgeError('USAGE', message.charAt(0).toUpperCase() + message.slice(1));
}
