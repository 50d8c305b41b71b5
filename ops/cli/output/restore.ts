import type { Conflict, RestoreReport } from '../../../src/domain/restore.ts';
import { describeConflict } from '../../../src/engine/restore/refusals.ts';
import type { OnRestoreState, RestoreState } from '../../../src/engine/restore/restore-progress.ts';
import type { Session } from '../command.ts';
import { makeBar } from './bar.ts';
import { renderTable } from './table.ts';
import { formatNumber, plural } from './text.ts';

const LINE_EVERY_MS = 5_000;

interface RestoreDisplay {
  readonly onState: OnRestoreState;
  stop(): void;
}

/** A bar at a terminal, a line now and then elsewhere, nothing for a program that reads JSON. */
export function displayRestore(session: Session): RestoreDisplay {
  if (session.io.stderr.isTTY === true) return barDisplay(session);
  if (session.json) return { onState: () => undefined, stop: () => undefined };
  return lineDisplay(session);
}

function barDisplay(session: Session): RestoreDisplay {
  const bar = makeBar(session, '{phase} | {count} of {all} | {table}');
  let phase: RestoreState['phase'] | null = null;
  return {
    onState: (state) => {
      const payload = {
        phase: state.phase,
        count: formatNumber(state.done),
        all: formatNumber(state.total),
        table: state.table ?? '',
      };
      if (phase === null) bar.start(state.total, state.done, payload);
      else {
        if (phase !== state.phase) bar.setTotal(state.total);
        bar.update(Math.min(state.done, state.total), payload);
      }
      phase = state.phase;
    },
    stop: () => bar.stop(),
  };
}

function lineDisplay(session: Session): RestoreDisplay {
  let shownAt = performance.now();
  return {
    onState: ({ phase, table, done, total }) => {
      if (performance.now() - shownAt < LINE_EVERY_MS) return;
      shownAt = performance.now();
      session.note(
        `${phase}: ${formatNumber(done)} of ${formatNumber(total)}${table === null ? '' : `, ${table}`}`,
      );
    },
    stop: () => undefined,
  };
}

/** What a restore did, or would do, for people. */
export function renderRestore(report: RestoreReport, session: Session): string {
  const settled = report.conflicts.filter(({ settledBy }) => settledBy !== null);
  const open = report.conflicts.filter(({ settledBy }) => settledBy === null);
  return [
    headline(report, open.length),
    ...(report.tables.length === 0
      ? []
      : [
          renderTable(
            [
              { head: 'table' },
              { head: 'rows back', align: 'right' },
              { head: 'left out', align: 'right' },
              { head: 'verified' },
            ],
            report.tables.map(({ table, rows, skipped, verified }) => [
              table,
              formatNumber(rows),
              formatNumber(skipped),
              verified === 'values' ? 'every value' : verified === 'count' ? 'count only' : '',
            ]),
            session.columns,
          ),
        ]),
    ...details(report),
    ...settled.map(describeSettled),
    ...open.map(describeConflict),
  ].join('\n');
}

function headline(report: RestoreReport, open: number): string {
  const rows = plural(report.rowsRestored, 'row');
  switch (report.outcome) {
    case 'restored':
      return `Purge ${report.purgeId} is undone: ${rows} are back.`;
    case 'already':
      return `Purge ${report.purgeId} was restored before: ${rows} are back. Nothing was changed.`;
    case 'checked':
      return open === 0
        ? `Nothing stands in the way: ${plural(report.rowsTotal, 'row')} can come back. Nothing was changed.`
        : `${plural(open, 'conflict')} in the way of ${plural(report.rowsTotal, 'row')}. Nothing was changed.`;
    default:
      return report.outcome satisfies never;
  }
}

function details({
  rowsChangedBack,
  rowsSkipped,
  sequences,
  keys,
  outcome,
}: RestoreReport): string[] {
  if (outcome === 'checked') return [];
  return [
    ...(rowsChangedBack > 0
      ? [
          `${plural(rowsChangedBack, 'row')} that the purge had only changed have their values again.`,
        ]
      : []),
    ...(rowsSkipped > 0
      ? [`${plural(rowsSkipped, 'row')} were left out by rule; they stay in the archive.`]
      : []),
    ...sequences.map(({ sequence, value }) => `Sequence ${sequence} was moved on to ${value}.`),
    keys.omitted === null
      ? `Redis: ${plural(keys.restored, 'key')} back${keys.expired > 0 ? `, ${formatNumber(keys.expired)} whose time was over` : ''}${keys.skipped > 0 ? `, ${formatNumber(keys.skipped)} left as they are now` : ''}.`
      : `Redis: ${keys.omitted}.`,
  ];
}

const describeSettled = ({ kind, message, settledBy }: Conflict): string =>
  `${kind}: ${message} Settled by ${settledBy}.`;
