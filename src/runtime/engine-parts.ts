import { asWorkerId } from '../domain/ids.ts';
import { KeepList } from '../domain/keep-list.ts';
import { makeSweepArchiving } from '../engine/archive/sweep-archive.ts';
import { type Failpoint, noFailpoint } from '../engine/failpoints.ts';
import { IdentityCheck } from '../engine/identity-check.ts';
import type { LivePlan } from '../engine/live-plan.ts';
import type { EngineParts } from '../engine/parts.ts';
import { Sweeper } from '../engine/sweeper.ts';
import { SweepStore, type SweptPurge } from '../postgres/ledger/sweeps.ts';
import { QuiesceStore } from '../postgres/quiesce-store.ts';
import { RowStore } from '../postgres/rows/row-store.ts';
import { plantRedisIdentity, readRedisIdentity } from '../redis/identity.ts';
import type { Actor } from './actor.ts';
import { livePlanOf } from './live-plan.ts';
import { processIdentity } from './process-identity.ts';
import { makeThrottle } from './throttle.ts';

/**
 * What the engine needs to run purges, from the parts of a worker's process.
 * @param onSwept wakes the jobs of purges whose keys are gone
 */
export function engineParts(
  actor: Actor,
  onSwept: (purges: readonly SweptPurge[]) => Promise<void>,
  failpoint: Failpoint = noFailpoint,
): EngineParts {
  const { config } = actor;
  const livePlan = livePlanOf(actor.database, actor.rules);
  return {
    purges: actor.purges,
    campaigns: actor.campaigns,
    rows: new RowStore(actor.database, {
      beforeCommit: () => failpoint('before-commit'),
      archiveWritten: () => failpoint('archive-written'),
    }),
    archive: actor.archive,
    reader: actor.reader,
    livePlan,
    identity: new IdentityCheck(
      actor.whereabouts,
      () => readRedisIdentity(actor.redis),
      (marker) => plantRedisIdentity(actor.redis, marker),
    ),
    sweeper: makeSweeper(actor, livePlan, onSwept, failpoint),
    quiesce: new QuiesceStore(actor.database),
    keep: new KeepList(config.keep),
    limits: config.batch,
    throttle: makeThrottle(actor),
    failpoint,
    log: actor.log,
  };
}

/** A holder of the sweep that is silent for longer is taken to be dead. */
const SWEEP_LEASE_MS = 15_000;

function makeSweeper(
  { config, keyspace, database, archive, reader, log }: Actor,
  livePlan: LivePlan,
  onSwept: (purges: readonly SweptPurge[]) => Promise<void>,
  failpoint: Failpoint,
): Sweeper | null {
  if (keyspace === null) return null;
  return new Sweeper(
    {
      sweeps: new SweepStore(database),
      keyspace,
      holder: asWorkerId(processIdentity()),
      leaseMs: Math.min(SWEEP_LEASE_MS, config.worker.lockMs),
      failpoint,
      archive: makeSweepArchiving(archive),
      tenantsWithRows: async (tenantIds) =>
        reader.tenantsWithRows(await livePlan.current(), tenantIds),
    },
    onSwept,
    log,
  );
}
