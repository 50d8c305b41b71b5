import type { FleetControl, PendingStop } from '../../../src/postgres/ledger/commands.ts';

/** A stop that is not yet so, for people: who holds it, since when, doing what. */
export function describePending(stop: PendingStop, lockMs: number): string[] {
  const asked =
    stop.askedBy === null || stop.askedAt === null
      ? []
      : [`asked by ${stop.askedBy} at ${timeOf(stop.askedAt)}`];
  return [...asked, whatItWaitsFor(stop, lockMs)];
}

function whatItWaitsFor(stop: PendingStop, lockMs: number): string {
  const { worker, level, levelStop } = stop;
  if (levelStop !== null) {
    const verb = levelStop === 'pause' ? 'pauses' : 'is cancelled';
    const end = `${verb} at the end of level ${level}`;
    return stop.status === 'running' ? `${end}, held by ${worker}` : `${end}, once a worker has it`;
  }
  if (worker === null) return 'nobody holds it: it is settled at the next look';
  const since = stop.claimedAt === null ? '' : ` since ${timeOf(stop.claimedAt)}`;
  const holder = `held by ${worker}${since}, ${level === null ? `in stage ${stop.stage}` : `in level ${level}`}`;
  if (stop.batchOpenMs !== null) {
    return `${holder}; its batch has been open for ${seconds(stop.batchOpenMs)}`;
  }
  if (stop.silentMs !== null && stop.silentMs >= lockMs) {
    return `${holder}; silent for ${seconds(stop.silentMs)}, so it is settled without it`;
  }
  const silent = stop.silentMs === null ? '' : `; silent for ${seconds(stop.silentMs)}`;
  return `${holder}; no batch of it is in flight${silent}, settled without it after ${seconds(lockMs)}`;
}

/** Who stopped the fleet and when, as the end of a sentence. */
export function describeStopper({ changedBy, changedAt }: FleetControl): string {
  const who = changedBy === null ? '' : ` by ${changedBy}`;
  return changedAt === null ? who : `${who} since ${timeOf(changedAt)}`;
}

const timeOf = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`;

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
