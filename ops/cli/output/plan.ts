import { CANNOT_BE_UNDONE } from '../../../src/domain/confirmation.ts';
import type { Hazard } from '../../../src/domain/hazard.ts';
import type { PlanDocument } from '../../../src/planner/explain.ts';
import type { Colors } from '../io.ts';
import { renderHazards } from './hazards.ts';
import { renderTable } from './table.ts';
import { formatNumber, plural } from './text.ts';

/** Levels in the order in which they are deleted, with the path by which rows reach the tenant. */
export function renderPlan(
  plan: PlanDocument,
  options: {
    readonly hazards: readonly Hazard[];
    readonly redisKeys: readonly string[];
    readonly colors: Colors;
    readonly columns: number;
  },
): string {
  const { colors, columns } = options;
  const counted = plan.levels.some(({ tables }) => tables.some(({ rows }) => rows !== undefined));
  const tables = plan.levels.reduce((sum, level) => sum + level.tables.length, 0);
  const rows = plan.levels.flatMap((level) => [
    ...(level.clears ?? []).map((clear) => [
      level.name,
      clear.table,
      `${clear.columns.join(', ')} set to NULL`,
      '',
    ]),
    ...level.tables.map(({ table, path, rows: count }) => [
      level.name,
      table,
      path,
      count === undefined ? '' : formatNumber(count),
    ]),
  ]);
  const head = [
    { head: 'level' },
    { head: 'table' },
    { head: 'rows of a tenant by' },
    ...(counted ? [{ head: 'rows', align: 'right' as const }] : []),
  ];
  return [
    colors.bold(
      `Plan for tenants in ${plan.tenant.table} (${plan.tenant.key} ${plan.tenant.keyType}): ` +
        `${plural(tables, 'table')} in ${plural(plan.levels.length, 'level')}`,
    ),
    `Fingerprint ${plan.fingerprint.slice(0, 16)}`,
    '',
    renderTable(head, onceEach(rows.map((row) => row.slice(0, head.length))), columns),
    '',
    options.redisKeys.length === 0
      ? 'Redis keys: none named in the configuration (redis.keys)'
      : `Then Redis keys: ${options.redisKeys.join(', ')}`,
    '',
    renderHazards(options.hazards, colors, columns),
    '',
    colors.yellow(CANNOT_BE_UNDONE),
  ].join('\n');
}

/** The level's name only on its first line. */
export const onceEach = (rows: readonly (readonly string[])[]): string[][] =>
  rows.map((row, index) => {
    const [name = '', ...rest] = row;
    return [rows[index - 1]?.[0] === name ? '' : name, ...rest];
  });
