import { execFile } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createPrivateFolder, type DataFolder, giveTo, type ServerUser } from './data-folder.ts';
import { type PostgresSettings, postgresPassword, postgresUser, type TlsFiles } from './options.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { errorMessage, waitUntil } from './processes.ts';
import {
  findFreePort,
  readLogTail,
  type ServerProcess,
  serverEnvironment,
  startServer,
  stopServer,
} from './server-process.ts';
import { bringTlsFiles } from './tls-files.ts';

type PostgresRequest = {
  readonly binaries: PostgresBinaries;
  readonly folder: DataFolder;
  readonly user: ServerUser;
  readonly settings: PostgresSettings;
  readonly fresh: boolean;
  readonly port: number | undefined;
  readonly tls?: TlsFiles | undefined;
  readonly tlsOnly?: boolean;
};

/** Fit for the demo and the benchmarks on two cores; durability as PostgreSQL ships it. */
const defaultSettings: PostgresSettings = {
  shared_buffers: '512MB',
  max_wal_size: '8GB',
  max_connections: 200,
};

const initdbLimitMs = 120_000;
/** Long, because crash recovery after a kill counts as starting. */
const startLimitMs = 120_000;
const stopLimitMs = 20_000;
const portAttempts = 3;

/** Starts PostgreSQL on loopback, creating its data folder first; returns when it takes connections. */
export async function startPostgres(
  request: PostgresRequest,
): Promise<{ server: ServerProcess; url: string; mark: string }> {
  const dataFolder = join(request.folder.room, `pgdata-${request.binaries.major}`);
  if (request.fresh) rmSync(dataFolder, { recursive: true, force: true });
  await initialise(request, dataFolder);
  const user = ownerOf(dataFolder, request.user);
  const settings = { ...request.settings, ...tlsSettings(request, dataFolder, user) };
  for (let attempt = 1; ; attempt += 1) {
    const port = request.port ?? (await findFreePort());
    const logFile = join(request.folder.dataDir, 'postgres.log');
    const server = await startServer({
      command: request.binaries.postgres,
      args: serverArguments(dataFolder, port, settings),
      user,
      folder: dataFolder,
      logFile,
      signalOnOrphan: 'INT',
    });
    if (await becomesReady(server, dataFolder)) {
      const url = `postgres://${postgresUser}:${postgresPassword}@127.0.0.1:${port}/postgres`;
      return { server, url, mark: dataFolder };
    }
    await stopPostgres(server);
    const log = readLogTail(logFile);
    // Somebody else may take a free port before the server does.
    if (attempt < portAttempts && log.includes('Address already in use')) continue;
    throw new Error(`PostgreSQL did not start on port ${port}. Its log (${logFile}) ends:\n${log}`);
  }
}

/** Fast shutdown; immediate when that takes longer than 20 s. */
export async function stopPostgres(server: ServerProcess): Promise<void> {
  await stopServer(server, { gently: 'SIGINT', firmly: 'SIGQUIT' }, stopLimitMs);
}

async function initialise(request: PostgresRequest, dataFolder: string): Promise<void> {
  const complete = join(dataFolder, 'tenant-purge-initialised');
  if (existsSync(complete)) return;
  rmSync(dataFolder, { recursive: true, force: true }); // an initdb that was cut short
  createPrivateFolder(dataFolder, request.user);
  const passwordFile = `${dataFolder}.password`;
  writeFileSync(passwordFile, postgresPassword, { mode: 0o600 });
  giveTo(passwordFile, request.user);
  try {
    await promisify(execFile)(
      request.binaries.initdb,
      [
        `--pgdata=${dataFolder}`,
        `--username=${postgresUser}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale=C', // the one locale that every machine has
        '--no-sync', // the first checkpoint of the server writes what matters
      ],
      { ...request.user.ids, cwd: dataFolder, env: serverEnvironment(), timeout: initdbLimitMs },
    );
  } catch (error) {
    throw new Error(`PostgreSQL's data folder could not be created: ${errorMessage(error)}`, {
      cause: error,
    });
  } finally {
    rmSync(passwordFile, { force: true });
  }
  writeFileSync(complete, '');
}

/** A folder made by an earlier run keeps its owner, even if this run would choose another user. */
function ownerOf(dataFolder: string, user: ServerUser): ServerUser {
  if (!('uid' in user.ids)) return user;
  const { uid, gid } = statSync(dataFolder);
  return uid === 0 ? user : { ids: { uid, gid } };
}

function tlsSettings(
  { folder, tls, tlsOnly }: PostgresRequest,
  dataFolder: string,
  user: ServerUser,
): PostgresSettings {
  if (tls === undefined) return {};
  const { certificateFile, keyFile } = bringTlsFiles(tls, folder.room, user);
  const files = { ssl: true, ssl_cert_file: certificateFile, ssl_key_file: keyFile };
  if (!tlsOnly) return files;
  const hbaFile = join(dataFolder, 'tls-only.conf');
  writeFileSync(hbaFile, 'hostssl all all 127.0.0.1/32 scram-sha-256\n', { mode: 0o600 });
  giveTo(hbaFile, user);
  return { ...files, hba_file: hbaFile };
}

function serverArguments(dataFolder: string, port: number, settings: PostgresSettings): string[] {
  const all: PostgresSettings = {
    ...defaultSettings,
    ...settings,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
  };
  const flags = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return ['-D', dataFolder, '-p', String(port), ...flags];
}

/** The eighth line of postmaster.pid says `ready`; pg_ctl waits for the same. */
async function becomesReady(server: ServerProcess, dataFolder: string): Promise<boolean> {
  const isReady = (): boolean => {
    try {
      const lines = readFileSync(join(dataFolder, 'postmaster.pid'), 'utf8').split('\n');
      return lines[0] === String(server.pid) && lines[7]?.trim() === 'ready';
    } catch {
      return false;
    }
  };
  await waitUntil(() => server.hasEnded() || isReady(), startLimitMs);
  return !server.hasEnded() && isReady();
}
