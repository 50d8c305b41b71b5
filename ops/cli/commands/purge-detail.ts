import { deleteSteps } from '../../../src/domain/plan.ts';
import { isLive } from '../../../src/domain/purge.ts';
import type { CampaignRecord, PurgeRecord } from '../../../src/domain/records.ts';
import type { LedgerView } from '../open.ts';
import type { PurgeDetail } from '../output/status.ts';
import { archivesOf, type StatusParts } from './status-parts.ts';

const EVENTS_SHOWN = 8;
const RATE_WINDOW_MS = 10_000;

/** One purge in full, as ledger and plan have it. */
export async function readPurgeDetail(
  { desk, ledger }: StatusParts,
  purge: PurgeRecord,
): Promise<PurgeDetail> {
  const campaign = await ledger.campaigns.find(purge.campaignId);
  const archives = await archivesOf(desk, [purge], campaign === null ? [] : [campaign]);
  return {
    purge,
    tables: await tablesOf({ desk, ledger }, purge, campaign),
    rowsPerSec: await rateOf(ledger, purge),
    awaited: isLive(purge.status) ? (await ledger.purges.awaited(purge)).live : 0,
    archive: archives.get(purge.id) ?? null,
    events: await ledger.history.events(purge.id, EVENTS_SHOWN),
  };
}

/** In the order of the plan; then those that only the counts or the ledger know. */
async function tablesOf(
  { desk, ledger }: StatusParts,
  { id, rowsExpected }: PurgeRecord,
  campaign: CampaignRecord | null,
): Promise<PurgeDetail['tables']> {
  const deleted = new Map(
    (await desk.reader.deletedRows(id)).map(({ table, rows }) => [table, rows]),
  );
  const planned =
    campaign === null
      ? []
      : deleteSteps(await ledger.campaigns.plan(campaign.planFingerprint)).map(
          ({ table }) => table,
        );
  const names = new Set<string>([...planned, ...Object.keys(rowsExpected), ...deleted.keys()]);
  return [...names].map((table) => {
    const expected = rowsExpected[table] ?? 0;
    const gone = deleted.get(table) ?? 0;
    return { table, expected, deleted: gone, remaining: Math.max(0, expected - gone) };
  });
}

/** Of the last seconds while it runs, of the whole run afterwards. */
async function rateOf(ledger: LedgerView, purge: PurgeRecord): Promise<number | null> {
  if (purge.startedAt === null) return null;
  if (purge.endedAt === null) {
    const ageMs = Math.max(1, Date.now() - purge.startedAt.getTime());
    const windowMs = Math.min(RATE_WINDOW_MS, ageMs);
    const rows = await ledger.history.rowsLately(purge.id, windowMs);
    return Math.round((rows * 1_000) / windowMs);
  }
  const durationMs = purge.endedAt.getTime() - purge.startedAt.getTime();
  return durationMs <= 0 ? null : Math.round((purge.rowsDeleted * 1_000) / durationMs);
}
