import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { findServerUser, giveTo, openSharedFolder } from './data-folder.ts';
import { canInstallPackages, installPackage } from './debian-package.ts';
import { findProgram, pathFolders } from './find-program.ts';
import { errorMessage, waitUntil } from './processes.ts';
import {
  findFreePort,
  readLogTail,
  type ServerProcess,
  startServer,
  stopServer,
} from './server-process.ts';

type PgBouncerRequest = {
  readonly program: string;
  /** The server behind it; every database of that server can be had through the pooler. */
  readonly databaseUrl: string;
  /** Connections to the server, per database and user. */
  readonly poolSize: number;
};

export type PgBouncer = {
  /** The URL of `databaseUrl`'s database through the pooler. */
  readonly url: string;
  readonly server: ServerProcess;
  stop(): Promise<void>;
};

/** Debian puts it where only root's PATH looks. */
const findPgBouncer = (): string | null =>
  findProgram(['pgbouncer'], [...pathFolders(), '/usr/sbin', '/usr/local/sbin']);
const pgbouncerPackage = {
  name: 'pgbouncer',
  reason: 'There is no PgBouncer on this machine',
  otherwise: 'Install it by hand, or do without the tests that need it.',
};
const startLimitMs = 10_000;
const stopLimitMs = 5_000;

/** PgBouncer's program; installs Debian's where it can, and says so. Null where there is none. */
export async function providePgBouncer(say: (line: string) => void): Promise<string | null> {
  const found = findPgBouncer();
  if (found !== null || !canInstallPackages()) return found;
  try {
    await installPackage(pgbouncerPackage, say);
  } catch (error) {
    say(errorMessage(error));
  }
  return findPgBouncer();
}

/**
 * Starts PgBouncer in transaction mode on a free loopback port, with what Debian's package sets and
 * no more: no ignored startup parameters, nothing reset between transactions. It dies with this
 * process; `stop()` ends it before.
 */
export async function startPgBouncer(request: PgBouncerRequest): Promise<PgBouncer> {
  const user = findServerUser();
  const { hostname, port: serverPort, username, password } = new URL(request.databaseUrl);
  const port = await findFreePort();
  const folder = openSharedFolder(`pgbouncer ${process.pid} ${port}`);
  const write = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    giveTo(file, user);
    return file;
  };
  const userList = write('userlist.txt', `"${username}" "${decodeURIComponent(password)}"\n`);
  const configuration = write(
    'pgbouncer.ini',
    [
      '[databases]',
      `* = host=${hostname} port=${serverPort}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = scram-sha-256',
      `auth_file = ${userList}`,
      'pool_mode = transaction',
      `default_pool_size = ${request.poolSize}`,
      'query_wait_timeout = 20',
      '',
    ].join('\n'),
  );
  const logFile = join(folder, 'pgbouncer.log');
  const server = await startServer({
    command: request.program,
    args: [configuration],
    user,
    folder,
    logFile,
    signalOnOrphan: 'TERM',
  });
  const url = new URL(request.databaseUrl);
  url.port = String(port);
  const ready = await waitUntil(async () => server.hasEnded() || answers(url.href), startLimitMs);
  const stop = async (): Promise<void> => {
    await stopServer(server, { gently: 'SIGINT', firmly: 'SIGTERM' }, stopLimitMs);
    rmSync(folder, { recursive: true, force: true });
  };
  if (!ready || server.hasEnded()) {
    const log = readLogTail(logFile);
    await stop();
    throw new Error(`PgBouncer did not start. Its log ends:\n${log}`);
  }
  return { url: url.href, server, stop };
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
