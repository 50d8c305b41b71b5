import { pathToFileURL } from 'node:url';
import type { Config } from '../src/config/config.ts';
import { loadConfig } from '../src/config/load.ts';
import { EXIT } from '../src/domain/errors.ts';
import { composeActor } from '../src/runtime/actor.ts';
import { startWorker } from '../src/runtime/worker-process.ts';
import { makeFailpoint } from './failpoint.ts';
import { runUntilSignal } from './signals.ts';

/**
 * Runs purges in this process until `shutdown`, then gives each back after its batch. Resolves when
 * everything is closed. The line `ready` in the log says that its workers take jobs.
 * @throws PurgeError when PostgreSQL, Redis or the ledger cannot be used
 */
export async function runWorkerProcess(config: Config, shutdown: AbortSignal): Promise<void> {
  const actor = await composeActor(config, { role: 'worker' });
  try {
    const worker = startWorker(actor, makeFailpoint(config.failpoint));
    await worker.ready();
    actor.log.info({ event: 'ready', slots: config.worker.slots }, 'ready');
    await aborted(shutdown);
    actor.log.info({ event: 'stopping' }, 'stopping: each purge finishes its batch');
    const giveUp = exitAfter(shutdownMs(config), () =>
      actor.log.error(
        { event: 'stop given up' },
        'a connection does not answer: ending without it',
      ),
    );
    await worker.stop();
    clearTimeout(giveUp);
    actor.log.info({ event: 'stopped' }, 'stopped');
  } finally {
    await actor.close();
  }
}

/** A batch may take its timeouts; what takes longer waits for a server that is gone. */
const shutdownMs = ({ batch }: Config): number =>
  batch.lockTimeoutMs + batch.statementTimeoutMs + SHUTDOWN_SLACK_MS;
const SHUTDOWN_SLACK_MS = 15_000;

/** Ends the process as a crash would, which every purge survives. */
const exitAfter = (delayMs: number, say: () => void): NodeJS.Timeout =>
  setTimeout(() => {
    say();
    process.exit(EXIT.failed);
  }, delayMs).unref();

/** Resolves when the signal is aborted; keeps the process alive until then. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const alive = setInterval(() => undefined, 2 ** 30);
    signal.addEventListener(
      'abort',
      () => {
        clearInterval(alive);
        resolve();
      },
      { once: true },
    );
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await runUntilSignal(async (shutdown) => runWorkerProcess(await loadConfig(), shutdown));
}
