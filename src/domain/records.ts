import type { ErrorReport } from './errors.ts';
import type { CampaignId, Epoch, Fingerprint, PurgeId, TenantId } from './ids.ts';
import type { PurgeStatus, Stage } from './purge.ts';
import type { Residue } from './report.ts';

/** One purge as the ledger holds it. */
export interface PurgeRecord {
  readonly id: PurgeId;
  readonly campaignId: CampaignId;
  readonly tenantTable: string;
  readonly tenantId: TenantId;
  readonly tenantLabel: string;
  readonly status: PurgeStatus;
  readonly stage: Stage;
  readonly level: string | null;
  readonly fence: Epoch;
  readonly worker: string | null;
  readonly jobNumber: number;
  readonly parked: boolean;
  readonly dueAt: Date;
  readonly interruptions: number;
  /** Rows per table when it was enqueued. */
  readonly rowsExpected: Readonly<Record<string, number>>;
  readonly rowsTotal: number;
  readonly rowsDeleted: number;
  /** Purges of tenants directly below, which must be completed before it begins. */
  readonly waitsFor: readonly PurgeId[];
  readonly redisWaitingSince: Date | null;
  readonly swept: boolean;
  readonly redisKeysDeleted: number;
  readonly redisResidue: number;
  readonly residue: readonly Residue[];
  readonly error: ErrorReport | null;
  readonly createdAt: Date;
  readonly claimedAt: Date | null;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
}

/** One campaign as the ledger holds it: what its purges are bound to. */
export interface CampaignRecord {
  readonly id: CampaignId;
  readonly createdAt: Date;
  readonly operator: string;
  readonly environment: string;
  readonly databaseIdentity: string;
  readonly redisIdentity: string;
  readonly redisEndpoint: string;
  readonly planFingerprint: Fingerprint;
  readonly allowed: readonly string[];
  readonly kept: readonly string[];
  readonly archive: boolean;
  readonly before: CampaignCounts;
}

/** Figures of the expected-results table, taken when a campaign is enqueued and again for its report. */
export interface CampaignCounts {
  readonly tenants: number;
  readonly testTenants: number | null;
  /** Rows per core table. */
  readonly core: Readonly<Record<string, number>>;
  /** Redis keys of the campaign's tenants. */
  readonly redisKeys: number;
  /** Rows of each kept tenant, all tables of the plan together. */
  readonly keptRows: Readonly<Record<string, number>>;
  /** Rows of the campaign's tenants in each core table. */
  readonly doomedCore: Readonly<Record<string, number>>;
  readonly doomedTestTenants: number | null;
}

/** The holder's token: who it is and under which epoch. */
export interface Fence {
  readonly purgeId: PurgeId;
  readonly epoch: Epoch;
  readonly worker: string;
}
