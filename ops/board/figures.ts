import type { CampaignId, PurgeId } from '../../src/domain/ids.ts';
import type { Holding, Knobs } from '../../src/domain/load.ts';
import { deletesOf, type Plan } from '../../src/domain/plan.ts';
import { isLive } from '../../src/domain/purge.ts';
import type { CampaignRecord, PurgeRecord } from '../../src/domain/records.ts';
import { type PurgeArchive, readArchiveStates } from '../../src/engine/archive/archive-states.ts';
import { ArchiveView } from '../../src/postgres/ledger/archive-view.ts';
import type { PendingStop } from '../../src/postgres/ledger/commands.ts';
import { type LedgerEvent, LedgerHistory } from '../../src/postgres/ledger/history.ts';
import type { PurgeSelection, StatusCount } from '../../src/postgres/ledger/purges.ts';
import { ThrottleStore } from '../../src/postgres/ledger/throttle.ts';
import type { BoardParts } from './parts.ts';

/** Whether anything may run at all. `queuePaused` and `workers`: null where Redis gave no answer. */
export interface FleetState {
  readonly stopped: boolean;
  readonly changedBy: string | null;
  readonly changedAt: Date | null;
  readonly queuePaused: boolean | null;
  readonly workers: number | null;
  /** Batches that began before a stop and are still in flight. */
  readonly batchesOpen: number;
}

interface TableFigures {
  readonly table: string;
  readonly expected: number;
  readonly deleted: number;
}

export interface LevelFigures {
  readonly name: string;
  readonly expected: number;
  readonly deleted: number;
  /** Only tables with rows. */
  readonly tables: readonly TableFigures[];
}

/** One purge in full, from the ledger alone. */
export interface PurgeFigures {
  readonly purge: PurgeRecord;
  readonly campaign: CampaignRecord | null;
  readonly fleet: FleetState;
  readonly levels: readonly LevelFigures[];
  /** Of the last seconds while it runs, of the whole run once it has ended; else null. */
  readonly rowsPerSec: number | null;
  readonly etaSec: number | null;
  /** Since its holder's claim or last batch; null before the first claim. */
  readonly silentMs: number | null;
  /** Purges of tenants below it that are live: it begins after them. */
  readonly awaited: number;
  /** Where its rows went, and whether there is a way back now. */
  readonly archive: PurgeArchive | null;
  /** A stop that was asked for and is not yet so. */
  readonly pending: PendingStop | null;
  /** Why the next batch does not begin yet, or null. */
  readonly holding: Holding | null;
  readonly tuned: { readonly own: Knobs; readonly fleet: Knobs };
  /** Newest first. */
  readonly events: readonly LedgerEvent[];
}

/** Many purges, counted. */
export interface PurgesFigures {
  readonly counts: readonly StatusCount[];
  readonly rowsDeleted: number;
  readonly rowsTotal: number;
}

/** While Redis is away its clients wait for ever; a page does not. */
const REDIS_ANSWER_MAX_MS = 1_000;
const EVENTS_SHOWN = 15;
const RATE_WINDOW_MS = 10_000;

export async function readFleetState(parts: BoardParts): Promise<FleetState> {
  const [control, pending, queuePaused, workers] = await Promise.all([
    parts.commands.readControl(),
    parts.commands.pendingStops({ kind: 'live' }),
    answerOf(parts.queue.bull.isPaused()),
    answerOf(countWorkers(parts)),
  ]);
  const batchesOpen = pending.filter(({ batchOpenMs }) => batchOpenMs !== null).length;
  return { ...control, queuePaused, workers, batchesOpen };
}

/** Null where the ledger has no such purge. Reads only. */
export async function readPurgeFigures(
  parts: BoardParts,
  id: PurgeId,
): Promise<PurgeFigures | null> {
  const [purge] = await parts.purges.select({ kind: 'purge', id });
  if (purge === undefined) return null;
  const history = new LedgerHistory(parts.database);
  const [campaign, deleted, fleet, rowsPerSec, sign, awaited, [pending], throttle, events] =
    await Promise.all([
      parts.campaigns.find(purge.campaignId),
      parts.reader.deletedRows(id),
      readFleetState(parts),
      rateOf(history, purge),
      parts.purges.lastSignOfLife(id),
      isLive(purge.status) ? parts.purges.awaited(purge) : null,
      parts.commands.pendingStops({ kind: 'purge', id }),
      new ThrottleStore(parts.database).read(id),
      history.events(id, EVENTS_SHOWN),
    ]);
  const archives = await readArchiveStates(new ArchiveView(parts.database), {
    purges: [purge],
    campaigns: campaign === null ? [] : [campaign],
    keepDays: parts.config.archive.keepDays,
  });
  const plan = campaign === null ? null : await parts.campaigns.plan(campaign.planFingerprint);
  const deletedOf = new Map(deleted.map(({ table, rows }) => [table, rows]));
  return {
    purge,
    campaign,
    fleet,
    levels: levelFigures(plan, purge.rowsExpected, deletedOf),
    rowsPerSec,
    etaSec: etaOf(purge, rowsPerSec),
    silentMs: sign?.ageMs ?? null,
    awaited: awaited?.live ?? 0,
    archive: archives.get(id) ?? null,
    pending: pending ?? null,
    holding: throttle.holding,
    tuned: { own: throttle.tuned, fleet: throttle.fleetTuned },
    events,
  };
}

/** Counts of a campaign's purges, or of all live ones. */
export async function readCounts(
  parts: BoardParts,
  selection: PurgeSelection,
): Promise<PurgesFigures> {
  const counts = await parts.purges.countByStatus(selection);
  return {
    counts,
    rowsDeleted: counts.reduce((sum, { rowsDeleted }) => sum + rowsDeleted, 0),
    rowsTotal: counts.reduce((sum, { rowsTotal }) => sum + rowsTotal, 0),
  };
}

export const selectionOf = (id: CampaignId): PurgeSelection => ({ kind: 'campaign', id });

/** By the plan's levels, in their order; a table that no level names any more comes last. Pure. */
export function levelFigures(
  plan: Plan | null,
  expectedOf: Readonly<Record<string, number>>,
  deletedOf: ReadonlyMap<string, number>,
): LevelFigures[] {
  const known = new Set<string>();
  const named = (plan?.levels ?? []).map((level) => {
    const tables = new Set<string>(
      level.steps.flatMap((step) => deletesOf(step).map(({ table }) => table)),
    );
    for (const table of tables) known.add(table);
    return { name: level.name, tables: [...tables] };
  });
  const others = [...new Set([...Object.keys(expectedOf), ...deletedOf.keys()])].filter(
    (table) => !known.has(table),
  );
  return [...named, { name: 'other tables', tables: others }].flatMap(({ name, tables }) => {
    const figures = tables
      .map((table) => ({
        table,
        expected: expectedOf[table] ?? 0,
        deleted: deletedOf.get(table) ?? 0,
      }))
      .filter(({ expected, deleted }) => expected > 0 || deleted > 0);
    if (figures.length === 0) return [];
    return {
      name,
      expected: figures.reduce((sum, { expected }) => sum + expected, 0),
      deleted: figures.reduce((sum, { deleted }) => sum + deleted, 0),
      tables: figures,
    };
  });
}

async function answerOf<Answer>(asked: Promise<Answer>): Promise<Answer | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), REDIS_ANSWER_MAX_MS);
  });
  return Promise.race([asked.catch(() => null), late]).finally(() => clearTimeout(timer));
}

/** Redis lists the clients of all its databases; a queue of the same name in another is not ours. */
async function countWorkers({ queue, config }: BoardParts): Promise<number> {
  const database = new URL(config.queueRedisUrl).pathname.slice(1) || '0';
  const clients = await queue.bull.getWorkers();
  return clients.filter((client) => (client['db'] ?? database) === database).length;
}

async function rateOf(history: LedgerHistory, purge: PurgeRecord): Promise<number | null> {
  if (purge.startedAt === null) return null;
  if (purge.endedAt === null) {
    if (purge.status !== 'running') return null;
    const ageMs = Math.max(1, Date.now() - purge.startedAt.getTime());
    const windowMs = Math.min(RATE_WINDOW_MS, ageMs);
    return Math.round(((await history.rowsLately(purge.id, windowMs)) * 1_000) / windowMs);
  }
  const durationMs = purge.endedAt.getTime() - purge.startedAt.getTime();
  return durationMs <= 0 ? null : Math.round((purge.rowsDeleted * 1_000) / durationMs);
}

const etaOf = (purge: PurgeRecord, rowsPerSec: number | null): number | null =>
  purge.status !== 'running' || rowsPerSec === null || rowsPerSec === 0
    ? null
    : Math.ceil(Math.max(0, purge.rowsTotal - purge.rowsDeleted) / rowsPerSec);
