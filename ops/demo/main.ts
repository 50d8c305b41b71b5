/**
 * `npm run demo`: the whole product on a fresh machine. Starts its own PostgreSQL and Redis, seeds a
 * SaaS of 1,848 tenants, shows plan and dry run, purges every tenant that is not kept with real
 * worker processes, and serves Bull Board until Ctrl-C.
 */
import { rmSync } from 'node:fs';
import { EXIT, type ExitCode, toPurgeError } from '../../src/domain/errors.ts';
import { resolveServices } from '../services/start.ts';
import { seedApplication, seedRedis } from './app/seed.ts';
import { spawnChild } from './children.ts';
import { type DemoOptions, parseOptions } from './options.ts';
import { makeTenantPurge, type TenantPurge } from './tenant-purge.ts';

const DATA_DIR = '.data/demo';
const SEEDED_FRESH = { fresh: true } as const;
const PARENT_LOOK_MS = 1_000;

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => interrupted.abort());
}
// Also keeps the process: signals, servers and children do not. A demo whose npm was killed has nobody
// left who could end it.
const parent = process.ppid;
const keepAlive = setInterval(() => {
  if (process.ppid !== parent) interrupted.abort();
}, PARENT_LOOK_MS);
process.exitCode = await main();
clearInterval(keepAlive);

async function main(): Promise<ExitCode> {
  const startedAt = performance.now();
  const options = parseOptions(process.argv.slice(2));
  if (options === null) return EXIT.usage;
  const stops: (() => Promise<void>)[] = [];
  try {
    heading('PostgreSQL and Redis');
    const services = await resolveServices({ dataDir: DATA_DIR, ...SEEDED_FRESH });
    stops.push(() => services.stop());
    say(
      `PostgreSQL ${services.own.postgres ? 'of its own' : 'from DATABASE_URL'}, Redis ${services.own.redis ? 'of its own' : 'from REDIS_URL'}`,
    );
    await seed(services, options);
    return await purgeAndReport(services, options, { startedAt, stops });
  } catch (thrown) {
    if (interrupted.signal.aborted) return EXIT.interrupted;
    const error = toPurgeError(thrown);
    process.stderr.write(`${error.message}\n`);
    return error.exitCode;
  } finally {
    // Last started, first stopped: nobody loses its database under its feet.
    for (const stop of stops.reverse()) await stop().catch(reportFailure);
  }
}

interface Urls {
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

async function seed(urls: Urls, options: DemoOptions): Promise<void> {
  heading('A SaaS of AI agents');
  const { scale, seed: seedNumber } = options;
  const [application, keys] = await Promise.all([
    seedApplication(urls.databaseUrl, { scale, seed: seedNumber }),
    seedRedis(urls.redisUrl, { scale, seed: seedNumber }),
  ]);
  say(
    `${count(application.tenants)} tenants, ${count(application.rows)} rows in ${application.tables} tables, ` +
      `${count(keys.tenantKeys)} Redis keys of tenants beside ${count(keys.strayKeys)} of nobody`,
  );
}

async function purgeAndReport(
  urls: Urls,
  options: DemoOptions,
  run: { readonly startedAt: number; readonly stops: (() => Promise<void>)[] },
): Promise<ExitCode> {
  const tenantPurge = makeTenantPurge(urls, options, interrupted.signal);
  // An earlier demo's archives are of purges that no ledger knows any more.
  rmSync(tenantPurge.archiveDir, { recursive: true, force: true });
  heading('Plan');
  await expectDone(tenantPurge, ['plan']);
  heading('Dry run: nothing is written');
  await expectDone(tenantPurge, ['enqueue', '--all-except', '--dry-run']);

  heading(`Purge, by ${options.workers} worker processes`);
  const children = [...Array.from({ length: options.workers }, () => ['worker']), ['board']].map(
    (argv) => spawnChild([...tenantPurge.flags, ...argv], tenantPurge.env),
  );
  run.stops.push(async () => {
    await Promise.all(children.map((child) => child.stop()));
  });
  const board = children.at(-1);
  const boardUrl = (await board?.firstLine)?.match(/http\S+/)?.[0];
  say(`Bull Board: ${boardUrl}`);
  const exitCode = await tenantPurge.run([
    'enqueue',
    '--all-except',
    '--wait',
    '--confirm',
    await tenantPurge.confirmation(),
  ]);
  if (interrupted.signal.aborted) return EXIT.interrupted;
  const seconds = ((performance.now() - run.startedAt) / 1_000).toFixed(1);
  heading(`Report after ${seconds} s`);
  say(exitCode === EXIT.done ? 'Every purge is complete.' : `Ended with exit code ${exitCode}.`);
  if (exitCode === EXIT.done) {
    heading('Undo: one of them comes back, from the archive');
    await expectDone(tenantPurge, ['restore', tenantPurge.firstTenant]);
  }
  if (options.exit) return exitCode;
  say(`Look at the board: ${boardUrl}`);
  say('Ctrl-C ends everything and leaves nothing running.');
  await new Promise<void>((resolve) => {
    interrupted.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  return exitCode;
}

async function expectDone(tenantPurge: TenantPurge, argv: readonly string[]): Promise<void> {
  const exitCode = await tenantPurge.run(argv);
  if (exitCode !== EXIT.done)
    throw new Error(`tenant-purge ${argv.join(' ')} ended with ${exitCode}`);
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function heading(title: string): void {
  say(`\n── ${title} ${'─'.repeat(Math.max(3, 74 - title.length))}`);
}

function reportFailure(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
}
