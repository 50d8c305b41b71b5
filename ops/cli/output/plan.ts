import type { Hazard } from '../../../src/domain/hazard.ts';
import type {
  ClearDocument,
  LevelDocument,
  PlanDocument,
  TableDocument,
  TogetherDocument,
} from '../../../src/planner/explain/explain.ts';
import type { Colors } from '../io.ts';
import { renderHazards } from './hazards.ts';
import { renderTable } from './table.ts';
import { formatNumber, plural, wrap } from './text.ts';

/**
 * Levels in the order in which they are deleted, with the path by which rows reach the tenant, and
 * the rows: those that were counted, else the estimate for all tenants together.
 */
export function renderPlan(
  plan: PlanDocument,
  options: {
    readonly hazards: readonly Hazard[];
    readonly redisKeys: readonly string[];
    /** On the way back. */
    readonly undo: string;
    readonly colors: Colors;
    readonly columns: number;
  },
): string {
  const { colors, columns } = options;
  const counted = plan.levels.some(({ tables }) => tables.some(({ rows }) => rows !== undefined));
  const tables = plan.levels.reduce((sum, level) => sum + level.tables.length, 0);
  const head = [
    { head: 'level' },
    { head: 'table' },
    { head: 'rows of a tenant by' },
    { head: counted ? 'rows' : '~ all rows', align: 'right' as const },
  ];
  return [
    colors.bold(
      `Plan for tenants in ${plan.tenant.table} (${plan.tenant.key} ${plan.tenant.keyType}): ` +
        `${plural(tables, 'table')} in ${plural(plan.levels.length, 'level')}`,
    ),
    `Fingerprint ${plan.fingerprint.slice(0, 16)}`,
    '',
    renderTable(head, onceEach(plan.levels.flatMap(rowsOfLevel)), columns),
    ...(counted ? [] : ['', wrap(ESTIMATES, columns)]),
    '',
    options.redisKeys.length === 0
      ? 'Redis keys: none named in the configuration (redis.keys)'
      : `Then Redis keys: ${options.redisKeys.join(', ')}`,
    '',
    renderHazards(options.hazards, colors, columns),
    '',
    colors.yellow(wrap(options.undo, columns)),
  ].join('\n');
}

const ESTIMATES =
  '~ all rows: of all tenants together, as the last ANALYZE saw them; ? where there was none. ' +
  'Count those to delete with --counts or --tenant ID.';

/** The level's name only on its first line. */
export const onceEach = (rows: readonly (readonly string[])[]): string[][] =>
  rows.map((row, index) => {
    const [name = '', ...rest] = row;
    return [rows[index - 1]?.[0] === name ? '' : name, ...rest];
  });

/** What is cleared stands first, as it is done; a table has a line more for each thing to know. */
const rowsOfLevel = ({ name, clears, together, tables }: LevelDocument): string[][] => [
  ...(clears ?? []).flatMap((clear) => [
    [name, clear.table, describeAssignments(clear), ''],
    [name, '', describeReason(clear), ''],
  ]),
  ...tables.flatMap((table) => [
    [name, table.table, table.path, describeRows(table)],
    ...(table.also ?? []).map((path) => [name, '', `also rows of others: ${path}`, '']),
    ...(together ?? [])
      .filter((circle) => circle.tables.includes(table.table))
      .map((circle) => [name, '', describeCircle(circle, table), '']),
  ]),
];

const describeRows = ({ rows, estimatedRows }: TableDocument): string => {
  if (rows !== undefined) return formatNumber(rows);
  return estimatedRows === null ? '?' : formatNumber(Math.round(estimatedRows));
};

/** `agent_id, boss_id set to NULL`; `state set to 'closed', note set to NULL`. */
const describeAssignments = ({ columns, values }: ClearDocument): string =>
  values === undefined
    ? `${columns.join(', ')} set to NULL`
    : columns
        .map((column, index) => {
          const value = values[index] ?? null;
          return `${column} set to ${value === null ? 'NULL' : `'${value}'`}`;
        })
        .join(', ');

function describeReason({ reason, path, foreignKey }: ClearDocument): string {
  switch (reason) {
    case 'cycle':
      return `of the tenant’s own rows (${path}): opens a circle of tables`;
    case 'self':
      return `of the tenant’s own rows (${path}): they refer to each other; only where they go in several batches`;
    case 'rule':
      return `of others’ rows that refer to the tenant’s (${path}): by the set-null rule for ${foreignKey}`;
    case 'table':
      return `rows stay (${path}): by onPurge set-null`;
    case 'operator':
      return `rows stay (${path}): by onPurge update`;
    default:
      return reason satisfies never;
  }
}

const OTHERS_SHOWN_MAX = 3;

function describeCircle({ way, tables }: TogetherDocument, { table }: TableDocument): string {
  const others = tables.filter((other) => other !== table);
  const shown = others.slice(0, OTHERS_SHOWN_MAX).join(', ');
  const more = others.length - OTHERS_SHOWN_MAX;
  const names = more > 0 ? `${shown} and ${formatNumber(more)} more` : shown;
  return way === 'deferred'
    ? `in one transaction with ${names}, keys checked at its end`
    : `in one statement with ${names}`;
}
