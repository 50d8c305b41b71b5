import { Draw } from '../draw.ts';
import type { Stage } from '../stage.ts';
import type { FaultKind } from './kinds.ts';
import { cancelCampaign, cancelOne, pauseAll, pauseOne, stormOfPauses } from './operator-faults.ts';
import {
  dieAtFailpoint,
  fillLog,
  freezeWorker,
  killAll,
  killWorker,
  reconcileInCrowds,
  shutDownWorker,
} from './process-faults.ts';
import {
  crashPostgres,
  crashRedis,
  cutPostgres,
  cutRedis,
  endSessions,
  flushRedis,
  hangRedis,
  refuseRedis,
  strandPostgres,
  swallowPostgres,
  swallowRedis,
} from './server-faults.ts';
import { writeRows } from './writers.ts';

type Fault = (stage: Stage, draw: Draw) => Promise<void>;

const DEEDS: Record<FaultKind, Fault> = {
  kill: killWorker,
  'kill-all': killAll,
  failpoint: dieAtFailpoint,
  freeze: freezeWorker,
  shutdown: shutDownWorker,
  'postgres-crash': crashPostgres,
  'postgres-end-sessions': endSessions,
  'postgres-cut': cutPostgres,
  'postgres-swallow': swallowPostgres,
  'postgres-strand': strandPostgres,
  'redis-flush': flushRedis,
  'redis-crash': crashRedis,
  'redis-away': refuseRedis,
  'redis-hang': hangRedis,
  'redis-cut': cutRedis,
  'redis-swallow': swallowRedis,
  reconcilers: reconcileInCrowds,
  // The workers were started so.
  'clocks-apart': () => Promise.resolve(),
  'log-full': fillLog,
  writers: writeRows,
  'pause-one': pauseOne,
  'pause-all': pauseAll,
  'pause-storm': stormOfPauses,
  cancel: cancelOne,
  'cancel-campaign': cancelCampaign,
};

/**
 * Does the fault, to its end: whatever it took away is back when it returns.
 * @throws Error where an operator was never answered, or a server did not come back
 */
export const inject = (kind: FaultKind, stage: Stage, seed: number): Promise<void> =>
  DEEDS[kind](stage, new Draw(seed));
