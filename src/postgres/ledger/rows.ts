import type { Selectable } from 'kysely';
import { asCampaignId, asEpoch, asFingerprint, asPurgeId, asTenantId } from '../../domain/ids.ts';
import type { CampaignRecord, PurgeRecord } from '../../domain/records.ts';
import type { LedgerTables } from './tables.ts';

/** The one place where the ledger's snake_case becomes the program's camelCase. */
export const toPurgeRecord = (
  row: Selectable<LedgerTables['tenant_purge.purge']>,
): PurgeRecord => ({
  id: asPurgeId(row.id),
  campaignId: asCampaignId(row.campaign_id),
  tenantTable: row.tenant_table,
  tenantId: asTenantId(row.tenant_id),
  tenantLabel: row.tenant_label,
  status: row.status,
  stage: row.stage,
  level: row.level,
  fence: asEpoch(row.fence),
  worker: row.worker,
  jobNumber: row.job_number,
  parked: row.parked,
  dueAt: row.due_at,
  interruptions: row.interruptions,
  rowsExpected: row.rows_expected,
  rowsTotal: row.rows_total,
  rowsDeleted: row.rows_deleted,
  // A command that only looks may look at a ledger from before this column.
  waitsFor: (row.waits_for ?? []).map(asPurgeId),
  redisWaitingSince: row.redis_waiting_since,
  swept: row.swept,
  redisKeysDeleted: row.redis_keys_deleted,
  redisResidue: row.redis_residue,
  residue: row.residue,
  error: row.error,
  createdAt: row.created_at,
  claimedAt: row.claimed_at,
  startedAt: row.started_at,
  endedAt: row.ended_at,
});

export const toCampaignRecord = (
  row: Selectable<LedgerTables['tenant_purge.campaign']>,
): CampaignRecord => ({
  id: asCampaignId(row.id),
  createdAt: row.created_at,
  operator: row.operator,
  environment: row.environment,
  databaseIdentity: row.database_identity,
  redisIdentity: row.redis_identity,
  redisEndpoint: row.redis_endpoint,
  planFingerprint: asFingerprint(row.plan_fingerprint),
  allowed: row.allowed,
  kept: row.kept,
  archive: row.archive,
  before: row.before,
});
