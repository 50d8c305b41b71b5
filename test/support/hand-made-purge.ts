import { asCampaignId, asPurgeId, asWorkerId } from '../../src/domain/ids.ts';
import type {
  ComponentStep,
  DeleteStep,
  Plan,
  PlanLevel,
  PlanStep,
} from '../../src/domain/plan.ts';
import type { PurgeRecord } from '../../src/domain/records.ts';
import { type Failpoint, noFailpoint } from '../../src/engine/failpoints.ts';
import type { Run } from '../../src/engine/parts.ts';
import { ProgressMeter } from '../../src/engine/progress.ts';
import { deleteLevels } from '../../src/engine/stages/levels.ts';
import { purgeAtOnce } from '../../src/engine/stages/small-purge.ts';
import { planOf } from './hand-made-plan.ts';
import { makeControl, type PurgeWorld } from './purge-world.ts';

/** Both ways in which rows go. */
export const WAYS = ['in one transaction', 'by batches'] as const;
export type PurgeWay = (typeof WAYS)[number];

/** The deletes of a circle, in one statement or, with keys to defer, table by table. */
export const atOnce = (
  deletes: readonly [DeleteStep, ...DeleteStep[]],
  deferredKeys: readonly string[] = [],
): ComponentStep => ({
  kind: 'component',
  table: deletes[0].table,
  way: deferredKeys.length === 0 ? 'one-statement' : 'deferred',
  deletes,
  deferredKeys,
});

/** A plan of one level for each list of steps, in this order. */
export const inLevels = (...levels: readonly (readonly PlanStep[])[]): Plan =>
  planOf(
    levels.map(
      (steps, index): PlanLevel => ({ name: `level ${index + 1}`, stage: 'dependents', steps }),
    ),
    [],
  );

/** A purge in the ledger, with nothing said about its plan. */
export async function addPurge(world: PurgeWorld, tenantId: string): Promise<PurgeRecord> {
  await world.pool.query(
    `insert into tenant_purge.plan (fingerprint, plan) values ('hand-made', '{}') on conflict do nothing`,
  );
  const { rows } = await world.pool.query(
    `with c as (
       insert into tenant_purge.campaign (operator, environment, database_identity, redis_identity,
         redis_endpoint, plan_fingerprint, allowed, kept, archive, before)
       values ('test', 'test', '', '', '', 'hand-made', '{}', '{}', false, '{}') returning id)
     insert into tenant_purge.purge (campaign_id, tenant_table, tenant_id, tenant_label, status)
     select id, 'public.tenants', $1, $1, 'queued' from c returning id`,
    [tenantId],
  );
  return world.find(asPurgeId(rows[0].id));
}

/** Claims the purge and walks the plan's levels once; errors rise as the stages throw them. */
export async function carryOut(
  world: PurgeWorld,
  purge: PurgeRecord,
  plan: Plan,
  options: { readonly way: PurgeWay; readonly failpoint?: Failpoint },
): Promise<void> {
  const parts = world.engine(options.failpoint ?? noFailpoint);
  const control = makeControl();
  const claim = await parts.purges.claim(purge.id, asWorkerId('test:1'));
  if (claim.kind !== 'claimed') throw new Error(`the purge is ${claim.kind}`);
  const run: Run = {
    parts: { ...parts, sweeper: null },
    control,
    archive: null,
    purge: claim.purge,
    fence: claim.fence,
    campaign: {
      id: asCampaignId(purge.campaignId),
      createdAt: new Date(),
      operator: 'test',
      environment: 'test',
      databaseIdentity: '',
      redisIdentity: '',
      redisEndpoint: '',
      planFingerprint: plan.fingerprint,
      allowed: [],
      kept: [],
      archive: false,
      before: {
        tenants: 0,
        testTenants: null,
        core: {},
        redisKeys: 0,
        keptRows: {},
        doomedCore: {},
        doomedTestTenants: null,
      },
    },
    plan,
  };
  const meter = new ProgressMeter(control, { rowsDeleted: 0, rowsTotal: 0, fence: 1 });
  if (options.way === 'by batches') return deleteLevels(run, meter);
  if (!(await purgeAtOnce(run, meter))) throw new Error('too slow for one transaction');
}
