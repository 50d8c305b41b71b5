import { deletesOf } from '../../../src/domain/plan.ts';
import type { PreparedCampaign } from '../../../src/engine/campaign/prepare.ts';
import { placesInTree, type TreePlace } from '../../../src/engine/campaign/tenant-tree.ts';
import type { Colors } from '../io.ts';
import { renderHazards } from './hazards.ts';
import { onceEach } from './plan.ts';
import { renderTable } from './table.ts';
import { formatNumber, plural, wrap } from './text.ts';

/** Rows per level and table of a prepared campaign, as data. */
interface CampaignSize {
  readonly tenants: number;
  readonly rows: number;
  readonly redisKeys: number;
  readonly levels: readonly {
    readonly name: string;
    readonly rows: number;
    readonly tables: readonly { readonly table: string; readonly rows: number }[];
  }[];
}

export function sizeOf(prepared: PreparedCampaign): CampaignSize {
  const levels = prepared.plan.levels.map(({ name, steps }) => {
    const tables = steps.flatMap(deletesOf).map(({ table }) => ({
      table: table as string,
      rows: prepared.tenants.reduce((sum, tenant) => sum + (tenant.rows[table] ?? 0), 0),
    }));
    return { name, rows: tables.reduce((sum, { rows }) => sum + rows, 0), tables };
  });
  return {
    tenants: prepared.tenants.length,
    rows: levels.reduce((sum, { rows }) => sum + rows, 0),
    redisKeys: prepared.tenants.reduce((sum, { redisKeys }) => sum + redisKeys, 0),
    levels,
  };
}

const TENANTS_SHOWN_MAX = 10;

/** Who goes, in one line each up to ten; where they are a tree, who goes with whom. */
export function renderTenants(prepared: PreparedCampaign): string {
  const shown = prepared.tenants.slice(0, TENANTS_SHOWN_MAX);
  const more = prepared.tenants.length - shown.length;
  const places = placesInTree(prepared.tenants);
  const below = [...places.values()].filter(({ depth }) => depth > 0).length;
  return [
    ...shown.map(
      ({ id, label, rowsTotal }) =>
        `  ${id}  ${label} (${formatNumber(rowsTotal)} rows)${describePlace(places.get(id))}`,
    ),
    ...(more > 0 ? [`  … and ${formatNumber(more)} more`] : []),
    ...(below > 0
      ? [`  ${formatNumber(below)} of them below another of them; the lowest go first`]
      : []),
  ].join('\n');
}

function describePlace(place: TreePlace | undefined): string {
  if (place === undefined || place.depth === 0) return '';
  return `, ${plural(place.depth, 'level')} below ${place.top}`;
}

/** What a real run would delete. */
export function renderDryRun(
  prepared: PreparedCampaign,
  size: CampaignSize,
  options: {
    readonly command: string | null;
    /** On the way back. */
    readonly undo: string;
    readonly colors: Colors;
    readonly columns: number;
  },
): string {
  const { colors, columns } = options;
  const rows = size.levels.flatMap((level) => [
    [level.name, '', colors.bold(formatNumber(level.rows))],
    ...level.tables
      .filter((table) => table.rows > 0)
      .map(({ table, rows: count }) => [level.name, table, formatNumber(count)]),
  ]);
  return [
    colors.bold(`Dry run: nothing was written. ${plural(size.tenants, 'tenant')} would be purged:`),
    renderTenants(prepared),
    '',
    renderTable(
      [{ head: 'level' }, { head: 'table' }, { head: 'rows', align: 'right' }],
      [
        ...onceEach(rows),
        ['all levels', '', colors.bold(formatNumber(size.rows))],
        ['Redis keys', '', colors.bold(formatNumber(size.redisKeys))],
      ],
      columns,
    ),
    '',
    renderHazards(prepared.hazards, colors, columns),
    '',
    colors.yellow(wrap(options.undo, columns)),
    ...(options.command === null ? [] : ['', 'To run it for real:', `  ${options.command}`]),
  ].join('\n');
}
