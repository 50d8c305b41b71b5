import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LivePlan } from '../../../src/engine/live-plan.ts';
import { plan, table } from '../../support/catalogue.ts';

const onePlan = plan([table('agents', 'id! tenant_id!')], []);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('is read once for all who ask within a second, and afresh after it', async () => {
  const read = vi.fn(() => Promise.resolve(onePlan));
  const live = new LivePlan(read);
  await Promise.all([live.current(), live.current()]);
  vi.advanceTimersByTime(999);
  await live.current();
  expect(read).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1);
  await live.current();
  expect(read).toHaveBeenCalledTimes(2);
});

it('does not remember a read that failed', async () => {
  const read = vi.fn(() => Promise.resolve(onePlan));
  read.mockRejectedValueOnce(new Error('connection terminated'));
  const live = new LivePlan(read);
  await expect(live.current()).rejects.toThrow('connection terminated');
  await expect(live.current()).resolves.toBe(onePlan);
});
