import { PurgeError } from '../domain/errors.ts';
import type { CampaignRecord } from '../domain/records.ts';

/** Where this process stands, in the same words as the campaign's record. */
export interface Whereabouts {
  readonly environment: string;
  readonly databaseIdentity: string;
  readonly redisEndpoint: string;
}

const FRESH_MS = 1_000;

/**
 * Compares a campaign with the place where it is about to run. Staging once shared its ids with
 * production; a campaign made for one must not run in the other.
 */
export class IdentityCheck {
  readonly #here: Whereabouts;
  readonly #readMarker: () => Promise<string | null>;
  readonly #plantMarker: (marker: string) => Promise<string>;
  #seen: { readonly at: number; readonly marker: string | null } | null = null;

  /**
   * @param readMarker the identity marker in the application's Redis, null where there is none
   * @param plantMarker sets it if there is none, and gives what is there then
   */
  constructor(
    here: Whereabouts,
    readMarker: () => Promise<string | null>,
    plantMarker: (marker: string) => Promise<string>,
  ) {
    this.#here = here;
    this.#readMarker = readMarker;
    this.#plantMarker = plantMarker;
  }

  /** @throws PurgeError IDENTITY_MISMATCH, with every difference */
  async check(campaign: CampaignRecord): Promise<void> {
    const differences: string[] = [];
    if (campaign.environment !== this.#here.environment) {
      differences.push(`ENVIRONMENT is ${this.#here.environment}, not ${campaign.environment}`);
    }
    if (campaign.databaseIdentity !== this.#here.databaseIdentity) {
      differences.push('the database is another one');
    }
    const marker = await this.#marker(campaign);
    if (marker !== campaign.redisIdentity) {
      differences.push(
        marker === null
          ? 'the Redis has no identity marker and stands elsewhere'
          : 'the Redis is another one',
      );
    }
    if (differences.length === 0) return;
    throw new PurgeError(
      'IDENTITY_MISMATCH',
      `Campaign ${campaign.id} was made for another place: ${differences.join('; ')}.`,
      { details: { campaignId: campaign.id, differences } },
    );
  }

  /** A flushed Redis at the same address has lost its marker and gets it back. */
  async #marker(campaign: CampaignRecord): Promise<string | null> {
    const now = performance.now();
    if (this.#seen !== null && this.#seen.marker !== null && now - this.#seen.at < FRESH_MS) {
      return this.#seen.marker;
    }
    let marker = await this.#readMarker();
    if (marker === null && campaign.redisEndpoint === this.#here.redisEndpoint) {
      marker = await this.#plantMarker(campaign.redisIdentity);
    }
    this.#seen = { at: now, marker };
    return marker;
  }
}
