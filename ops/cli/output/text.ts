import { stripVTControlCharacters } from 'node:util';

const NUMBERS = new Intl.NumberFormat('en-US');

/** `1,048,576`. */
export const formatNumber = (value: number): string => NUMBERS.format(value);

/** `1 row`, `2 rows`. */
export const plural = (count: number, word: string): string =>
  `${formatNumber(count)} ${word}${count === 1 ? '' : 's'}`;

/** `850 ms`, `12.3 s`, `4 min 10 s`, `2 h 5 min`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1_000) return `${Math.round(durationMs)} ms`;
  const seconds = durationMs / 1_000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A quoted phrase counts as one word, with what touches it. */
const WORDS = /(?:"[^"]*"|[^\s"])+|"/g;

const widthOf = (text: string): number => stripVTControlCharacters(text).length;

/**
 * Breaks lines at blanks; a word that is too long stays whole, and so does what is quoted, so that
 * it can be copied.
 */
export function wrap(text: string, columns: number, indent = ''): string {
  return text
    .split('\n')
    .map((line) => wrapLine(line, columns, indent))
    .join('\n');
}

function wrapLine(line: string, columns: number, indent: string): string {
  const lead = indent + (/^ */.exec(line)?.[0] ?? '');
  const lines: string[] = [];
  let current = '';
  for (const word of line.trim().match(WORDS) ?? []) {
    if (current !== '' && widthOf(lead) + widthOf(current) + 1 + widthOf(word) > columns) {
      lines.push(current);
      current = word;
    } else {
      current = current === '' ? word : `${current} ${word}`;
    }
  }
  lines.push(current);
  return lines.map((one, index) => (index === 0 ? lead : `${lead}  `) + one).join('\n');
}
