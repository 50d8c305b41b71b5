import type pg from 'pg';
import { parseConfig } from '../../src/config/load.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import type { CampaignId } from '../../src/domain/ids.ts';
import { LIVE_STATUSES } from '../../src/domain/purge.ts';
import { type PreparedCampaign, prepareCampaign } from '../../src/engine/campaign/prepare.ts';
import type { TargetRequest } from '../../src/engine/campaign/targets.ts';
import { readPlan } from '../../src/postgres/read-plan.ts';
import { type EnqueuedCampaign, enqueueCampaign } from '../../src/queue/enqueue.ts';
import { type Actor, composeActor, enqueueParts } from '../../src/runtime/actor.ts';
import { rulesOf } from '../../src/runtime/plan-rules.ts';
import { type PlainStatement, plainStatements } from './plain-delete.ts';

/** Where a benchmark runs, as the product's own processes are told. */
export interface Place {
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

export const environmentOf = (place: Place): Record<string, string> => ({
  DATABASE_URL: place.databaseUrl,
  REDIS_URL: place.redisUrl,
  QUEUE_REDIS_URL: place.redisUrl,
  ENVIRONMENT: 'benchmark',
  LOG_LEVEL: 'info',
});

/** The operator's side of a campaign: composed, ledger migrated, closed at the end. */
export async function withActor<Result>(
  place: Place,
  input: ConfigInput,
  use: (actor: Actor) => Promise<Result>,
): Promise<Result> {
  const config = parseConfig(input, { ...environmentOf(place), LOG_LEVEL: 'warn' }, null);
  const actor = await composeActor(config, { role: 'bench' });
  try {
    return await use(actor);
  } finally {
    await actor.close();
  }
}

/** Counts and plans; @throws Error where the benchmark's own schema or targets are refused */
export async function prepare(actor: Actor, request: TargetRequest): Promise<PreparedCampaign> {
  const prepared = await prepareCampaign(actor.prepare, request);
  const blocking = prepared.hazards.filter((hazard) => hazard.severity === 'blocks');
  const problems = [...blocking, ...prepared.refused].map(({ message }) => message);
  if (problems.length > 0) throw new Error(`The campaign is refused: ${problems.join('; ')}`);
  return prepared;
}

/** @param archive whether its rows are archived, in the actor's `archive.dir` */
export async function enqueue(
  actor: Actor,
  prepared: PreparedCampaign,
  archive = false,
): Promise<EnqueuedCampaign> {
  return enqueueCampaign(enqueueParts(actor), prepared, {
    operator: 'benchmark',
    allowed: [],
    kept: actor.config.keep,
    delayMs: 0,
    archive,
  });
}

const LOOK_EVERY_MS = 250;
const CAMPAIGN_MAX_MS = 15 * 60_000;

/** Waits until no purge is live. @throws Error unless every one is completed */
export async function waitUntilCompleted(actor: Actor, campaignId: CampaignId): Promise<void> {
  const giveUpAt = performance.now() + CAMPAIGN_MAX_MS;
  const selection = { kind: 'campaign', id: campaignId } as const;
  for (;;) {
    const counts = await actor.purges.countByStatus(selection);
    const live = counts.filter(({ status }) => LIVE_STATUSES.includes(status));
    if (live.length === 0) break;
    if (performance.now() > giveUpAt) {
      throw new Error(`The campaign has not ended after ${CAMPAIGN_MAX_MS / 60_000} minutes.`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  const purges = await actor.purges.select(selection);
  const bad = purges.filter(({ status }) => status !== 'completed');
  if (bad.length === 0) return;
  const [first] = bad;
  throw new Error(
    `${bad.length} of ${purges.length} purges did not complete; the first is ${first?.status}: ` +
      (first?.error?.message ?? 'without an error'),
  );
}

/** The plain way's statements for the database as it is. */
export async function readPlainStatements(
  client: pg.Client,
  input: ConfigInput,
  place: Place,
): Promise<PlainStatement[]> {
  const config = parseConfig(input, environmentOf(place), null);
  return plainStatements(await readPlan(client, rulesOf(config)));
}
