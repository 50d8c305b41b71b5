import { parseArgs } from 'node:util';
import { FAULT_KINDS, FAULTS, type FaultKind, isFaultKind } from './faults/kinds.ts';
import { appendResult, type RoundResult, readResults } from './progress-file.ts';
import { runChaos } from './run.ts';
import { renderFailure, renderSummary } from './summary.ts';

const EXIT = { done: 0, failed: 1, usage: 2 } as const;
const LIMIT_S = 90;
const SEED = 1848;

const HELP = `npm run -s chaos -- [--rounds N] [--seed S] [--only KIND] [--resume FILE]

  --rounds N     rounds in all, those that FILE holds included (default 10)
  --seed S       what is left to chance comes from it (default ${SEED}, or that of FILE)
  --only KIND    faults of this kind alone
  --round N      this one round, e.g. one that failed
  --resume FILE  append each round to FILE, and go on after those that it holds
  --limit-s N    a purge that has not ended so long after the last fault has failed (${LIMIT_S})
  --verbose      say what is done, and when

Kinds:
${FAULT_KINDS.map((kind) => `  ${kind.padEnd(22)} ${FAULTS[kind]}`).join('\n')}

Exit codes: 0 every round passed, 1 a round failed, 2 usage.
`;

interface Options {
  readonly rounds: number;
  readonly seed: number | null;
  readonly only: FaultKind | null;
  readonly round: number | null;
  readonly resume: string | null;
  readonly limitMs: number;
  readonly verbose: boolean;
}

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions();
  if (typeof options === 'number') return options;
  const earlier = options.resume === null ? [] : readResults(options.resume);
  const seed = options.seed ?? earlier.at(-1)?.seed ?? SEED;
  const ofThisRun = (result: RoundResult): boolean =>
    result.seed === seed && result.only === options.only;
  const done = new Set(earlier.filter(ofThisRun).map(({ round }) => round));
  const wanted =
    options.round === null
      ? Array.from({ length: options.rounds }, (_, index) => index + 1)
      : [options.round];
  const results = await runChaos({
    seed,
    rounds: wanted.filter((round) => options.round !== null || !done.has(round)),
    only: options.only,
    limitMs: options.limitMs,
    onNote: (text) => {
      if (options.verbose) process.stderr.write(`  ${text}\n`);
    },
    onResult: (result) => {
      process.stderr.write(`${describe(result)}\n`);
      if (!result.passed) process.stderr.write(`${renderFailure(result)}\n`);
      if (options.resume !== null) appendResult(options.resume, result);
    },
  });
  const all = [...earlier.filter(ofThisRun), ...results];
  process.stdout.write(`${renderSummary(all)}\n`);
  return all.every(({ passed }) => passed) ? EXIT.done : EXIT.failed;
}

function readOptions(): Options | number {
  try {
    const { values } = parseArgs({
      options: {
        rounds: { type: 'string', default: '10' },
        seed: { type: 'string' },
        only: { type: 'string' },
        round: { type: 'string' },
        resume: { type: 'string' },
        'limit-s': { type: 'string', default: String(LIMIT_S) },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(HELP);
      return EXIT.done;
    }
    const { only } = values;
    if (only !== undefined && !isFaultKind(only)) throw new Error(`--only: there is no ${only}`);
    return {
      rounds: wholeNumber('--rounds', values.rounds),
      seed: values.seed === undefined ? null : wholeNumber('--seed', values.seed),
      only: only ?? null,
      round: values.round === undefined ? null : wholeNumber('--round', values.round),
      resume: values.resume ?? null,
      limitMs: wholeNumber('--limit-s', values['limit-s']) * 1_000,
      verbose: values.verbose,
    };
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
    return EXIT.usage;
  }
}

function wholeNumber(flag: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new Error(`${flag}: "${text}" is no whole number`);
}

function describe(result: RoundResult): string {
  const { round, passed, faults, late, statuses, durationMs, takeovers } = result;
  return [
    `round ${String(round).padStart(3)}`,
    passed ? 'passed' : 'FAILED',
    `${(durationMs / 1_000).toFixed(1).padStart(5)} s`,
    Object.entries(statuses)
      .map(([status, purges]) => `${purges} ${status}`)
      .join(' '),
    `${takeovers} takeovers`,
    describeArchive(result),
    faults.map((fault) => (late.includes(fault) ? `(${fault})` : fault)).join(', '),
  ].join('  ');
}

function describeArchive({ archived, restored, rowsRestored }: RoundResult): string {
  if (!archived) return 'no archive';
  return restored === null
    ? 'archived'
    : `archived, ${rowsRestored} rows of one ${restored} restored`;
}
