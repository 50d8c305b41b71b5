import type { CampaignId, PurgeId } from '../../../src/domain/ids.ts';

/** Where the board's pages are; everything else belongs to Bull Board. */
export const fleetPath = '/fleet';
export const purgePath = (id: PurgeId): string => `/purges/${id}`;
export const campaignPath = (id: CampaignId): string => `/campaigns/${id}`;

export const stylePath = '/control/style.css';
export const livePath = '/control/live.js';
