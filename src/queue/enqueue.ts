import { randomUUID } from 'node:crypto';
import { asTenantId, type CampaignId, type PurgeId, type TenantId } from '../domain/ids.ts';
import type { PreparedCampaign } from '../engine/campaign/prepare.ts';
import { childrenOf } from '../engine/campaign/tenant-tree.ts';
import type { Whereabouts } from '../engine/identity-check.ts';
import type { EngineLog } from '../engine/parts.ts';
import type { CampaignStore } from '../postgres/ledger/campaigns.ts';
import type { PurgeQueue } from './purge-queue.ts';

export interface EnqueueParts {
  readonly campaigns: CampaignStore;
  readonly queue: PurgeQueue;
  readonly whereabouts: Whereabouts;
  /** Gives the application's Redis an identity unless it has one; gives the one it has. */
  readonly plantRedisIdentity: (id: string) => Promise<string>;
  readonly log: EngineLog;
}

export interface EnqueueOptions {
  /** `user@host`, for the ledger. */
  readonly operator: string;
  readonly allowed: readonly string[];
  /** Tenants that must never go: the keep list, and those the operator spared. */
  readonly kept: readonly string[];
  readonly delayMs: number;
  /** False: what goes is gone; the operator confirmed that. */
  readonly archive: boolean;
}

export interface EnqueuedPurge {
  readonly purgeId: PurgeId;
  readonly tenantId: TenantId;
  readonly tenantLabel: string;
  readonly status: 'queued' | 'scheduled';
  readonly rowsTotal: number;
}

export interface EnqueuedCampaign {
  readonly campaignId: CampaignId;
  readonly purges: readonly EnqueuedPurge[];
  /** False when the queue did not answer: the ledger holds the purges, a reconciler adds their jobs. */
  readonly jobsAdded: boolean;
}

/**
 * Makes exactly the prepared campaign: first the ledger, in one transaction, then one job per purge.
 * A crash between the two is mended by the reconciler. Twice for the same tenants fails the second time.
 * A tenant's purge waits for those of the tenants directly below it, and so for all below.
 * @throws PurgeError TENANT_BUSY when a tenant got a live purge meanwhile; then nothing was enqueued
 */
export async function enqueueCampaign(
  parts: EnqueueParts,
  prepared: PreparedCampaign,
  options: EnqueueOptions,
): Promise<EnqueuedCampaign> {
  const redisIdentity = await parts.plantRedisIdentity(randomUUID());
  const children = childrenOf(prepared.tenants);
  const created = await parts.campaigns.create({
    ...parts.whereabouts,
    redisIdentity,
    operator: options.operator,
    allowed: options.allowed,
    kept: options.kept,
    archive: options.archive,
    before: prepared.counts,
    plan: prepared.plan,
    delayMs: options.delayMs,
    purges: prepared.tenants.map(({ id, label, rows }) => ({
      tenantId: id,
      tenantLabel: label,
      rowsExpected: rows,
      waitsFor: (children.get(id) ?? []).map((child) => child.id),
    })),
  });
  const byId = new Map(prepared.tenants.map((tenant) => [tenant.id, tenant]));
  const purges = created.purges.map(({ purgeId, tenantId }): EnqueuedPurge => {
    const tenant = byId.get(tenantId);
    return {
      purgeId,
      tenantId: asTenantId(tenantId),
      tenantLabel: tenant?.label ?? tenantId,
      status: options.delayMs > 0 ? 'scheduled' : 'queued',
      rowsTotal: tenant?.rowsTotal ?? 0,
    };
  });
  return { campaignId: created.id, purges, jobsAdded: await addJobs(parts, purges, options) };
}

async function addJobs(
  parts: EnqueueParts,
  purges: readonly EnqueuedPurge[],
  options: EnqueueOptions,
): Promise<boolean> {
  try {
    await parts.queue.add(
      purges.map(({ purgeId, tenantLabel, rowsTotal }) => ({
        id: purgeId,
        tenantLabel,
        jobNumber: 1,
        delayMs: options.delayMs,
        rows: rowsTotal,
      })),
    );
    return true;
  } catch (error) {
    parts.log.warn({ err: error }, 'the ledger holds the campaign; a reconciler will add its jobs');
    return false;
  }
}
