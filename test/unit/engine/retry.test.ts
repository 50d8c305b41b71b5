import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import { InterruptedRun, passesUnder, withBackOff } from '../../../src/engine/retry.ts';
import { readFault } from '../../../src/postgres/sqlstate.ts';

const fault = (code: string): Error => Object.assign(new Error(`fault ${code}`), { code });
const goOn = (): Promise<void> => Promise.resolve();

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets every wait pass at once. */
async function outcomeOf<Result>(work: Promise<Result>): Promise<Result | { thrown: unknown }> {
  const settled = work.catch((thrown: unknown) => ({ thrown }));
  await vi.runAllTimersAsync();
  return settled;
}

it.each(['40P01', '55P03', '57P01', '57P03', 'ECONNREFUSED', 'ECONNRESET'])(
  'tries again after %s, which passes by itself',
  async (code) => {
    const attempt = vi.fn(() => Promise.resolve('done'));
    attempt.mockRejectedValueOnce(fault(code)).mockRejectedValueOnce(fault(code));
    expect(await outcomeOf(withBackOff(attempt, goOn))).toBe('done');
    expect(attempt).toHaveBeenCalledTimes(3);
  },
);

it.each(['23503', '57014', 'TP001', 'TP002', '23514', '42501'])(
  'does not try again after %s',
  async (code) => {
    const attempt = vi.fn(() => Promise.reject(fault(code)));
    expect(await outcomeOf(withBackOff(attempt, goOn))).toMatchObject({ thrown: { code } });
    expect(attempt).toHaveBeenCalledTimes(1);
  },
);

it('does not try again what this program refused itself', async () => {
  const attempt = vi.fn(() => Promise.reject(new PurgeError('CASCADE_GUARD', 'No.')));
  await outcomeOf(withBackOff(attempt, goOn));
  expect(attempt).toHaveBeenCalledTimes(1);
});

it('gives up after a bounded number of tries, with the fault', async () => {
  const attempt = vi.fn(() => Promise.reject(fault('40P01')));
  const startedAt = performance.now();
  const { thrown } = (await outcomeOf(withBackOff(attempt, goOn))) as { thrown: InterruptedRun };
  expect(thrown).toBeInstanceOf(InterruptedRun);
  expect(thrown.fault.sqlState).toBe('40P01');
  expect(attempt).toHaveBeenCalledTimes(6);
  expect(performance.now() - startedAt).toBeLessThan(10_000);
});

it('asks before each new try whether it may go on', async () => {
  const attempt = vi.fn(() => Promise.reject(fault('40P01')));
  const stop = new Error('a stop was asked for');
  const mayGoOn = vi.fn(() => Promise.reject(stop));
  expect(await outcomeOf(withBackOff(attempt, mayGoOn))).toEqual({ thrown: stop });
  expect(attempt).toHaveBeenCalledTimes(1);
});

it.each([
  ['before the timeout, in any language', 900, 'Anweisung wird abgebrochen', true],
  [
    'after it, by somebody, as the server says',
    5_000,
    'canceling statement due to user request',
    true,
  ],
  ['after it, by the timeout', 5_000, 'canceling statement due to statement timeout', false],
  ['after it, for a reason in another language', 5_000, 'Anweisung wird abgebrochen', false],
] as const)('tells a statement cancelled %s', (_, tookMs, message, passes) => {
  const cancelled = readFault(Object.assign(new Error(message), { code: '57014' }));
  expect(passesUnder(1_000)(cancelled, tookMs)).toBe(passes);
});

it('takes no other fault for a cancelled statement', () => {
  expect(passesUnder(1_000)(readFault(fault('23503')), 1)).toBe(false);
  expect(passesUnder(1_000)(readFault(fault('25P04')), 1)).toBe(false);
  expect(passesUnder(1_000)(readFault(fault('40P01')), 9_000)).toBe(true);
});
