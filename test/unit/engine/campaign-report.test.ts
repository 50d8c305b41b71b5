import { describe, expect, it } from 'vitest';
import type { PurgeStatus } from '../../../src/domain/purge.ts';
import { exitCodeOfStatuses } from '../../../src/engine/campaign/campaign-report.ts';

describe('the exit code of a campaign', () => {
  const cases: readonly (readonly [number, readonly PurgeStatus[]])[] = [
    [0, []],
    [0, ['completed', 'completed']],
    [5, ['completed', 'cancelled']],
    [4, ['cancelled', 'incomplete']],
    [3, ['incomplete', 'refused', 'cancelled']],
    [1, ['completed', 'failed', 'refused', 'incomplete', 'cancelled']],
  ];
  it.each(cases)('is %i for %j: the worst purge decides', (exitCode, statuses) => {
    expect(exitCodeOfStatuses(statuses)).toBe(exitCode);
  });
});
