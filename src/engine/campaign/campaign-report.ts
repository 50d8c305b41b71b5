import { CANNOT_BE_UNDONE } from '../../domain/confirmation.ts';
import { type ErrorReport, EXIT, type ExitCode } from '../../domain/errors.ts';
import { asTenantId, type CampaignId, type PurgeId, type TenantId } from '../../domain/ids.ts';
import { isLive, type PurgeStatus } from '../../domain/purge.ts';
import type { CampaignRecord, PurgeRecord } from '../../domain/records.ts';
import type { ExpectedResult, VacuumAdvice } from '../../domain/report.ts';
import type { PlanRules } from '../../planner/rules.ts';
import { type Database, inTransaction, READ_ONLY } from '../../postgres/database.ts';
import { ArchiveView } from '../../postgres/ledger/archive-view.ts';
import type { LedgerHistory } from '../../postgres/ledger/history.ts';
import type { PurgeStore } from '../../postgres/ledger/purges.ts';
import { readPlan } from '../../postgres/read-plan.ts';
import type { RowReader } from '../../postgres/rows/row-reader.ts';
import { readArchiveStates } from '../archive/archive-states.ts';
import { type CampaignArchive, describeCampaignUndo, sumArchives } from '../archive/archive-sum.ts';
import type { SweepKeyspace } from '../sweep.ts';
import { expectedResults } from './expected-results.ts';
import { type CountedTenant, takeCounts } from './prepare.ts';

export interface ReportParts {
  readonly database: Database;
  readonly purges: PurgeStore;
  readonly history: LedgerHistory;
  readonly reader: RowReader;
  readonly rules: PlanRules;
  readonly keyspace: SweepKeyspace | null;
  /** `archive.keepDays` of the configuration. */
  readonly keepDays: number;
}

/** A purge that did not end as it should, and why. */
export interface Failure {
  readonly purgeId: PurgeId;
  readonly tenantId: TenantId;
  readonly tenantLabel: string;
  readonly status: PurgeStatus;
  readonly error: ErrorReport | null;
}

/** What a campaign has done. */
export interface CampaignReport {
  readonly campaignId: CampaignId;
  readonly operator: string;
  readonly environment: string;
  readonly purges: number;
  readonly statuses: Readonly<Partial<Record<PurgeStatus, number>>>;
  readonly rowsTotal: number;
  readonly rowsDeleted: number;
  readonly redisKeysDeleted: number;
  /** From the first claim to the last end; null while nothing was claimed. */
  readonly durationMs: number | null;
  readonly rowsPerSec: number | null;
  /** Empty while purges are live: nobody could say what should be there. */
  readonly expected: readonly ExpectedResult[];
  readonly vacuum: readonly VacuumAdvice[];
  /** The statement that clears the dead rows, or null where there are none. */
  readonly vacuumStatement: string | null;
  readonly failures: readonly Failure[];
  /** Null where nothing was archived. */
  readonly archive: CampaignArchive | null;
  /** Whether there is a way back, for people. */
  readonly undo: string;
}

/**
 * Report of a campaign. What is there now is counted afresh, in one READ ONLY transaction, by the
 * same function that counted before; so it is only counted once no purge is live.
 */
export async function makeCampaignReport(
  parts: ReportParts,
  campaign: CampaignRecord,
): Promise<CampaignReport> {
  const purges = await parts.purges.select({ kind: 'campaign', id: campaign.id });
  const ended = !purges.some(({ status }) => isLive(status));
  const rowsDeleted = sum(purges, (purge) => purge.rowsDeleted);
  const durationMs = durationOf(purges, ended);
  const archives = await readArchiveStates(new ArchiveView(parts.database), {
    purges,
    campaigns: [campaign],
    keepDays: parts.keepDays,
  });
  const archive = sumArchives(archives);
  const vacuum = ended ? await parts.history.vacuumAdvice(campaign.id) : [];
  return {
    campaignId: campaign.id,
    operator: campaign.operator,
    environment: campaign.environment,
    purges: purges.length,
    statuses: countStatuses(purges),
    rowsTotal: sum(purges, (purge) => purge.rowsTotal),
    rowsDeleted,
    redisKeysDeleted: sum(purges, (purge) => purge.redisKeysDeleted),
    durationMs,
    rowsPerSec:
      durationMs === null || durationMs === 0
        ? null
        : Math.round((rowsDeleted * 1_000) / durationMs),
    expected: ended ? await compare(parts, campaign, purges) : [],
    vacuum,
    vacuumStatement:
      vacuum.length === 0
        ? null
        : `VACUUM (ANALYZE) ${vacuum.map(({ table }) => table).join(', ')};`,
    failures: purges
      .filter(({ status }) => ['failed', 'refused', 'incomplete', 'interrupted'].includes(status))
      .map(({ id, tenantId, tenantLabel, status, error }) => ({
        purgeId: id,
        tenantId,
        tenantLabel,
        status,
        error,
      })),
    archive,
    undo: campaign.archive ? describeCampaignUndo(archive) : CANNOT_BE_UNDONE,
  };
}

/** How a campaign ends a program: the worst of its purges decides. Pure. */
export function exitCodeOfStatuses(statuses: Iterable<PurgeStatus>): ExitCode {
  const seen = new Set(statuses);
  if (seen.has('failed')) return EXIT.failed;
  if (seen.has('refused')) return EXIT.refused;
  if (seen.has('incomplete')) return EXIT.residue;
  if (seen.has('cancelled')) return EXIT.cancelled;
  return EXIT.done;
}

/** The live plan, so that a table that came or went meanwhile is counted, or not, as it is now. */
async function compare(
  parts: ReportParts,
  campaign: CampaignRecord,
  purges: readonly PurgeRecord[],
): Promise<ExpectedResult[]> {
  const ids = new Set<string>(purges.map(({ tenantId }) => tenantId));
  const keys = (await parts.keyspace?.count(ids)) ?? new Map<string, number>();
  const doomed = purges.map(
    ({ tenantId, tenantLabel }): CountedTenant => ({
      id: tenantId,
      label: tenantLabel,
      rows: {},
      rowsTotal: 0,
      redisKeys: keys.get(tenantId) ?? 0,
    }),
  );
  const kept = Object.keys(campaign.before.keptRows).map((id) => ({
    id: asTenantId(id),
    label: id,
  }));
  return inTransaction(parts.database.pool, READ_ONLY, async (client) => {
    const plan = await readPlan(client, parts.rules);
    const after = await takeCounts(parts.reader, client, plan, { doomed, kept });
    // A tenant that is purged again for what it left has no tenant row any more.
    const doomedRows = purges.reduce(
      (sum, purge) => sum + (purge.rowsExpected[plan.tenant.table] ?? 0),
      0,
    );
    return expectedResults(plan.tenant.table, doomedRows, campaign.before, after);
  });
}

function countStatuses(purges: readonly PurgeRecord[]): Partial<Record<PurgeStatus, number>> {
  const counts: Partial<Record<PurgeStatus, number>> = {};
  for (const { status } of purges) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

function durationOf(purges: readonly PurgeRecord[], ended: boolean): number | null {
  const starts = purges.flatMap(({ startedAt }) => startedAt?.getTime() ?? []);
  if (starts.length === 0) return null;
  const ends = purges.flatMap(({ endedAt }) => endedAt?.getTime() ?? []);
  const end = ended ? Math.max(...ends, ...starts) : Date.now();
  return Math.max(0, end - Math.min(...starts));
}

const sum = (purges: readonly PurgeRecord[], figure: (purge: PurgeRecord) => number): number =>
  purges.reduce((total, purge) => total + figure(purge), 0);
