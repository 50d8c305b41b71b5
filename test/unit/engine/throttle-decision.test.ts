import { describe, expect, it } from 'vitest';
import type { LoadReadings } from '../../../src/domain/load.ts';
import { parseMaintenanceWindow } from '../../../src/domain/maintenance-window.ts';
import { effectiveKnobs } from '../../../src/engine/throttle.ts';
import {
  decide,
  type ThrottleLimits,
  type ThrottleView,
} from '../../../src/engine/throttle-decision.ts';

const NONE: ThrottleLimits = {
  replicaLagMsMax: null,
  slotWalMbMax: null,
  lockWaitersMax: null,
  transactionAgeMsMax: null,
  vacuumFactorMax: null,
  windows: [],
};
const IDLE: LoadReadings = {
  replicas: [],
  slots: [],
  lockWaiters: 0,
  oldestTransaction: null,
  tables: [],
};
/** Far above every limit. */
const BUSY: LoadReadings = {
  replicas: [{ name: 'app-2', lagMs: 3_600_000 }],
  slots: [{ name: 'cdc', walBytes: 2 ** 40 }],
  lockWaiters: 50,
  oldestTransaction: { pid: 7, application: 'psql', ageMs: 86_400_000 },
  tables: [{ table: 'public.messages', deadRows: 1e9, vacuumAtRows: 50 }],
};
const view = (changes: Partial<ThrottleView> = {}): ThrottleView => ({
  now: new Date('2026-01-10T12:00:00Z'),
  load: IDLE,
  tables: ['public.messages'],
  paceMs: 0,
  rowsPerSecMax: null,
  ...changes,
});
const reasons = (
  limits: Partial<ThrottleLimits>,
  load: Partial<LoadReadings>,
): readonly string[] => {
  const decision = decide({ ...NONE, ...limits }, view({ load: { ...IDLE, ...load } }));
  return decision.kind === 'go' ? [] : decision.reasons;
};

describe('The throttle', () => {
  it('goes while nothing is above a limit', () => {
    expect(decide(NONE, view())).toEqual({ kind: 'go' });
  });

  it('goes without limits, whatever the load', () => {
    expect(decide(NONE, view({ load: BUSY }))).toEqual({ kind: 'go' });
  });

  it('goes where nothing is known of the load', () => {
    const limits = { ...NONE, replicaLagMsMax: 0, lockWaitersMax: 0 };
    expect(decide(limits, view({ load: null }))).toEqual({ kind: 'go' });
  });

  it.each<[string, Partial<ThrottleLimits>, Partial<LoadReadings>, string | null]>([
    [
      'replica lag',
      { replicaLagMsMax: 10_000 },
      { replicas: [{ name: 'app-2', lagMs: 12_345 }] },
      'replica app-2 lags 12.3 s (limit 10 s)',
    ],
    [
      'replica lag at its limit',
      { replicaLagMsMax: 10_000 },
      { replicas: [{ name: 'app-2', lagMs: 10_000 }] },
      null,
    ],
    [
      'a replica whose lag this role cannot see',
      { replicaLagMsMax: 10_000 },
      { replicas: [{ name: 'pid 12', lagMs: null }] },
      null,
    ],
    [
      'a slot',
      { slotWalMbMax: 10_240 },
      { slots: [{ name: 'cdc', walBytes: 12_000 * 1_048_576 }] },
      'replication slot cdc retains 12,000 MB of WAL (limit 10,240 MB)',
    ],
    [
      'a slot at its limit',
      { slotWalMbMax: 10_240 },
      { slots: [{ name: 'cdc', walBytes: 10_240 * 1_048_576 }] },
      null,
    ],
    [
      'one lock waiter',
      { lockWaitersMax: 0 },
      { lockWaiters: 1 },
      '1 session waits for locks behind the purge (limit 0)',
    ],
    [
      'lock waiters',
      { lockWaitersMax: 2 },
      { lockWaiters: 3 },
      '3 sessions wait for locks behind the purge (limit 2)',
    ],
    ['lock waiters at the limit', { lockWaitersMax: 2 }, { lockWaiters: 2 }, null],
    [
      'an old transaction',
      { transactionAgeMsMax: 3_600_000 },
      { oldestTransaction: { pid: 7, application: 'psql', ageMs: 7_200_000 } },
      'transaction of psql (pid 7) has been open for 7,200 s and keeps dead rows (limit 3,600 s)',
    ],
    [
      'an old prepared transaction',
      { transactionAgeMsMax: 1_000 },
      { oldestTransaction: { pid: 0, application: 'prepared transaction x', ageMs: 2_000 } },
      'prepared transaction x has been open for 2 s and keeps dead rows (limit 1 s)',
    ],
    [
      'autovacuum',
      { vacuumFactorMax: 3 },
      { tables: [{ table: 'public.messages', deadRows: 3_001, vacuumAtRows: 1_000 }] },
      'autovacuum is late on public.messages: 3,001 dead rows (limit 3,000)',
    ],
    [
      'autovacuum of a table that the batch does not touch',
      { vacuumFactorMax: 3 },
      { tables: [{ table: 'public.users', deadRows: 3_001, vacuumAtRows: 1_000 }] },
      null,
    ],
  ])('says why: %s', (_, limits, load, reason) => {
    expect(reasons(limits, load)).toEqual(reason === null ? [] : [reason]);
  });

  it('names every reason at once', () => {
    const limits = {
      replicaLagMsMax: 1,
      slotWalMbMax: 1,
      lockWaitersMax: 0,
      transactionAgeMsMax: 1,
      vacuumFactorMax: 1,
    };
    expect(reasons(limits, BUSY)).toHaveLength(5);
  });

  it('holds outside of all windows, and goes inside one of them', () => {
    const windows = ['22:00-06:00 UTC', '11:30-12:30 UTC'].flatMap(
      (text) => parseMaintenanceWindow(text) ?? [],
    );
    const at = (moment: string) => decide({ ...NONE, windows }, view({ now: new Date(moment) }));
    expect(at('2026-01-10T12:00:00Z')).toEqual({ kind: 'go' });
    expect(at('2026-01-10T13:00:00Z')).toMatchObject({
      kind: 'hold',
      onlyPace: false,
      reasons: ['outside the maintenance window (22:00-06:00 UTC, 11:30-12:30 UTC)'],
    });
  });

  it('holds for the cap as long as the cap says, unless there is another reason', () => {
    const capped = view({ paceMs: 120, rowsPerSecMax: 5_000 });
    expect(decide(NONE, capped)).toEqual({
      kind: 'hold',
      reasons: ['at most 5,000 rows/s'],
      onlyPace: true,
      forMs: 120,
    });
    const busy = { ...capped, load: BUSY };
    expect(decide({ ...NONE, lockWaitersMax: 0 }, busy)).toMatchObject({ onlyPace: false });
  });
});

describe('A knob', () => {
  const configured = { targetMs: 250, maxRows: 200_000, rowsPerSecMax: 1_000 };

  it("is the purge's, else the fleet's, else as configured, each by itself", () => {
    expect(effectiveKnobs({ targetMs: 100 }, { targetMs: 50, maxRows: 10 }, configured)).toEqual({
      targetMs: 100,
      maxRows: 10,
      rowsPerSecMax: 1_000,
    });
  });

  it('takes a cap away where it is 0', () => {
    expect(effectiveKnobs({ maxRowsPerSec: 0 }, { maxRowsPerSec: 5 }, configured)).toMatchObject({
      rowsPerSecMax: null,
    });
  });
});
