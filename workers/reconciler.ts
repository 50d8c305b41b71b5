import { pathToFileURL } from 'node:url';
import type { Config } from '../src/config/config.ts';
import { loadConfig } from '../src/config/load.ts';
import { composeActor } from '../src/runtime/actor.ts';
import { startReconciling } from '../src/runtime/worker-process.ts';
import { aborted } from './purge-worker.ts';
import { runUntilSignal } from './signals.ts';

/**
 * Derives the queue from the ledger again and again until `shutdown`, without running purges: for a
 * host that is up while the workers are not. Every worker does the same besides its purges.
 * @throws PurgeError when PostgreSQL, Redis or the ledger cannot be used
 */
async function runReconcilerProcess(config: Config, shutdown: AbortSignal): Promise<void> {
  const actor = await composeActor(config, { role: 'reconciler' });
  try {
    const reconciling = startReconciling(actor);
    actor.log.info({ event: 'ready' }, 'ready');
    await aborted(shutdown);
    reconciling.stop();
    await reconciling.idle();
  } finally {
    await actor.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await runUntilSignal(async (shutdown) => runReconcilerProcess(await loadConfig(), shutdown));
}
