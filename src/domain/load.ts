import type { PurgeId } from './ids.ts';

/** What the load probe saw of the server at one moment. */
export interface LoadReadings {
  /** `lagMs` null: the server does not tell this role. */
  readonly replicas: readonly { readonly name: string; readonly lagMs: number | null }[];
  readonly slots: readonly { readonly name: string; readonly walBytes: number }[];
  /** Sessions of others that wait for a lock behind this program, or on a table it deletes from. */
  readonly lockWaiters: number;
  /** The oldest transaction of another session that keeps dead rows from being removed. */
  readonly oldestTransaction: {
    readonly pid: number;
    readonly application: string;
    readonly ageMs: number;
  } | null;
  /** Tables with autovacuum, of those that were asked for. `vacuumAtRows`: where it is due. */
  readonly tables: readonly {
    readonly table: string;
    readonly deadRows: number;
    readonly vacuumAtRows: number;
  }[];
}

/** What an operator may change in mid-run. Absent: not changed. Null never stands here. */
export interface Knobs {
  readonly targetMs?: number;
  readonly maxRows?: number;
  /** 0: no cap, also where the fleet or the configuration has one. */
  readonly maxRowsPerSec?: number;
}

/** Knobs as the ledger holds them. */
export interface Tuning {
  readonly fleet: Knobs;
  readonly purges: ReadonlyMap<PurgeId, Knobs>;
}

/** Why a purge does not delete now, as its holder last said. */
export interface Holding {
  readonly reasons: readonly string[];
  readonly since: Date;
}
