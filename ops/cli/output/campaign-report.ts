import { PURGE_STATUSES } from '../../../src/domain/purge.ts';
import type { CampaignReport } from '../../../src/engine/campaign/campaign-report.ts';
import type { Colors } from '../io.ts';
import { describeArchives } from './archive.ts';
import { renderTable } from './table.ts';
import { formatDuration, formatNumber, plural, wrap } from './text.ts';

/** Of each list; the rest is counted. */
const SHOWN_MAX = 20;

/** What a campaign has done, for people: figures, expected results, failures, VACUUM. */
export function renderCampaignReport(
  report: CampaignReport,
  options: { readonly colors: Colors; readonly columns: number },
): string {
  const { colors, columns } = options;
  const blocks = [
    wrap(
      `${colors.bold(`Campaign ${report.campaignId}`)} by ${report.operator} in ${report.environment}`,
      columns,
    ),
    wrap(`${plural(report.purges, 'purge')}: ${statusLine(report)}`, columns),
    wrap(figures(report), columns),
    ...(report.expected.length === 0 ? [] : ['', renderExpected(report, colors, columns)]),
    ...(report.failures.length === 0 ? [] : ['', renderFailures(report, colors, columns)]),
    ...(report.vacuumStatement === null ? [] : ['', renderVacuum(report, columns)]),
    '',
    ...(report.archive === null ? [] : [wrap(describeArchives(report.archive), columns)]),
    colors.yellow(wrap(report.undo, columns)),
  ];
  return blocks.join('\n');
}

const statusLine = (report: CampaignReport): string =>
  PURGE_STATUSES.filter((status) => report.statuses[status] !== undefined)
    .map((status) => `${formatNumber(report.statuses[status] ?? 0)} ${status}`)
    .join(', ');

function figures(report: CampaignReport): string {
  const time =
    report.durationMs === null
      ? []
      : [
          `in ${formatDuration(report.durationMs)}`,
          ...(report.rowsPerSec === null ? [] : [`(${formatNumber(report.rowsPerSec)} rows/s)`]),
        ];
  return [
    `${plural(report.rowsDeleted, 'row')} and ${plural(report.redisKeysDeleted, 'Redis key')} deleted`,
    ...time,
  ].join(' ');
}

function renderExpected(report: CampaignReport, colors: Colors, columns: number): string {
  const shown = report.expected.slice(0, SHOWN_MAX);
  const wrong = report.expected.filter(({ expected, after }) => expected !== after).length;
  const lines = [
    renderTable(
      [
        { head: 'expected results' },
        { head: 'before', align: 'right' },
        { head: 'expected', align: 'right' },
        { head: 'after', align: 'right' },
        { head: '' },
      ],
      shown.map(({ what, before, expected, after }) => [
        // A uuid fills half a line.
        what.replace(/^rows of kept tenant /, 'kept '),
        formatNumber(before),
        formatNumber(expected),
        formatNumber(after),
        expected === after ? colors.green('✓') : colors.red('✗'),
      ]),
      columns,
    ),
  ];
  const more = report.expected.length - shown.length;
  if (more > 0) lines.push(`  … and ${more} more; --json lists all`);
  if (wrong > 0) {
    lines.push(
      wrap(
        `${colors.red(plural(wrong, 'figure'))} not as expected: rows came meanwhile, or a purge did not complete.`,
        columns,
      ),
    );
  }
  return lines.join('\n');
}

function renderFailures(report: CampaignReport, colors: Colors, columns: number): string {
  const shown = report.failures.slice(0, SHOWN_MAX);
  const lines = shown.flatMap(({ tenantId, tenantLabel, status, purgeId, error }) => [
    wrap(
      `${colors.red(status)}  ${tenantLabel} (${tenantId}), purge ${purgeId}: ${error?.code ?? ''} ${error?.message ?? ''}`,
      columns,
    ),
    ...(error === null ? [] : [wrap(`→ ${error.remedy}`, columns, '  ')]),
  ]);
  const more = report.failures.length - shown.length;
  return [...lines, ...(more > 0 ? [`… and ${more} more; --json lists all`] : [])].join('\n');
}

function renderVacuum(report: CampaignReport, columns: number): string {
  return [
    renderTable(
      [{ head: 'tables that now need VACUUM' }, { head: 'dead rows', align: 'right' }],
      report.vacuum.map(({ table, deadRows }) => [table, formatNumber(deadRows)]),
      columns,
    ),
    'Autovacuum will come by itself; to have it now:',
    `  ${report.vacuumStatement ?? ''}`,
  ].join('\n');
}
