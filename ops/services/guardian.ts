/**
 * The guardian: owns the two servers on behalf of the process that started it, and ends them when
 * that process ends, in whatever way. It runs in a session of its own, so that Ctrl-C in a terminal
 * reaches the caller alone, which may still need its databases to shut down in order. Its standard
 * input is a pipe that only the caller holds: end of file means that the caller is gone.
 */
import {
  type DataFolder,
  findServerUser,
  openDataFolder,
  removeDataFolder,
  type ServerUser,
} from './data-folder.ts';
import type { GuardianAnswer, ServiceOptions } from './options.ts';
import { findPostgresBinaries } from './postgres-binaries.ts';
import { startPostgres, stopPostgres } from './postgres-server.ts';
import { errorMessage } from './processes.ts';
import { provideRedisProgram, startRedis, stopRedis } from './redis-server.ts';
import {
  claimFolder,
  type RecordedProcess,
  releaseFolder,
  updateRecord,
} from './running-record.ts';
import type { ServerProcess } from './server-process.ts';

type Running = { readonly name: string; readonly server: ServerProcess; stop(): Promise<void> };

const options: ServiceOptions = JSON.parse(process.argv[2] ?? '{}');
const running: Running[] = [];
const recorded: RecordedProcess[] = [];
let claimed = false;

// Writes to a caller that is gone must not end the guardian before its work is done.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);
process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => undefined);

const callerGone = new Promise<string>((resolve) => {
  process.stdin.on('end', () => resolve('')).on('error', () => resolve(''));
  process.stdin.resume();
  process.once('SIGTERM', () => resolve(''));
});

process.exitCode = await run();
// Nothing may keep the guardian once its servers are gone.
process.exit();

async function run(): Promise<number> {
  try {
    answer(await start());
    const reason = await Promise.race([callerGone, ...running.map(endOf)]);
    if (reason !== '') say(reason);
    return reason === '' ? 0 : 1;
  } catch (error) {
    answer({ kind: 'failed', message: errorMessage(error) });
    return 1;
  } finally {
    if (claimed) updateRecord(options.dataDir, { servers: recorded, ending: true });
    await Promise.all(running.map((one) => one.stop()));
    if (claimed) {
      releaseFolder(options.dataDir);
      if (options.ephemeral === true) removeDataFolder(options.dataDir);
    }
  }
}

async function start(): Promise<GuardianAnswer> {
  const user = findServerUser();
  const folder = openDataFolder(options.dataDir, user);
  await claimFolder(folder.dataDir);
  claimed = true;
  const [databaseUrl, redisUrl] = [
    await startOwnPostgres(folder, user),
    await startOwnRedis(folder, user),
  ];
  return {
    kind: 'ready',
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
    ...(redisUrl === undefined ? {} : { redisUrl }),
  };
}

async function startOwnPostgres(folder: DataFolder, user: ServerUser): Promise<string | undefined> {
  if (options.postgres === false) return undefined;
  const { server, url, mark } = await startPostgres({
    binaries: findPostgresBinaries(options.postgresVersion, user),
    folder,
    user,
    settings: options.postgres?.settings ?? {},
    fresh: options.fresh ?? false,
    port: options.postgres?.port,
    tls: options.postgres?.tls,
    tlsOnly: options.postgres?.tlsOnly ?? false,
  });
  note({ name: 'PostgreSQL', server, stop: () => stopPostgres(server) }, mark);
  return url;
}

async function startOwnRedis(folder: DataFolder, user: ServerUser): Promise<string | undefined> {
  if (options.redis === false) return undefined;
  const { server, url, mark } = await startRedis({
    program: await provideRedisProgram(say),
    folder,
    user,
    databases: options.redis?.databases,
    port: options.redis?.port,
    tls: options.redis?.tls,
  });
  note({ name: 'Redis', server, stop: () => stopRedis(server) }, mark);
  return url;
}

function note(one: Running, mark: string): void {
  running.push(one);
  recorded.push({ pid: one.server.pid, mark });
  updateRecord(options.dataDir, { servers: recorded, ending: false });
}

async function endOf({ name, server }: Running): Promise<string> {
  const how = await server.ended;
  return `${name} ended by itself (${how}); its log is in ${options.dataDir}.`;
}

function answer(line: GuardianAnswer): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
