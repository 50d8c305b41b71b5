import Table from 'cli-table3';
import { FAULT_KINDS, isFaultKind } from './faults/kinds.ts';
import type { RoundResult } from './progress-file.ts';
import { replayCommand } from './round-plan.ts';

/** One line a kind of fault, then the rounds that failed with the commands that repeat them. */
export function renderSummary(results: readonly RoundResult[]): string {
  const table = new Table({
    head: ['fault', 'rounds', 'too late', 'failed', 'median s', 'max s'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const kind of FAULT_KINDS) {
    const rounds = results.filter(({ faults }) => faults.includes(kind));
    if (rounds.length === 0) continue;
    table.push([kind, ...figures(rounds, kind)]);
  }
  table.push(['all', ...figures(results, null)]);
  const rows = sum(results.map((one) => one.rows));
  const takeovers = sum(results.map((one) => one.takeovers));
  const lines = [
    table.toString(),
    `${rows} rows deleted, ${takeovers} takeovers.`,
    describeArchives(results),
  ];
  for (const result of results.filter(({ passed }) => !passed)) lines.push(renderFailure(result));
  return lines.join('\n');
}

/** What was wrong in a round, and how to see it again. */
export function renderFailure(result: RoundResult): string {
  const only = result.only !== null && isFaultKind(result.only) ? result.only : null;
  return [
    `Round ${result.round} of seed ${result.seed} failed (${result.faults.join(', ')}):`,
    ...result.problems.map((problem) => `  ${problem.replaceAll('\n', '\n    ')}`),
    `  again: ${replayCommand(result, only)}`,
  ].join('\n');
}

function describeArchives(results: readonly RoundResult[]): string {
  const restored = results.flatMap((one) => one.restored ?? []);
  const counts = [...new Set(restored)].sort().map((status) => {
    const purges = restored.filter((one) => one === status).length;
    return `${purges} ${status}`;
  });
  const rows = sum(results.map((one) => one.rowsRestored));
  return [
    `${results.filter(({ archived }) => archived).length} rounds archived`,
    `${restored.length} purges restored${counts.length === 0 ? '' : ` (${counts.join(', ')})`} with ${rows} rows.`,
  ].join(', ');
}

function figures(rounds: readonly RoundResult[], kind: string | null): string[] {
  const seconds = rounds.map(({ durationMs }) => durationMs / 1_000).sort((a, b) => a - b);
  const late = rounds.filter((one) =>
    kind === null ? one.late.length > 0 : one.late.includes(kind),
  );
  return [
    String(rounds.length),
    String(late.length),
    String(rounds.filter(({ passed }) => !passed).length),
    (seconds[Math.floor(seconds.length / 2)] ?? 0).toFixed(1),
    (seconds.at(-1) ?? 0).toFixed(1),
  ];
}

const sum = (numbers: readonly number[]): number => numbers.reduce((one, other) => one + other, 0);
