import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';

interface TableColumn {
  readonly head: string;
  readonly align?: 'left' | 'right';
}

/** Two blanks between columns, a rule under the heads, nothing else: it survives copy and paste. */
const CHARS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};
const GAP = 2;
const WIDTH_MIN = 8;

/** A table no wider than `columns`: the widest columns break their cells, names if need be at dots. */
export function renderTable(
  head: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  columns: number,
): string {
  const widths = fitWidths(
    head.map((column, index) =>
      Math.max(widthOf(column.head), ...rows.map((row) => widthOf(row[index] ?? ''))),
    ),
    head.map((column, index) =>
      Math.max(widthOfPieces(column.head), ...rows.map((row) => widthOfPieces(row[index] ?? ''))),
    ),
    columns,
  );
  const table = new Table({
    chars: CHARS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': GAP },
    colWidths: widths.map((width) => width + GAP),
    colAligns: head.map(({ align }) => align ?? 'left'),
  });
  table.push(
    breakCells(
      head.map((column) => column.head),
      widths,
    ),
    widths.map((width) => '─'.repeat(width)),
    ...rows.map((row) => breakCells(row, widths)),
  );
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/**
 * Breaks what is too wide, at a blank where there is one, else after a dot. Our own, because the table's counts the
 * codes of colours as letters; coloured cells are short words and stay whole.
 */
const breakCells = (cells: readonly string[], widths: readonly number[]): string[] =>
  cells.map((cell, index) => {
    const width = widths[index] ?? WIDTH_MIN;
    if (widthOf(cell) <= width || stripVTControlCharacters(cell) !== cell) return cell;
    const lines: string[] = [];
    let rest = cell;
    while (rest.length > width) {
      const blank = rest.lastIndexOf(' ', width);
      const dot = rest.lastIndexOf('.', width - 1) + 1;
      const end = blank > 0 ? blank : dot > 0 ? dot : width;
      lines.push(rest.slice(0, end));
      rest = rest.slice(end).trimStart();
    }
    return [...lines, rest].join('\n');
  });

const widthOf = (cell: string): number =>
  Math.max(...cell.split('\n').map((line) => stripVTControlCharacters(line).length));

/** The longest piece that is better not broken. */
const widthOfPieces = (cell: string): number =>
  Math.max(...cell.split(/\s|(?<=\.)/).map((piece) => stripVTControlCharacters(piece).length));

/** The widest columns give way first: down to their longest piece, and further only where it must be. */
function fitWidths(
  natural: readonly number[],
  pieces: readonly number[],
  columns: number,
): number[] {
  const widths = [...natural];
  for (const floors of [pieces, widths.map(() => 0)]) {
    const floorOf = (index: number): number => Math.max(WIDTH_MIN, floors[index] ?? 0);
    let excess = widths.reduce((sum, width) => sum + width + GAP, -GAP) - columns;
    while (excess > 0) {
      const open = widths.filter((width, index) => width > floorOf(index));
      if (open.length === 0) break;
      const widest = Math.max(...open);
      const index = widths.findIndex((width, at) => width === widest && width > floorOf(at));
      const next = Math.max(floorOf(index), ...widths.filter((width) => width < widest));
      const cut = Math.min(excess, Math.max(1, widest - next));
      widths[index] = widest - cut;
      excess -= cut;
    }
  }
  return widths;
}
