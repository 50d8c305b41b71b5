import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { GuardianAnswer, ServiceOptions, ServiceUrls } from './options.ts';

export type { PostgresSettings, ServiceOptions, TlsFiles } from './options.ts';

/** Running servers. */
export type Services = ServiceUrls & {
  /** Stops the servers and waits until they are gone; idempotent. */
  stop(): Promise<void>;
  /** Settles when the servers are gone: with undefined after `stop`, else with the reason. */
  readonly ended: Promise<string | undefined>;
};

type Guardian = ChildProcessByStdio<Writable, Readable, Readable>;

/** Above the guardian's own bounds for a stop: fast and immediate shutdown, then SIGKILL. */
const stopLimitMs = 75_000;
const reasonLines = 20;

/**
 * Starts PostgreSQL and Redis on free loopback ports, data in `dataDir`. They end with `stop()` or
 * with this process, however that ends, SIGKILL included; they do not keep it from ending.
 * `databaseUrl` is a superuser's; the URL of a service that was switched off is empty.
 * Throws one clear message when a server cannot be had, or when a living run uses the folder.
 */
export async function startServices(options: ServiceOptions): Promise<Services> {
  const guardian = spawnGuardian({ ...options, dataDir: resolve(options.dataDir) });
  const lastWords = relay(guardian.stderr);
  let stopping: Promise<void> | undefined;
  const gone = once(guardian, 'close');
  const urls = await readAnswer(guardian, lastWords);
  release(guardian);
  return {
    ...urls,
    stop: () => (stopping ??= endGuardian(guardian, gone)),
    ended: gone.then(() =>
      stopping === undefined
        ? (lastWords.at(-1) ?? 'The services ended by themselves.')
        : undefined,
    ),
  };
}

/**
 * As `startServices`, but `DATABASE_URL` and `REDIS_URL`, each where it is set, stand for servers
 * that run already; those are left alone by `stop()`.
 */
export async function resolveServices(
  options: ServiceOptions,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Services & { readonly own: { readonly postgres: boolean; readonly redis: boolean } }> {
  const given = { database: environment['DATABASE_URL'], redis: environment['REDIS_URL'] };
  const own = { postgres: !given.database, redis: !given.redis };
  const services =
    own.postgres || own.redis
      ? await startServices({
          ...options,
          ...(own.postgres ? {} : { postgres: false }),
          ...(own.redis ? {} : { redis: false }),
        })
      : nothingStarted();
  return {
    ...services,
    databaseUrl: given.database || services.databaseUrl,
    redisUrl: given.redis || services.redisUrl,
    own,
  };
}

function spawnGuardian(options: ServiceOptions): Guardian {
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const program = fileURLToPath(new URL('./guardian.ts', import.meta.url));
  return spawn(process.execPath, ['--import', tsx, program, JSON.stringify(options)], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' }, // no inspector or coverage of the caller's
  });
}

/** Passes the guardian's words on to people, and keeps the last ones for an error. */
function relay(stderr: Readable): string[] {
  const lines: string[] = [];
  createInterface({ input: stderr }).on('line', (line) => {
    lines.push(line);
    if (lines.length > reasonLines) lines.shift();
    process.stderr.write(`${line}\n`);
  });
  return lines;
}

async function readAnswer(guardian: Guardian, lastWords: readonly string[]): Promise<ServiceUrls> {
  const lines = createInterface({ input: guardian.stdout });
  for await (const line of lines) {
    const answer: GuardianAnswer = JSON.parse(line);
    if (answer.kind === 'failed') throw new Error(answer.message);
    return { databaseUrl: answer.databaseUrl ?? '', redisUrl: answer.redisUrl ?? '' };
  }
  throw new Error(`The services ended before they were ready. ${lastWords.join('\n')}`);
}

/** The caller may end without a word: the guardian notices. */
function release(guardian: Guardian): void {
  guardian.unref();
  for (const stream of [guardian.stdin, guardian.stdout, guardian.stderr]) {
    if ('unref' in stream && typeof stream.unref === 'function') stream.unref();
  }
}

async function endGuardian(guardian: Guardian, gone: Promise<unknown>): Promise<void> {
  guardian.ref();
  guardian.stdin.end();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`The services (process ${guardian.pid}) did not end in time.`)),
      stopLimitMs,
    );
  });
  try {
    await Promise.race([gone, late]);
  } finally {
    clearTimeout(timer);
  }
}

function nothingStarted(): Services {
  return {
    databaseUrl: '',
    redisUrl: '',
    stop: () => Promise.resolve(),
    ended: new Promise(() => undefined),
  };
}
