import { dayOf } from '../../../src/domain/archive-state.ts';
import type {
  ExpiringArchive,
  ExpiryPlan,
  ExpiryResult,
} from '../../../src/engine/archive/expire-archives.ts';
import type {
  OrphanExpiryPlan,
  OrphanExpiryResult,
} from '../../../src/engine/archive/expire-orphan-archives.ts';
import type { OrphanArchiveRecord } from '../../../src/postgres/ledger/orphan-archives.ts';
import type { Session } from '../command.ts';
import { formatBytes } from '../output/archive.ts';
import { renderTable } from '../output/table.ts';
import { formatNumber, plural } from '../output/text.ts';
import type { ArchiveDesk } from './archive-desk.ts';
import { renderRuns } from './archive-orphans.ts';

/** What goes, of purges and of runs of `redis orphans`. */
export interface WholePlan {
  readonly purges: ExpiryPlan;
  readonly orphans: OrphanExpiryPlan;
}

export interface WholeResult {
  readonly purges: ExpiryResult;
  readonly orphans: OrphanExpiryResult;
}

export function describePlan(plan: WholePlan, desk: ArchiveDesk, session: Session): string[] {
  const { archives } = plan.purges;
  const { runs } = plan.orphans;
  const leftovers = plan.purges.leftovers.length + plan.orphans.leftovers.length;
  return [
    ...(archives.length + runs.length === 0 ? ['No archive is due.'] : []),
    ...(archives.length === 0 ? [] : describePurges(archives, session)),
    ...(runs.length === 0 ? [] : describeRuns(runs, desk, session)),
    ...(leftovers === 0
      ? []
      : [`${plural(leftovers, 'folder')} of archives that expired before would be removed.`]),
    ...describeElsewhere(plan),
  ];
}

function describePurges(archives: readonly ExpiringArchive[], { columns }: Session): string[] {
  const bytes = archives.reduce((sum, { record }) => sum + record.bytes, 0);
  return [
    `${plural(archives.length, 'archive')} (${formatBytes(bytes)}) would be thrown away; these purges could not be undone any more:`,
    renderTable(
      [
        { head: 'purge' },
        { head: 'tenant' },
        { head: 'status' },
        { head: 'ended' },
        { head: 'size', align: 'right' },
        { head: 'rows', align: 'right' },
      ],
      archives.map(({ record, purge }) => [
        purge.id,
        purge.tenantLabel,
        purge.status,
        purge.endedAt === null ? '' : dayOf(purge.endedAt),
        formatBytes(record.bytes),
        formatNumber(record.rows),
      ]),
      columns,
    ),
  ];
}

function describeRuns(
  runs: readonly OrphanArchiveRecord[],
  desk: ArchiveDesk,
  session: Session,
): string[] {
  const bytes = runs.reduce((sum, run) => sum + run.bytes, 0);
  return [
    `${plural(runs.length, 'archive')} of redis orphans (${formatBytes(bytes)}) would be thrown away; these keys could not be brought back any more:`,
    renderRuns(runs, desk, session),
  ];
}

export function describeElsewhere({ purges, orphans }: WholePlan): string[] {
  const locations = [
    ...purges.elsewhere.map(({ record }) => record.location),
    ...orphans.elsewhere.map(({ location }) => location),
  ];
  return locations.length === 0
    ? []
    : [
        `${plural(locations.length, 'archive')} due at another place, untouched: ` +
          [...new Set(locations)].join(', '),
      ];
}

export function describeResult({ purges, orphans }: WholeResult): string[] {
  const expired = purges.expired.length + orphans.expired.length;
  const folders = purges.foldersRemoved + orphans.foldersRemoved;
  const { sweepSegmentsRemoved } = purges;
  return [
    expired === 0 && folders === 0
      ? 'No archive was due: nothing was thrown away.'
      : `${plural(expired, 'archive')} expired, ${plural(folders, 'folder')} removed.`,
    ...(sweepSegmentsRemoved === 0
      ? []
      : [`${plural(sweepSegmentsRemoved, 'segment')} of Redis keys removed.`]),
    ...(purges.kept.length === 0
      ? []
      : [
          `${plural(purges.kept.length, 'archive')} kept: the purge is live again, or another expiry was faster.`,
        ]),
    ...(orphans.kept.length === 0
      ? []
      : [
          `${plural(orphans.kept.length, 'archive')} of redis orphans kept: the run is being restored, or another expiry was faster.`,
        ]),
  ];
}
