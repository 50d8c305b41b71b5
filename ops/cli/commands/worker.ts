import { z } from 'zod';
import { EXIT } from '../../../src/domain/errors.ts';
import { runWorkerProcess } from '../../../workers/purge-worker.ts';
import { defineCommand, parseCount, readOptions } from '../command.ts';

const optionsSchema = z.object({ slots: z.string().optional() });
const SLOTS_MAX = 64;

/** Runs purges until it is told to stop. */
export const worker = defineCommand<{ readonly slots: number | null }>({
  usage: 'worker',
  summary: 'Run purges until Ctrl-C or SIGTERM; each finishes its batch first',
  examples: ['worker', 'worker --slots 4'],
  describe: (command) =>
    command.option('--slots <n>', 'purges side by side (default: worker.slots, 2)'),
  validate: (raw) => {
    const { slots } = readOptions(optionsSchema, raw);
    return {
      slots: slots === undefined ? null : parseCount(slots, '--slots', { min: 1, max: SLOTS_MAX }),
    };
  },
  handlesInterrupt: true,
  run: async (session, { slots }) => {
    const config = await session.config();
    const wanted = slots ?? config.worker.slots;
    await runWorkerProcess(
      { ...config, worker: { ...config.worker, slots: wanted } },
      session.io.interrupted,
    );
    return { exitCode: EXIT.done, document: { stopped: true, slots: wanted }, text: '' };
  },
});
