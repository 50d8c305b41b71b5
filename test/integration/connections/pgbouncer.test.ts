import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Pool } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type PgBouncer,
  providePgBouncer,
  startPgBouncer,
} from '../../../ops/services/pgbouncer.ts';
import { PurgeError } from '../../../src/domain/errors.ts';
import { openDatabase } from '../../../src/postgres/database.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import { type CliProcess, runForJson, runInProcess, spawnCli } from '../../support/cli.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../../support/redis.ts';
import { addTenant, createSmallApplication } from '../../support/small-application.ts';
import { until } from '../../support/until.ts';
import { startWorkerProcess, type WorkerProcess } from '../../support/worker-process.ts';

/** Connections of the pooler to the server: fewer than any one of our processes would take. */
const POOL_SIZE = 2;
const CONFIGURATION = {
  tenant: { table: 'public.tenants' },
  redis: { keys: ['tenant:{tenantId}:*'], waitMs: 0 },
  batch: { smallPurgeRows: 0, maxRows: 3, connections: 2 },
  worker: { slots: 2, lockMs: 2_000, reconcileMs: 300 },
};

const program = await providePgBouncer((line) => console.warn(line));
if (program === null) {
  console.warn('Skipped: there is no PgBouncer here; install the package pgbouncer for its tests.');
}

describe.skipIf(program === null)('Behind PgBouncer in transaction mode', () => {
  let template: TestDatabase;
  let folder: string;
  let configFile: string;
  beforeAll(async () => {
    template = await createDatabase({ name: 'pgbouncer_template' });
    await createSmallApplication(template.url);
    for (const id of ['kept', 'a', 'b', 'c']) await addTenant(template.url, id, 15);
    folder = mkdtempSync(join(tmpdir(), 'pgbouncer-'));
    configFile = join(folder, 'purge.config.json');
    writeFileSync(configFile, JSON.stringify(CONFIGURATION));
  });
  afterAll(async () => {
    await template?.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  let database: TestDatabase;
  let redis: TestRedisDatabase;
  let pooler: PgBouncer;
  /** Past the pooler: what the test itself looks at takes none of its connections. */
  let direct: Pool;
  let env: Record<string, string>;
  let before: unknown;
  let worker: WorkerProcess | null = null;
  let board: CliProcess | null = null;

  beforeEach(async () => {
    database = await createDatabase({ name: 'pgbouncer', template: template.name });
    redis = await claimRedisDatabase();
    pooler = await startPgBouncer({
      program: program ?? '',
      databaseUrl: database.url,
      poolSize: POOL_SIZE,
    });
    direct = new Pool({ connectionString: database.url, max: 1 });
    direct.on('error', () => undefined);
    before = await catalogueChecksum(direct, { except: ['a', 'b'] });
    env = { DATABASE_URL: pooler.url, REDIS_URL: redis.url, ENVIRONMENT: 'test' };
  });
  afterEach(async () => {
    worker?.kill('SIGKILL');
    await worker?.exited;
    worker = null;
    board?.child.kill('SIGKILL');
    await board?.result;
    board = null;
    await direct?.end();
    await pooler?.stop();
    await database?.drop();
    await redis?.release();
  });

  const run = (...argv: string[]) => runForJson([...argv, '--config', configFile], { env });
  const enqueue = (...ids: string[]) => {
    const phrase =
      ids.length === 1 ? `DELETE ${ids[0]} FOREVER` : `DELETE ${ids.length} TENANTS FOREVER`;
    return run('enqueue', '--tenant', ...ids, '--no-archive', '--confirm', phrase);
  };
  const batches = async (): Promise<number> => {
    const { rows } = await direct.query('select count(*)::int as n from tenant_purge.batch');
    return rows[0].n;
  };
  const statuses = async (): Promise<Record<string, string>> => {
    const { rows } = await direct.query(
      'select tenant_id, status from tenant_purge.purge order by created_at',
    );
    return Object.fromEntries(rows.map(({ tenant_id, status }) => [tenant_id, status]));
  };

  /** What each of the pooler's connections to the server have left in their sessions. */
  async function sessionState(): Promise<Record<string, unknown>[]> {
    const clients = Array.from(
      { length: POOL_SIZE },
      () => new Client({ connectionString: pooler.url }),
    );
    await Promise.all(clients.map((client) => client.connect()));
    try {
      // Open transactions, so that each holds a server connection of its own.
      for (const client of clients) await client.query('begin');
      return await Promise.all(
        clients.map(async (client) => {
          const { rows } = await client.query<Record<string, unknown>>(`
            select pg_backend_pid() as pid,
              (select count(*)::int from pg_prepared_statements where name <> '') as prepared,
              (select count(*)::int from pg_listening_channels()) as channels,
              (select count(*)::int from pg_locks
                where pid = pg_backend_pid() and locktype = 'advisory') as locks,
              (select count(*)::int from pg_class where relpersistence = 't'
                and relnamespace = pg_my_temp_schema()) as temporary,
              (select array_agg(name order by name) from pg_settings where source = 'session'
                and name not in ('application_name', 'transaction_isolation',
                  'transaction_read_only', 'transaction_deferrable')) as settings`);
          return rows[0] ?? {};
        }),
      );
    } finally {
      for (const client of clients) await client.query('rollback').catch(() => undefined);
      await Promise.all(clients.map((client) => client.end()));
    }
  }

  it('a whole campaign runs: doctor, pause, reconcile, resume, cancel, verify', async () => {
    const doctor = await run('doctor');
    expect(doctor).toMatchObject({ exitCode: 0 });
    expect(await enqueue('a', 'b', 'c')).toMatchObject({ exitCode: 0 });
    worker = await startWorkerProcess(CONFIGURATION, env);
    await until('some batches', 20_000, async () => ((await batches()) > 20 ? true : null));

    expect(await run('pause', '--all')).toMatchObject({ exitCode: 0 });
    const paused = await batches();
    expect(Object.values(await statuses())).toEqual(['paused', 'paused', 'paused']);
    expect(await run('reconcile')).toMatchObject({ exitCode: 0 });
    const status = await run('status');
    expect(JSON.stringify(status.document)).toContain('"paused"');
    expect(await batches()).toBe(paused);

    expect(await run('cancel', 'c')).toMatchObject({ exitCode: 0 });
    expect(await run('resume', '--all')).toMatchObject({ exitCode: 0 });
    await until(
      'the other two are completed',
      45_000,
      async () => {
        const { a, b } = await statuses();
        return a === 'completed' && b === 'completed' ? true : null;
      },
      async () => `${JSON.stringify(await statuses())}\n${worker?.log()}`,
    );
    expect(await statuses()).toEqual({ a: 'completed', b: 'completed', c: 'cancelled' });
    expect(await run('verify', 'a')).toMatchObject({ exitCode: 0 });
    expect(await run('verify', 'c')).toMatchObject({ exitCode: 4 });
    // The third, whose purge was cut short, goes the whole way the second time.
    expect(await enqueue('c')).toMatchObject({ exitCode: 0 });
    await until(
      'the third is completed',
      90_000,
      async () => ((await statuses())['c'] === 'completed' ? true : null),
      async () => `${JSON.stringify(await statuses())}\n${worker?.log()}`,
    );
    before = await checksumOfKept(before);
    expect(await catalogueChecksum(direct, { except: [] })).toEqual(before);
    worker.kill('SIGTERM');
    expect(await worker.exited).toMatchObject({ code: 0 });
    expect(worker.log()).not.toMatch(/prepared statement|unsupported startup/);
    const sessions = await sessionState();
    expect(new Set(sessions.map(({ pid }) => pid)).size).toBe(POOL_SIZE);
    for (const session of sessions) {
      expect(session).toMatchObject({ prepared: 0, channels: 0, locks: 0, temporary: 0 });
      expect(session).toMatchObject({ settings: null });
    }
  }, 150_000);

  /** The checksum from before the purges, less the third tenant's rows. */
  async function checksumOfKept(whole: unknown): Promise<unknown> {
    const fresh = new Pool({ connectionString: template.url, max: 1 });
    try {
      expect(await catalogueChecksum(fresh, { except: ['a', 'b'] })).toEqual(whole);
      return await catalogueChecksum(fresh, { except: ['a', 'b', 'c'] });
    } finally {
      await fresh.end();
    }
  }

  it('the board serves, and reads the ledger', async () => {
    expect(await enqueue('a')).toMatchObject({ exitCode: 0 });
    board = spawnCli(['board', '--json', '--config', configFile], { ...env, BOARD_PORT: '0' });
    let written = '';
    board.child.stdout?.on('data', (text: string) => {
      written += text;
    });
    await board.saw(/"url"/);
    const { url } = JSON.parse(written) as { url: string };
    for (const path of ['', 'api/queues']) {
      expect((await fetch(new URL(path, url))).status).toBe(200);
    }
  });

  it('operators side by side do not wait for each other', async () => {
    const dryRun = ['enqueue', '--tenant', 'a', '--dry-run', '--no-archive'];
    expect(await enqueue('c')).toMatchObject({ exitCode: 0 });
    const answers = await Promise.all(
      [1, 2, 3, 4].map(() => runInProcess([...dryRun, '--config', configFile], { env })),
    );
    expect(answers.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0]);
  });

  it('a setting in the URL is refused with what to do about it', async () => {
    const url = new URL(pooler.url);
    url.searchParams.set('options', '-c statement_timeout=1000');
    const failure = openDatabase({ url: url.href, connectionsMax: 1, applicationName: 'test' });
    const error = await failure.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(PurgeError);
    expect(error).toMatchObject({
      code: 'DATABASE_REFUSED',
      message: expect.stringContaining('unsupported startup parameter'),
      remedy: expect.stringContaining('PGOPTIONS'),
    });
  });
});
