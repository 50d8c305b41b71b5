import type { DiagnosisSummary } from '../../../src/diagnosis/diagnose.ts';
import type { Evidence } from '../../../src/diagnosis/evidence.ts';
import { REASONS } from '../../../src/diagnosis/recommendation.ts';
import type { Tally, TenantEntry } from '../../../src/diagnosis/tally.ts';
import type { Colors } from '../io.ts';
import { renderTable } from './table.ts';
import { formatNumber, plural, wrap } from './text.ts';

interface View {
  readonly tally: Tally;
  readonly colors: Colors;
  readonly columns: number;
  /** The file that has the whole report; null: none. */
  readonly out: string | null;
}

const SECTION_TITLES: Readonly<Record<DiagnosisSummary['sections'][number]['section'], string>> = {
  flag: '1 marked as test',
  names: '2 names',
  emails: '3 e-mail domains',
  creation: '4 bulk creation',
  inactivity: '5 inactive',
  usage: '6 API usage',
  quality: '7 data quality',
};
const SHOWN_MAX = 10;

/** The report for people: counts, sections, the first of each recommendation, what was looked at. */
export function renderDiagnosis(summary: DiagnosisSummary, view: View): string {
  const { colors, columns } = view;
  const { recommended } = summary.totals;
  return [
    `${plural(summary.totals.tenants, 'tenant')} of ${summary.tenantTable}, as of ${summary.asOf}: ` +
      `${colors.red(`purge ${formatNumber(recommended.purge)}`)}, ` +
      `${colors.yellow(`review ${formatNumber(recommended.review)}`)}, keep ${formatNumber(recommended.keep)}`,
    '',
    renderCounts(summary, columns),
    '',
    renderSections(summary, columns),
    ...renderDangling(summary, columns),
    ...renderTenants('Recommended for purge', view.tally.top('purge'), recommended.purge, columns),
    ...renderTenants('For review', view.tally.top('review'), recommended.review, columns),
    ...renderReasons(summary, columns),
    '',
    renderSources(summary, columns),
    ...summary.warnings.map((warning) => wrap(colors.yellow(`! ${warning}`), columns)),
    '',
    ...nextLines(view.out, recommended.purge),
  ].join('\n');
}

function renderCounts({ totals, redis }: DiagnosisSummary, columns: number): string {
  return renderTable(
    [{ head: 'quick counts' }, { head: '', align: 'right' }, { head: '' }],
    [
      ['tenants', formatNumber(totals.tenants), ''],
      ['test tenants', formatNumber(totals.testTenants), 'marked so'],
      ['suspicious', formatNumber(totals.suspicious), 'purge or review'],
      totals.withoutAgents === null
        ? ['without agents', '–', 'no agents table is known']
        : ['without agents', formatNumber(totals.withoutAgents), ''],
      redis.counted
        ? [
            'orphaned Redis keys',
            formatNumber(redis.keys),
            redis.keys === 0 ? '' : `of ${plural(redis.tenants, 'tenant')} that no longer exist`,
          ]
        : ['orphaned Redis keys', '–', `not counted: ${redis.why}`],
    ],
    columns,
  );
}

const renderSections = ({ sections }: DiagnosisSummary, columns: number): string =>
  renderTable(
    [
      { head: 'section' },
      { head: 'rule' },
      { head: 'points', align: 'right' },
      { head: 'tenants', align: 'right' },
      { head: 'e.g.' },
    ],
    sections.flatMap(({ section, rules }) =>
      rules.map(({ rule, points, tenants, examples }, at) => [
        at === 0 ? SECTION_TITLES[section] : '',
        rule,
        String(points),
        formatNumber(tenants),
        plain(examples[0] ?? ''),
      ]),
    ),
    columns,
  );

function renderDangling({ dangling }: DiagnosisSummary, columns: number): string[] {
  if (dangling.length === 0) return [];
  return [
    '',
    renderTable(
      [{ head: 'rows that refer to nothing' }, { head: 'rows', align: 'right' }, { head: 'e.g.' }],
      dangling.map(({ source, rows, samples }) => [
        source,
        formatNumber(rows),
        plain(samples[0] ?? ''),
      ]),
      columns,
    ),
  ];
}

function renderTenants(
  title: string,
  entries: readonly TenantEntry[],
  total: number,
  columns: number,
): string[] {
  if (total === 0) return [];
  const shown = entries.slice(0, SHOWN_MAX);
  const rest = total - shown.length;
  return [
    '',
    `${title}${rest === 0 ? '' : `, the first ${shown.length} of ${formatNumber(total)}`}:`,
    renderTable(
      [
        { head: 'tenant' },
        { head: 'name' },
        { head: 'score', align: 'right' },
        { head: 'evidence' },
      ],
      shown.map((entry) => [
        plain(entry.tenantId),
        plain(entry.label),
        String(entry.score),
        `${doubtsOf(entry)}${entry.evidence.map(describeEvidence).join('; ')}`,
      ]),
      columns,
    ),
  ];
}

/** Why it is not recommended for purge: whoever reviews it begins there. */
const doubtsOf = ({ recommendation, reasons }: TenantEntry): string =>
  recommendation === 'review' ? `(${reasons.join(', ')}) ` : '';

function renderReasons({ totals }: DiagnosisSummary, columns: number): string[] {
  const counted = Object.entries(totals.reasons);
  if (counted.length === 0) return [];
  return [
    '',
    renderTable(
      [{ head: 'reason' }, { head: 'tenants', align: 'right' }, { head: '' }],
      Object.entries(REASONS).flatMap(([reason, words]) => {
        const found = counted.find(([name]) => name === reason);
        return found === undefined ? [] : [[reason, formatNumber(found[1]), words]];
      }),
      columns,
    ),
  ];
}

const renderSources = ({ sources }: DiagnosisSummary, columns: number): string =>
  renderTable(
    [{ head: 'looked at' }, { head: 'by' }, { head: 'where' }],
    sources.map(({ source, reads, by }) => [source, by, reads ?? 'not looked at']),
    columns,
  );

const nextLines = (out: string | null, purges: number): string[] => {
  if (out === null) return ['Next: tenant-purge diagnose --out report.json'];
  return purges === 0
    ? [`${out} has every tenant with its evidence.`]
    : [
        `${out} has every tenant with its evidence. Read it; then, of those recommended for purge:`,
        `Next: tenant-purge enqueue --from ${out} --dry-run`,
      ];
};

/** One piece of evidence in a few words. */
export function describeEvidence(evidence: Evidence): string {
  switch (evidence.rule) {
    case 'test-flag':
      return `${evidence.column} is true`;
    case 'suspicious-word':
      return `"${plain(evidence.match)}" in ${evidence.column}`;
    case 'reserved-email-domain':
    case 'listed-email-domain':
    case 'disposable-email-domain':
      return `${evidence.rule.replace('-email-domain', '')} domain ${plain(evidence.domain)}`;
    case 'bulk-address':
      return `${evidence.tenants} within an hour from ${plain(evidence.address)}`;
    case 'burst':
      return `${evidence.tenants} within ${evidence.minutes} minutes`;
    case 'sequential-name':
      return `one of ${evidence.tenants} numbered by ${evidence.column}`;
    case 'no-agents':
      return 'no agents';
    case 'inactive':
      return `last active ${evidence.lastActivityAt.slice(0, 10)}`;
    case 'never-active':
      return 'never active';
    case 'usage-out-of-line':
      return `${formatNumber(evidence.requests)} requests, above ${formatNumber(evidence.limit)}`;
    case 'missing-owner':
      return `no owner in ${evidence.source}`;
    case 'duplicate-subdomain':
      return `subdomain ${plain(evidence.subdomain)} of ${evidence.tenants} tenants`;
    default:
      return evidence satisfies never;
  }
}

/**
 * Whoever signs up chooses the name: it must not write to an operator's terminal as it likes, nor hide
 * behind what looks like a control sequence.
 */
const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�');
