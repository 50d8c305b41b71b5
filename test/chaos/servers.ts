import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type DataFolder,
  findServerUser,
  openDataFolder,
  removeDataFolder,
  type ServerUser,
} from '../../ops/services/data-folder.ts';
import { findPostgresBinaries } from '../../ops/services/postgres-binaries.ts';
import { startPostgres, stopPostgres } from '../../ops/services/postgres-server.ts';
import { readCommandLine } from '../../ops/services/processes.ts';
import { provideRedisProgram, startRedis, stopRedis } from '../../ops/services/redis-server.ts';
import type { ServerProcess } from '../../ops/services/server-process.ts';

const FOLDER = /^chaos-(\d+)$/;
/** PostgreSQL is killed, the machine never is: without fsync rounds are several times shorter. */
const SETTINGS = { fsync: 'off', shared_buffers: '128MB', max_connections: 200 };

/**
 * PostgreSQL and Redis of this process alone, in a folder that goes with them, on ports that outlast
 * their crashes. They end with this process, however that ends.
 */
export class ChaosServers {
  readonly folder: string;
  readonly #place: { readonly folder: DataFolder; readonly user: ServerUser };
  readonly #redisProgram: string;
  #postgres: ServerProcess;
  #redis: ServerProcess;
  readonly #postgresUrl: URL;
  readonly #redisUrl: URL;
  /** One thing at a time is done to each server. */
  #postgresWork: Promise<unknown> = Promise.resolve();
  #redisWork: Promise<unknown> = Promise.resolve();

  private constructor(made: {
    folder: DataFolder;
    user: ServerUser;
    redisProgram: string;
    postgres: { server: ServerProcess; url: string };
    redis: { server: ServerProcess; url: string };
  }) {
    this.folder = made.folder.dataDir;
    this.#place = made;
    this.#redisProgram = made.redisProgram;
    this.#postgres = made.postgres.server;
    this.#redis = made.redis.server;
    this.#postgresUrl = new URL(made.postgres.url);
    this.#redisUrl = new URL(made.redis.url);
  }

  /** @param dataDir a folder `chaos-PID` of this process; those of dead ones beside it go */
  static async start(dataDir: string): Promise<ChaosServers> {
    removeDeadRuns(dirname(dataDir));
    const user = findServerUser();
    const folder = openDataFolder(dataDir, user);
    const redisProgram = await provideRedisProgram((line) => process.stderr.write(`${line}\n`));
    const [postgres, redis] = await Promise.all([
      startPostgres({ ...postgresRequest({ folder, user }), fresh: true, port: undefined }),
      startRedis({ program: redisProgram, folder, user, databases: undefined, port: undefined }),
    ]);
    return new ChaosServers({ folder, user, redisProgram, postgres, redis });
  }

  get postgresPort(): number {
    return Number(this.#postgresUrl.port);
  }

  get redisPort(): number {
    return Number(this.#redisUrl.port);
  }

  /** The superuser's URL of a database, by the server's own port or a proxy's. */
  postgresUrl(database: string, port = this.postgresPort): string {
    const url = new URL(this.#postgresUrl);
    url.pathname = `/${database}`;
    url.port = String(port);
    return url.href;
  }

  redisUrl(port = this.redisPort): string {
    return `redis://127.0.0.1:${port}/0`;
  }

  /** Ends PostgreSQL as a crash would (immediate shutdown), and starts it again after `downMs`. */
  async crashPostgres(downMs: number): Promise<void> {
    await this.#withPostgres(async () => {
      this.#postgres.signal('SIGQUIT');
      await this.#postgres.ended;
      await pause(downMs);
      const { server } = await startPostgres({
        ...postgresRequest(this.#place),
        fresh: false,
        port: this.postgresPort,
      });
      this.#postgres = server;
    });
  }

  /** Ends Redis with everything in it, and starts an empty one after `downMs`. */
  async crashRedis(downMs: number): Promise<void> {
    await this.#withRedis(async () => {
      this.#redis.signal('SIGKILL');
      await this.#redis.ended;
      await pause(downMs);
      const { server } = await startRedis({
        ...this.#place,
        program: this.#redisProgram,
        databases: undefined,
        port: this.redisPort,
      });
      this.#redis = server;
    });
  }

  /** Redis gives no answer for this long, and then all of them. */
  async hangRedis(hangMs: number): Promise<void> {
    await this.#withRedis(async () => {
      this.#redis.signal('SIGSTOP');
      await pause(hangMs);
      this.#redis.signal('SIGCONT');
    });
  }

  async stop(): Promise<void> {
    await Promise.all([this.#postgresWork, this.#redisWork]);
    await Promise.all([stopPostgres(this.#postgres), stopRedis(this.#redis)]);
    removeDataFolder(this.folder);
  }

  async #withPostgres(work: () => Promise<void>): Promise<void> {
    const mine = this.#postgresWork.then(work);
    this.#postgresWork = mine.catch(() => undefined);
    await mine;
  }

  async #withRedis(work: () => Promise<void>): Promise<void> {
    const mine = this.#redisWork.then(work);
    this.#redisWork = mine.catch(() => undefined);
    await mine;
  }
}

const postgresRequest = (place: { folder: DataFolder; user: ServerUser }) => ({
  ...place,
  binaries: findPostgresBinaries(undefined, place.user),
  settings: SETTINGS,
});

/** Folders of runs that were killed. */
function removeDeadRuns(parent: string): void {
  let names: string[];
  try {
    names = readdirSync(parent);
  } catch {
    return; // no run yet
  }
  for (const name of names) {
    const pid = FOLDER.exec(name)?.[1];
    if (pid === undefined || readCommandLine(Number(pid)) !== undefined) continue;
    removeDataFolder(join(parent, name));
  }
}
