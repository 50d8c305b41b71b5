import { PurgeError } from '../../domain/errors.ts';
import { asCampaignId, asPurgeId, isUuid } from '../../domain/ids.ts';
import type { CampaignRecord, PurgeRecord } from '../../domain/records.ts';
import type { CampaignStore } from '../../postgres/ledger/campaigns.ts';
import type { PurgeStore } from '../../postgres/ledger/purges.ts';

/** What an operator means by one word on the command line. */
export type Target =
  | { readonly kind: 'campaign'; readonly campaign: CampaignRecord }
  | { readonly kind: 'purge'; readonly purge: PurgeRecord };

/**
 * A campaign's id, a purge's id, or a tenant's id, in this order; a tenant stands for its newest
 * purge. Reads only.
 * @throws PurgeError NOT_FOUND
 */
export async function findTarget(
  stores: { readonly campaigns: CampaignStore; readonly purges: PurgeStore },
  word: string,
): Promise<Target> {
  const uuid = word.toLowerCase();
  if (isUuid(uuid)) {
    const campaign = await stores.campaigns.find(asCampaignId(uuid));
    if (campaign !== null) return { kind: 'campaign', campaign };
    const [purge] = await stores.purges.select({ kind: 'purge', id: asPurgeId(uuid) });
    if (purge !== undefined) return { kind: 'purge', purge };
  }
  const newest = (await stores.purges.select({ kind: 'tenant', id: word })).at(-1);
  if (newest !== undefined) return { kind: 'purge', purge: newest };
  throw notFound(word);
}

/** No ledger, or nothing of that name in it. */
export const notFound = (word: string): PurgeError =>
  new PurgeError('NOT_FOUND', `The ledger knows no campaign, purge or tenant ${word}.`, {
    details: { target: word },
  });
