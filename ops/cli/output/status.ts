import { CANNOT_BE_UNDONE } from '../../../src/domain/confirmation.ts';
import { PURGE_STATUSES } from '../../../src/domain/purge.ts';
import type { CampaignRecord, PurgeRecord } from '../../../src/domain/records.ts';
import type { PurgeArchive } from '../../../src/engine/archive/archive-states.ts';
import type { CampaignArchive } from '../../../src/engine/archive/archive-sum.ts';
import type { LedgerEvent } from '../../../src/postgres/ledger/history.ts';
import type { Colors } from '../io.ts';
import { archiveLines, describeArchives } from './archive.ts';
import { renderTable } from './table.ts';
import { formatNumber, plural, wrap } from './text.ts';

export interface Look {
  readonly colors: Colors;
  readonly columns: number;
}

/** One purge in full. */
export interface PurgeDetail {
  readonly purge: PurgeRecord;
  /** Rows per table: what is gone and what, by the counts at its enqueueing, remains. */
  readonly tables: readonly {
    readonly table: string;
    readonly expected: number;
    readonly deleted: number;
    readonly remaining: number;
  }[];
  readonly rowsPerSec: number | null;
  /** Purges of tenants below it that are live: it begins after them. */
  readonly awaited: number;
  /** Null where nobody can say: the campaign is not known. */
  readonly archive: PurgeArchive | null;
  readonly events: readonly LedgerEvent[];
}

const PURGES_SHOWN_MAX = 20;

export function paintStatus(status: string, colors: Colors): string {
  if (status === 'completed') return colors.green(status);
  if (['failed', 'refused', 'incomplete'].includes(status)) return colors.red(status);
  if (['paused', 'pausing', 'cancelled', 'cancelling', 'interrupted'].includes(status)) {
    return colors.yellow(status);
  }
  return status;
}

/** `2 running, 16 queued`. */
export const countStatuses = (purges: readonly PurgeRecord[]): string =>
  PURGE_STATUSES.flatMap((status) => {
    const count = purges.filter((purge) => purge.status === status).length;
    return count === 0 ? [] : [`${formatNumber(count)} ${status}`];
  }).join(', ');

const percentOf = (purge: PurgeRecord): string =>
  purge.rowsTotal === 0
    ? ''
    : `${Math.min(100, Math.floor((purge.rowsDeleted * 100) / purge.rowsTotal))} %`;

/** A campaign under way: figures, and the purges that are not simply waiting or done. */
export function renderCampaign(
  campaign: CampaignRecord,
  of: { readonly purges: readonly PurgeRecord[]; readonly archive: CampaignArchive | null },
  look: Look,
): string {
  const { purges, archive } = of;
  const deleted = purges.reduce((sum, purge) => sum + purge.rowsDeleted, 0);
  const total = purges.reduce((sum, purge) => sum + purge.rowsTotal, 0);
  const interesting = purges.filter(({ status }) => status !== 'completed' && status !== 'queued');
  const shown = (interesting.length > 0 ? interesting : purges).slice(0, PURGES_SHOWN_MAX);
  const more = (interesting.length > 0 ? interesting : purges).length - shown.length;
  return [
    wrap(
      `${look.colors.bold(`Campaign ${campaign.id}`)} by ${campaign.operator} in ${campaign.environment}`,
      look.columns,
    ),
    wrap(`${plural(purges.length, 'purge')}: ${countStatuses(purges)}`, look.columns),
    `${formatNumber(deleted)} of ${formatNumber(total)} rows deleted`,
    ...(archive === null ? [] : [wrap(describeArchives(archive), look.columns)]),
    ...(campaign.archive ? [] : [wrap(CANNOT_BE_UNDONE, look.columns)]),
    '',
    renderTable(
      [
        { head: 'purge' },
        { head: 'tenant' },
        { head: 'status' },
        { head: 'stage' },
        { head: 'done', align: 'right' },
      ],
      shown.map((purge) => [
        purge.id,
        purge.tenantLabel,
        paintStatus(purge.status, look.colors),
        purge.stage,
        percentOf(purge),
      ]),
      look.columns,
    ),
    ...(more > 0 ? [`… and ${formatNumber(more)} more; --json lists all`] : []),
  ].join('\n');
}

/** All campaigns, newest first. */
export function renderCampaigns(
  campaigns: readonly {
    readonly campaign: CampaignRecord;
    readonly purges: readonly PurgeRecord[];
  }[],
  stopped: boolean,
  look: Look,
): string {
  const fleet = stopped
    ? look.colors.yellow('The fleet is paused: nothing is deleted until `resume --all`.')
    : 'The fleet runs.';
  if (campaigns.length === 0) {
    return `${fleet}\nNo campaign yet. Begin with: tenant-purge plan`;
  }
  return [
    renderTable(
      [{ head: 'campaign' }, { head: 'created' }, { head: 'purges' }],
      campaigns.map(({ campaign, purges }) => [
        campaign.id,
        campaign.createdAt.toISOString().slice(0, 16).replace('T', ' '),
        countStatuses(purges),
      ]),
      look.columns,
    ),
    '',
    fleet,
    'Next: tenant-purge status CAMPAIGN [--watch]',
  ].join('\n');
}

/** One purge: where it is, what is gone and what remains. */
export function renderPurge(detail: PurgeDetail, look: Look): string {
  const { purge } = detail;
  const { colors, columns } = look;
  const moved = detail.tables.filter(({ expected, deleted }) => expected > 0 || deleted > 0);
  return [
    colors.bold(`Purge ${purge.id}`),
    wrap(`of ${purge.tenantLabel} (${purge.tenantId})`, columns),
    wrap(
      `${paintStatus(purge.status, colors)}, stage ${purge.stage}${purge.level === null ? '' : `, level ${purge.level}`}` +
        (purge.worker === null ? '' : `, held by ${purge.worker}`),
      columns,
    ),
    ...(detail.awaited === 0
      ? []
      : [`waits for ${plural(detail.awaited, 'purge')} of tenants below it`]),
    `${formatNumber(purge.rowsDeleted)} of ${formatNumber(purge.rowsTotal)} rows and ` +
      `${plural(purge.redisKeysDeleted, 'Redis key')} deleted` +
      (detail.rowsPerSec === null ? '' : `, ${formatNumber(detail.rowsPerSec)} rows/s`),
    ...(detail.archive === null ? [] : archiveLines(detail.archive, purge.id)).map((line) =>
      wrap(line, columns),
    ),
    ...(moved.length === 0
      ? []
      : [
          '',
          renderTable(
            [
              { head: 'table' },
              { head: 'expected', align: 'right' },
              { head: 'gone', align: 'right' },
              { head: 'remaining', align: 'right' },
            ],
            moved.map(({ table, expected, deleted, remaining }) => [
              table,
              formatNumber(expected),
              formatNumber(deleted),
              formatNumber(remaining),
            ]),
            columns,
          ),
        ]),
    ...(purge.residue.length === 0
      ? []
      : [
          '',
          colors.red(
            `Residue: ${purge.residue.map(({ table, count }) => `${table} ${formatNumber(count)}`).join(', ')}`,
          ),
        ]),
    ...(purge.error === null
      ? []
      : [
          '',
          wrap(`${colors.red(purge.error.code)}  ${purge.error.message}`, columns),
          wrap(`→ ${purge.error.remedy}`, columns, '  '),
        ]),
    '',
    ...detail.events.map(
      ({ at, kind, actor }) =>
        `${colors.dim(at.toISOString().replace('T', ' ').slice(0, 19))}  ${kind}  ${colors.dim(actor)}`,
    ),
    '',
    `Campaign ${purge.campaignId}`,
  ].join('\n');
}
