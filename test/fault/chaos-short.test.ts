import { expect, test } from 'vitest';
import { runChaos } from '../chaos/run.ts';
import { renderFailure } from '../chaos/summary.ts';

const ROUNDS = Number(process.env['CHAOS_ROUNDS'] ?? 2);
const SEED = Number(process.env['CHAOS_SEED'] ?? 28);
const LIMIT_MS = 60_000;

/** A short form of `npm run chaos`, on servers of its own: its faults end them. */
test(`16–34. ${ROUNDS} rounds of faults at random leave what an undisturbed run leaves`, async () => {
  const results = await runChaos({
    seed: SEED,
    rounds: Array.from({ length: ROUNDS }, (_, index) => index + 1),
    only: null,
    limitMs: LIMIT_MS,
  });
  const failures = results.filter(({ passed }) => !passed).map(renderFailure);
  expect(failures.join('\n'), `seed ${SEED}`).toBe('');
  expect(results).toHaveLength(ROUNDS);
}, 300_000);
