import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createPrivateFolder, type DataFolder, type ServerUser } from './data-folder.ts';
import { canInstallPackages, installPackage } from './debian-package.ts';
import { findProgram, pathFolders } from './find-program.ts';
import type { TlsFiles } from './options.ts';
import { waitUntil } from './processes.ts';
import {
  findFreePort,
  readLogTail,
  type ServerProcess,
  startServer,
  stopServer,
} from './server-process.ts';
import { bringTlsFiles } from './tls-files.ts';

type RedisRequest = {
  readonly program: string;
  readonly folder: DataFolder;
  readonly user: ServerUser;
  readonly databases: number | undefined;
  readonly port: number | undefined;
  readonly tls?: TlsFiles | undefined;
};

const findRedis = (): string | null =>
  findProgram(['redis-server', 'valkey-server'], pathFolders());
const REDIS_PACKAGE = {
  name: 'redis-server',
  reason: 'There is no Redis on this machine',
  otherwise: 'Install it by hand, or set REDIS_URL to a server of yours.',
};
const defaultDatabases = 16;
const startLimitMs = 20_000;
const stopLimitMs = 5_000;
const portAttempts = 3;

/** The program of a Redis or Valkey on this machine; installs Debian's where it can, and says so. */
export async function provideRedisProgram(say: (line: string) => void): Promise<string> {
  const found = findRedis();
  if (found !== null) return found;
  if (canInstallPackages()) {
    await installPackage(REDIS_PACKAGE, say);
    const installed = findRedis();
    if (installed !== null) return installed;
  }
  throw new Error(
    'Redis is needed and there is none on this machine: install the package redis-server (or ' +
      'valkey-server), or run `docker compose up -d redis` and set REDIS_URL=redis://127.0.0.1:6379, ' +
      'or set REDIS_URL to a server of yours.',
  );
}

/** Starts Redis on loopback without persistence; returns when it answers. */
export async function startRedis(
  request: RedisRequest,
): Promise<{ server: ServerProcess; url: string; mark: string }> {
  const folder = join(request.folder.room, 'redis');
  createPrivateFolder(folder, request.user);
  const tls =
    request.tls === undefined ? undefined : bringTlsFiles(request.tls, folder, request.user);
  for (let attempt = 1; ; attempt += 1) {
    const port = request.port ?? (await findFreePort());
    const logFile = join(request.folder.dataDir, 'redis.log');
    const server = await startServer({
      command: request.program,
      args: serverArguments(folder, port, request.databases ?? defaultDatabases, tls),
      user: request.user,
      folder,
      logFile,
      signalOnOrphan: 'TERM',
    });
    const url = `${tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${port}`;
    // Redis rewrites its command line to `redis-server 127.0.0.1:PORT`.
    if (await becomesReady(server, url)) return { server, url, mark: `:${port}` };
    await stopRedis(server);
    const log = readLogTail(logFile);
    if (attempt < portAttempts && log.includes('Address already in use')) continue;
    throw new Error(`Redis did not start on port ${port}. Its log (${logFile}) ends:\n${log}`);
  }
}

export async function stopRedis(server: ServerProcess): Promise<void> {
  await stopServer(server, { gently: 'SIGTERM', firmly: 'SIGTERM' }, stopLimitMs);
}

function serverArguments(
  folder: string,
  port: number,
  databases: number,
  tls: TlsFiles | undefined,
): string[] {
  const settings = {
    '--bind': '127.0.0.1',
    ...portSettings(port, tls),
    '--dir': folder,
    '--save': '',
    '--appendonly': 'no',
    '--databases': String(databases),
  };
  return Object.entries(settings).flat();
}

const portSettings = (port: number, tls: TlsFiles | undefined): Record<string, string> =>
  tls === undefined
    ? { '--port': String(port) }
    : {
        '--port': '0',
        '--tls-port': String(port),
        '--tls-cert-file': tls.certificateFile,
        '--tls-key-file': tls.keyFile,
        '--tls-auth-clients': 'no',
      };

async function becomesReady(server: ServerProcess, url: string): Promise<boolean> {
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: null,
    // Whether it answers, on loopback: whose certificate it has is the caller's business.
    ...(url.startsWith('rediss:') ? { tls: { rejectUnauthorized: false } } : {}),
  });
  client.on('error', () => undefined); // refused until it listens
  const answers = async (): Promise<boolean> => {
    try {
      if (client.status !== 'ready') await client.connect();
      return (await client.ping()) === 'PONG';
    } catch {
      return false;
    }
  };
  const ready = await waitUntil(async () => server.hasEnded() || (await answers()), startLimitMs);
  client.disconnect();
  return ready && !server.hasEnded();
}
