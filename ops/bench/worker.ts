/**
 * A worker process of a benchmark: the product's own, with the configuration file given as argument.
 * Ends at once when the benchmark is gone.
 */
import { loadConfig } from '../../src/config/load.ts';
import { runWorkerProcess } from '../../workers/purge-worker.ts';
import { runUntilSignal } from '../../workers/signals.ts';

process.once('disconnect', () => process.exit());

await runUntilSignal(async (shutdown) =>
  runWorkerProcess(await loadConfig({ file: process.argv[2] ?? '' }), shutdown),
);
process.channel?.unref();
