import type { ArchiveState } from './archive-state.ts';
import type { CampaignId, PurgeId, TenantId } from './ids.ts';
import type { PurgeStatus } from './purge.ts';

/** Rows still owned by the tenant in one table, or keys in Redis (`table` is then `redis`). */
export interface Residue {
  readonly table: string;
  readonly count: number;
}

/** Result of one purge: the job's return value and the ledger's `report`. */
export interface PurgeReport {
  readonly purgeId: PurgeId;
  readonly campaignId: CampaignId;
  readonly tenantId: TenantId;
  readonly tenantLabel: string;
  readonly status: PurgeStatus;
  /** Rows deleted per table, only tables that had any. */
  readonly tables: readonly { readonly table: string; readonly rows: number }[];
  readonly rowsDeleted: number;
  readonly redisKeysDeleted: number;
  readonly residue: readonly Residue[];
  /** Null where nothing was archived. */
  readonly archive: ArchiveState | null;
  /** Whether there is a way back, for people. */
  readonly undo: string;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
}

/** One line of the expected-results table of a campaign. */
export interface ExpectedResult {
  readonly what: string;
  readonly before: number;
  readonly expected: number;
  readonly after: number;
}

/** A table that a campaign left dead rows in. */
export interface VacuumAdvice {
  readonly table: string;
  readonly deadRows: number;
}
