import type { LoadReadings } from '../domain/load.ts';
import { isOpen, type MaintenanceWindow } from '../domain/maintenance-window.ts';

/** When a purge holds before a batch. Null: not looked at. */
export interface ThrottleLimits {
  readonly replicaLagMsMax: number | null;
  /** WAL that one replication slot keeps. */
  readonly slotWalMbMax: number | null;
  readonly lockWaitersMax: number | null;
  readonly transactionAgeMsMax: number | null;
  /** Dead rows of a table, as a multiple of where autovacuum is due. */
  readonly vacuumFactorMax: number | null;
  /** None: at any time. */
  readonly windows: readonly MaintenanceWindow[];
}

/** What a decision is made from. */
export interface ThrottleView {
  readonly now: Date;
  /** Null where the probe has no answer: only the clock and the pace count then. */
  readonly load: LoadReadings | null;
  /** Tables of the next batch. */
  readonly tables: readonly string[];
  /** Until the cap on rows per second allows the next batch. */
  readonly paceMs: number;
  readonly rowsPerSecMax: number | null;
}

export type ThrottleDecision =
  | { readonly kind: 'go' }
  /** `onlyPace`: nothing but the cap on rows per second, for `forMs`. */
  | {
      readonly kind: 'hold';
      readonly reasons: readonly string[];
      readonly onlyPace: boolean;
      readonly forMs: number | null;
    };

/** Whether the next batch may start, or every reason why not, in words with the limit. Pure. */
export function decide(limits: ThrottleLimits, view: ThrottleView): ThrottleDecision {
  const reasons = [
    ...closedWindow(limits.windows, view.now),
    ...(view.load === null ? [] : overLimits(limits, view.load, view.tables)),
  ];
  if (reasons.length > 0) return { kind: 'hold', reasons, onlyPace: false, forMs: null };
  if (view.paceMs <= 0 || view.rowsPerSecMax === null) return { kind: 'go' };
  return {
    kind: 'hold',
    reasons: [`at most ${count(view.rowsPerSecMax)} rows/s`],
    onlyPace: true,
    forMs: view.paceMs,
  };
}

function closedWindow(windows: readonly MaintenanceWindow[], now: Date): string[] {
  if (windows.length === 0 || windows.some((window) => isOpen(window, now))) return [];
  return [`outside the maintenance window (${windows.map(({ text }) => text).join(', ')})`];
}

function overLimits(
  limits: ThrottleLimits,
  load: LoadReadings,
  tables: readonly string[],
): string[] {
  const {
    replicaLagMsMax: lagMax,
    slotWalMbMax: walMax,
    lockWaitersMax: waitersMax,
    transactionAgeMsMax: ageMax,
    vacuumFactorMax: factorMax,
  } = limits;
  const reasons: string[] = [];
  if (lagMax !== null) {
    for (const { name, lagMs } of load.replicas) {
      if (lagMs === null || lagMs <= lagMax) continue;
      reasons.push(`replica ${name} lags ${seconds(lagMs)} (limit ${seconds(lagMax)})`);
    }
  }
  if (walMax !== null) {
    for (const { name, walBytes } of load.slots) {
      if (walBytes <= walMax * MB) continue;
      const found = count(Math.floor(walBytes / MB));
      reasons.push(
        `replication slot ${name} retains ${found} MB of WAL (limit ${count(walMax)} MB)`,
      );
    }
  }
  if (waitersMax !== null && load.lockWaiters > waitersMax) {
    const sessions =
      load.lockWaiters === 1 ? '1 session waits' : `${load.lockWaiters} sessions wait`;
    reasons.push(`${sessions} for locks behind the purge (limit ${waitersMax})`);
  }
  const oldest = load.oldestTransaction;
  if (ageMax !== null && oldest !== null && oldest.ageMs > ageMax) {
    const who =
      oldest.pid === 0
        ? oldest.application
        : `transaction of ${oldest.application} (pid ${oldest.pid})`;
    reasons.push(
      `${who} has been open for ${seconds(oldest.ageMs)} and keeps dead rows (limit ${seconds(ageMax)})`,
    );
  }
  if (factorMax !== null) {
    for (const { table, deadRows, vacuumAtRows } of load.tables) {
      if (!tables.includes(table) || deadRows <= vacuumAtRows * factorMax) continue;
      const limit = count(Math.floor(vacuumAtRows * factorMax));
      reasons.push(`autovacuum is late on ${table}: ${count(deadRows)} dead rows (limit ${limit})`);
    }
  }
  return reasons;
}

const MB = 1_048_576;
const seconds = (ms: number): string => `${count(Math.round(ms / 100) / 10)} s`;
const count = (value: number): string => value.toLocaleString('en-US');
