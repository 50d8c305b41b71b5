import Table from 'cli-table3';
import type { Comparison } from './measure.ts';
import type { Settings } from './servers.ts';

/** Figures for people, on stdout. */
export function printTable(
  reports: Readonly<Record<string, Comparison>>,
  settings: Settings,
): void {
  const table = new Table({
    head: ['benchmark', 'ours', 'plain', 'ratio', 'wanted', ''],
    // No colours: the figures go into files and notes.
    style: { head: [], border: [] },
  });
  for (const [name, report] of Object.entries(reports)) {
    const { ours, plain, ratio, wanted, met } = report;
    table.push([name, `${ours} s`, `${plain} s`, ratio, `≥ ${wanted}`, met ? 'met' : 'MISSED']);
  }
  const lines = [table.toString(), describe(settings)];
  for (const [name, report] of Object.entries(reports)) lines.push(`${name}: ${details(report)}`);
  process.stdout.write(`${lines.join('\n')}\n`);
}

const describe = (facts: object): string =>
  Object.entries(facts)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');

const SHOWN = new Set(['ratio', 'wanted', 'met', 'ours', 'plain']);

/** Everything a report has beyond the table. */
const details = (report: Comparison): string =>
  JSON.stringify(Object.fromEntries(Object.entries(report).filter(([name]) => !SHOWN.has(name))));
