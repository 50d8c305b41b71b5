import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import { InterruptedRun, withBackOff } from '../../../src/engine/retry.ts';

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
