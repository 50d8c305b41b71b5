import type { Config } from '../config/config.ts';
import { PurgeError } from '../domain/errors.ts';
import { type MaintenanceWindow, parseMaintenanceWindow } from '../domain/maintenance-window.ts';
import type { EngineLog } from '../engine/parts.ts';
import { SharedProbe } from '../engine/shared-probe.ts';
import { Throttle } from '../engine/throttle.ts';
import type { Database } from '../postgres/database.ts';
import { ThrottleStore } from '../postgres/ledger/throttle.ts';
import { probeLoad } from '../postgres/load-probe.ts';

/** The throttle of this process, from its configuration. `clock` is for the maintenance window. */
export function makeThrottle(
  parts: { readonly config: Config; readonly database: Database; readonly log: EngineLog },
  clock: () => Date = () => new Date(),
): Throttle {
  const { config, database, log } = parts;
  const { windows, rowsPerSecMax, ...limits } = config.throttle;
  return new Throttle({
    limits: { ...limits, windows: windows.map(windowOf) },
    knobs: {
      targetMs: config.batch.targetMs,
      maxRows: config.batch.maxRows,
      rowsPerSecMax,
    },
    probe: new SharedProbe(
      { ask: (tables) => probeLoad(database, tables), isOpen: () => !database.pool.ending },
      log,
    ),
    store: new ThrottleStore(database),
    clock,
    log,
  });
}

/** The configuration has been checked; a window that was left out would mean: at any time. */
function windowOf(text: string): MaintenanceWindow {
  const window = parseMaintenanceWindow(text);
  if (window === null) throw new PurgeError('INTERNAL', `"${text}" is no maintenance window.`);
  return window;
}
