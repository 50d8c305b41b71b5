/**
 * `npm run -s bench -- NAME… [--json]`: our speed against the plain way's, both measured now, on this
 * machine; `plan`, `stop` and `diagnose` stand alone. stdout carries the figures, stderr the progress.
 */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { EXIT, type ExitCode, toPurgeError } from '../../src/domain/errors.ts';
import { benchDiagnose, type DiagnoseReport, describeDiagnoseReport } from './diagnose.ts';
import { benchMany } from './many.ts';
import type { Comparison } from './measure.ts';
import { printTable } from './output.ts';
import { benchPlan, describePlanReport, type PlanReport } from './plan.ts';
import { benchRedis } from './redis.ts';
import { benchRestore } from './restore.ts';
import { openServers, type Servers, type Settings } from './servers.ts';
import { benchStop, describeStopReport, type StopReport } from './stop.ts';
import { benchWhale } from './whale.ts';

interface BenchOptions {
  readonly json: boolean;
  readonly scale: number;
  readonly targetMs?: number;
}

type Report = Comparison | DiagnoseReport | PlanReport | StopReport;
type Benchmark = (servers: Servers, options: BenchOptions) => Promise<Report>;

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  whale: benchWhale,
  'whale-archive': (servers, options) => benchWhale(servers, { ...options, archive: true }),
  many: (servers, { scale }) => benchMany(servers, { scale }),
  'many-archive': (servers, { scale }) => benchMany(servers, { scale }, { archive: true }),
  redis: (servers, { scale }) => benchRedis(servers, scale),
  plan: (servers, { scale }) => benchPlan(servers, scale),
  restore: (servers, { scale }) => benchRestore(servers, scale),
  stop: benchStop,
  diagnose: (servers, { scale }) => benchDiagnose(servers, scale),
};

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<ExitCode> {
  const parsed = parse(argv);
  if (parsed === null) return EXIT.usage;
  const { names, options } = parsed;
  const unknown = names.filter((name) => !Object.hasOwn(BENCHMARKS, name));
  if (unknown.length > 0 || names.length === 0) {
    const what = names.length === 0 ? 'Name a benchmark' : `No benchmark ${unknown.join(', ')}`;
    process.stderr.write(`${what}. There are: ${Object.keys(BENCHMARKS).join(', ')}.\n`);
    return EXIT.usage;
  }
  try {
    await run(names, options);
    return EXIT.done;
  } catch (thrown) {
    const error = toPurgeError(thrown);
    process.stderr.write(`${error.message}\n`);
    return error.exitCode;
  }
}

async function run(names: readonly string[], options: BenchOptions): Promise<void> {
  const servers = await openServers();
  try {
    const reports: Record<string, Report> = {};
    for (const name of names) {
      const benchmark = BENCHMARKS[name];
      if (benchmark !== undefined) reports[name] = await benchmark(servers, options);
    }
    const { settings } = servers;
    if (!options.json) return print(reports, settings);
    const document = Object.entries(reports).map(([name, report]) => [
      name,
      { ...report, scale: options.scale, settings },
    ]);
    process.stdout.write(`${JSON.stringify(Object.fromEntries(document), null, 2)}\n`);
  } finally {
    await servers.stop();
  }
}

/** Comparisons in one table; what is compared with nothing in a line below it. */
function print(reports: Readonly<Record<string, Report>>, settings: Settings): void {
  const comparisons: Record<string, Comparison> = {};
  const others: string[] = [];
  for (const [name, report] of Object.entries(reports)) {
    if (!('kind' in report)) comparisons[name] = report;
    else if (report.kind === 'plan') others.push(describePlanReport(report));
    else if (report.kind === 'diagnose') others.push(describeDiagnoseReport(report));
    else others.push(describeStopReport(report));
  }
  if (Object.keys(comparisons).length > 0) printTable(comparisons, settings);
  for (const line of others) process.stdout.write(`${line}\n`);
}

function parse(
  argv: readonly string[],
): { readonly names: readonly string[]; readonly options: BenchOptions } | null {
  const program = new Command('npm run -s bench --')
    .description('Measure the purge against the plain way, both on this machine, now')
    .argument('[names...]', `benchmarks: ${Object.keys(BENCHMARKS).join(', ')}`)
    .option('--json', 'print one JSON document', false)
    .option('--scale <factor>', 'size of the data; only 1 is comparable', positive, 1)
    .option(
      '--target-ms <ms>',
      "whale, stop: batch.targetMs instead of the product's default",
      positive,
    )
    .exitOverride();
  try {
    program.parse([...argv], { from: 'user' });
    return { names: [...new Set(program.args)], options: program.opts<BenchOptions>() };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) process.exit(EXIT.done); // --help
    return null;
  }
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a number above 0.');
}
