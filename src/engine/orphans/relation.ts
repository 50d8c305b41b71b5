import type { CampaignRecord } from '../../domain/records.ts';
import type { OrphanRun } from '../../postgres/ledger/orphan-runs.ts';
import type { Whereabouts } from '../identity-check.ts';

/** What is known of the places that this ledger has worked at. */
export interface RelationFacts {
  readonly here: Whereabouts;
  /** The identity planted in this Redis; null where it has none. */
  readonly marker: string | null;
  /** The latest. */
  readonly campaign: Pick<
    CampaignRecord,
    'environment' | 'databaseIdentity' | 'redisIdentity' | 'redisEndpoint'
  > | null;
  /** Newest first. */
  readonly runs: readonly Pick<OrphanRun, 'databaseIdentity' | 'redisIdentity' | 'redisEndpoint'>[];
}

/**
 * Why this database and this Redis may not belong together, each the clause of a sentence: beside the
 * Redis of another environment, every tenant that only that one has looks like one that is no more. Empty
 * where nothing speaks against it. Pure.
 */
export function findStrangeness({ here, marker, campaign, runs }: RelationFacts): string[] {
  const found: string[] = [];
  if (campaign !== null && campaign.environment !== here.environment) {
    found.push(
      `ENVIRONMENT is ${here.environment}, and the latest campaign ran in ${campaign.environment}`,
    );
  }
  // A copy may have runs only, or a campaign of its own beside the runs that came with it.
  const latest = [campaign, runs[0] ?? null].filter((one) => one !== null);
  if (latest.some(({ databaseIdentity }) => databaseIdentity !== here.databaseIdentity)) {
    found.push('the ledger came with a copy of another database');
  }
  const known = [...(campaign === null ? [] : [campaign]), ...runs];
  if (marker === null) {
    // One that was flushed has lost its marker; it stands where it stood.
    const isKnown = known.some(({ redisEndpoint }) => redisEndpoint === here.redisEndpoint);
    if (known.length > 0 && !isKnown) {
      found.push('the Redis has no identity marker and is not where the ledger knows one');
    }
  } else if (!known.some(({ redisIdentity }) => redisIdentity === marker)) {
    found.push('the Redis bears an identity marker that this ledger does not know');
  }
  return found;
}
