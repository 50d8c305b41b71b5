import type { ConfigInput } from '../../src/config/schema.ts';
import type { CampaignId } from '../../src/domain/ids.ts';
import { carryOutCommand } from '../../src/queue/commands.ts';
import type { Actor } from '../../src/runtime/actor.ts';
import { enqueue, environmentOf, type Place, prepare, withActor } from './campaign.ts';
import { startFleet } from './fleet.ts';
import { median, round } from './measure.ts';
import { count, say } from './progress.ts';
import type { Servers } from './servers.ts';
import { createTenants, fillTenants, STOP_CONFIG, TENANTS, tenantId } from './stop-application.ts';

const ROUNDS = 5;
const PROCESSES = 2;
const SLOTS = TENANTS / PROCESSES;
/** Every purge has committed so many batches before it is stopped: it is at work. */
const BATCHES_FIRST = 1;
const RUNNING_MAX_MS = 60_000;
/** Batches are looked for so many batch targets after the stop has returned. */
const TARGETS_WATCHED = 4;
const LATENCY_OVER_TARGET_MAX = 2;
const LOOK_EVERY_MS = 20;

/** What `pause --all` costs while eight purges run; there is no plain way to compare it with. */
export interface StopReport {
  readonly kind: 'stop';
  readonly purges: number;
  readonly rounds: number;
  readonly targetMs: number;
  readonly wantedMs: number;
  /** From the call to its return, in milliseconds. */
  readonly medianMs: number;
  readonly maxMs: number;
  readonly roundsMs: readonly number[];
  /** Committed after the stop had returned, all rounds together. */
  readonly batchesAfter: number;
  readonly met: boolean;
}

/**
 * Eight purges of eight tenants in two worker processes; `pause --all` in mid-run, five times. The
 * latency is the command's own, until no batch is in flight; waiting for `paused` is not part of it.
 */
export async function benchStop(
  servers: Servers,
  options: { readonly scale: number; readonly targetMs?: number },
): Promise<StopReport> {
  const config: ConfigInput = {
    ...STOP_CONFIG,
    ...(options.targetMs === undefined ? {} : { batch: { targetMs: options.targetMs } }),
    worker: { slots: SLOTS },
  };
  say('stop: filling the template');
  const template = await servers.template(async (url) => {
    await createTenants(url);
    await fillTenants(url, options.scale);
  });
  const rounds: Stop[] = [];
  try {
    for (let each = 1; each <= ROUNDS; each += 1) {
      // Eight purges are through in seconds: data of its own for each round.
      const stop = await template.withCopy((databaseUrl) =>
        servers.withEmptyRedis(() => runRound({ databaseUrl, redisUrl: servers.redisUrl }, config)),
      );
      say(`stop ${each}: ${stop.latencyMs} ms, ${stop.after} batches after`);
      rounds.push(stop);
    }
  } finally {
    await template.drop();
  }
  return reportOf(rounds);
}

interface Stop {
  readonly targetMs: number;
  readonly latencyMs: number;
  readonly after: number;
}

function reportOf(rounds: readonly Stop[]): StopReport {
  const roundsMs = rounds.map(({ latencyMs }) => latencyMs);
  const targetMs = rounds[0]?.targetMs ?? 0;
  const wantedMs = LATENCY_OVER_TARGET_MAX * targetMs;
  const maxMs = Math.max(...roundsMs);
  const batchesAfter = rounds.reduce((sum, { after }) => sum + after, 0);
  return {
    kind: 'stop',
    purges: TENANTS,
    rounds: rounds.length,
    targetMs,
    wantedMs,
    medianMs: round(median(roundsMs), 1),
    maxMs,
    roundsMs,
    batchesAfter,
    met: maxMs <= wantedMs && batchesAfter === 0,
  };
}

async function runRound(place: Place, config: ConfigInput): Promise<Stop> {
  return withActor(place, config, async (actor) => {
    const { targetMs } = actor.config.batch;
    const ids = Array.from({ length: TENANTS }, (_, index) => tenantId(index));
    const prepared = await prepare(actor, { kind: 'tenants', ids });
    const fleet = await startFleet({ processes: PROCESSES, config, env: environmentOf(place) });
    try {
      const { campaignId } = await enqueue(actor, prepared);
      await untilAllRun(actor, campaignId);
      return { targetMs, ...(await stopOnce(actor, targetMs)) };
    } finally {
      await fleet.stop();
    }
  });
}

async function stopOnce(
  actor: Actor,
  targetMs: number,
): Promise<{ readonly latencyMs: number; readonly after: number }> {
  const startedAt = performance.now();
  const { drained } = await carryOutCommand(actor.reconcile, 'pause', {
    selection: { kind: 'live' },
    fleet: true,
    operator: 'benchmark',
    waitMs: 0,
  });
  const latencyMs = round(performance.now() - startedAt, 1);
  if (!drained) throw new Error('The stop returned without having waited for every batch.');
  const returnedAt = new Date();
  const before = await countBatches(actor);
  await new Promise((resolve) => setTimeout(resolve, TARGETS_WATCHED * targetMs));
  const later = (await countBatches(actor)) - before;
  // Between the return and the first count as well: by the clock, which is this machine's too.
  return { latencyMs, after: Math.max(later, await countBatches(actor, returnedAt)) };
}

async function countBatches(actor: Actor, since = new Date(0)): Promise<number> {
  const { rows } = await actor.database.pool.query(
    'select count(*)::int as batches from tenant_purge.batch where at > $1',
    [since],
  );
  return rows[0].batches;
}

/** @throws Error when a purge has ended: the tenants are too small */
async function untilAllRun(actor: Actor, campaignId: CampaignId): Promise<void> {
  const giveUpAt = performance.now() + RUNNING_MAX_MS;
  for (;;) {
    const { rows } = await actor.database.pool.query(
      `select count(*) filter (where p.status = 'running' and b.batches >= $2)::int as working,
         count(*) filter (where p.ended_at is not null or p.stage not in ('preflight', 'quiesce', 'dependents', 'core', 'tenant'))::int as over,
         string_agg(distinct p.status || ' in ' || p.stage || coalesce(': ' || (p.error ->> 'message'), ''), '; ') as ended
       from tenant_purge.purge p,
         lateral (select count(*) as batches from tenant_purge.batch b
                  where b.purge_id = p.id and b.fence = p.fence) b
       where p.campaign_id = $1`,
      [campaignId, BATCHES_FIRST],
    );
    const { working, over, ended } = rows[0];
    if (working === TENANTS) return;
    if (over > 0) {
      throw new Error(
        `${over} of ${TENANTS} purges are over before all run (${ended}): raise --scale.`,
      );
    }
    if (performance.now() > giveUpAt) {
      throw new Error(
        `Only ${working} of ${TENANTS} purges run after ${RUNNING_MAX_MS / 1_000} s.`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** For people; a line without the last newline. */
export const describeStopReport = (report: StopReport): string =>
  `stop: pause --all with ${report.purges} purges running returns in ${report.medianMs} ms ` +
  `(median of ${report.rounds}, max ${report.maxMs}; wanted ≤ ${report.wantedMs}), ` +
  `${count(report.batchesAfter)} batches after it (wanted 0): ${report.met ? 'met' : 'MISSED'}`;
