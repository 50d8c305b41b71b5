/**
 * Bull Board over the purges' queue: `tenant-purge board`, or this file itself. Serves until SIGINT
 * or SIGTERM.
 */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { EXIT, type ExitCode, toPurgeError } from '../../src/domain/errors.ts';
import { composeActor } from '../../src/runtime/actor.ts';
import { createBoardApp } from './app.ts';
import { listen } from './listen.ts';

/** A board that serves. */
export interface BoardProcess {
  /** Where to open it, e.g. `http://127.0.0.1:3000/`. */
  readonly url: string;
  /** Ends it and its connections. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Serves the board. Handles no signal: that is the caller's. Port 0 takes a free one.
 * @throws PurgeError CONFIG_INVALID where it may not or cannot listen; those of `composeActor`
 */
export async function runBoardProcess(config: Config): Promise<BoardProcess> {
  const actor = await composeActor(config, { role: 'board' });
  try {
    const server = await listen(createBoardApp(actor), config.board);
    let stopped: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      await server.stop();
      await actor.close();
    };
    return { url: server.url, stop: () => (stopped ??= stop()) };
  } catch (error) {
    await actor.close();
    throw error;
  }
}

/**
 * The `board` command: prints the URL on stdout, serves until SIGINT or SIGTERM. A second signal
 * ends the process at once.
 * @throws as `runBoardProcess`
 */
export async function serveBoard(config: Config): Promise<ExitCode> {
  const signalled = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  const board = await runBoardProcess(config);
  process.stdout.write(`${board.url}\n`);
  const { user, password } = config.board;
  const signIn = password === null ? '' : ` Sign in as ${user} with BOARD_PASSWORD.`;
  process.stderr.write(`Bull Board serves.${signIn} Ctrl-C ends it; purges go on without it.\n`);
  await signalled;
  await board.stop();
  return EXIT.done;
}

if (isEntryPoint()) process.exitCode = await main();

function isEntryPoint(): boolean {
  const script = process.argv[1];
  return script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url);
}

async function main(): Promise<number> {
  try {
    return await serveBoard(await loadConfig());
  } catch (thrown) {
    const error = toPurgeError(thrown);
    process.stderr.write(`${error.message}\n${error.remedy}\n`);
    return error.exitCode;
  }
}
