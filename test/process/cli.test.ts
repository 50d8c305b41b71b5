import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { DEMO, listTestTenantIds, seedApplication, seedRedis } from '../../ops/demo/app/seed.ts';
import { waitUntil } from '../../ops/services/processes.ts';
import { type CliProcess, runForJson, runInProcess, spawnCli } from '../support/cli.ts';
import { createDatabase, databaseUrlOf, type TestDatabase } from '../support/postgres.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../support/redis.ts';

const SIZE = { scale: 0.01, seed: 7 };
const [FIRST = '', SECOND = '', THIRD = ''] = listTestTenantIds(SIZE);
const KEPT = DEMO.kept[0]?.id ?? '';
const demoConfig = fileURLToPath(new URL('../../ops/demo/purge.config.json', import.meta.url));
const rolesSql = readFileSync(new URL('../../ops/sql/roles.sql', import.meta.url), 'utf8');
const endLimitMs = 30_000;

let template: TestDatabase;
let folder: string;
/** The demo's configuration for a worker that neither waits for company nor long for the dead. */
let quickConfig: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cli-'));
  quickConfig = join(folder, 'quick.json');
  const quick = { worker: { lockMs: 1_000, reconcileMs: 500 } };
  const keys = JSON.parse(readFileSync(demoConfig, 'utf8'));
  writeFileSync(
    quickConfig,
    JSON.stringify({ ...keys, ...quick, redis: { ...keys.redis, waitMs: 0 } }),
  );
  template = await createDatabase({ name: 'cli_template' });
  await seedApplication(template.url, SIZE);
});

afterAll(async () => {
  await template?.drop();
  rmSync(folder, { recursive: true, force: true });
});

/** The demo application in a database and a Redis of the test's own. */
let database: TestDatabase;
let redis: TestRedisDatabase;
let env: NodeJS.ProcessEnv;
const processes: CliProcess[] = [];

beforeEach(async () => {
  database = await createDatabase({ name: 'cli', template: template.name });
  redis = await claimRedisDatabase();
  await seedRedis(redis.url, SIZE);
  env = { DATABASE_URL: database.url, REDIS_URL: redis.url, ENVIRONMENT: 'test' };
});

afterEach(async () => {
  for (const { child, result } of processes.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await result;
  }
  await database?.drop();
  await redis?.release();
});

const demo = (...argv: string[]): string[] => [...argv, '--config', demoConfig];

function start(argv: readonly string[], more: NodeJS.ProcessEnv = {}): CliProcess {
  const started = spawnCli(argv, { ...env, ...more });
  processes.push(started);
  return started;
}

const enqueueForReal = (...ids: string[]): string[] =>
  demo(
    'enqueue',
    '--tenant',
    ...ids,
    '--no-archive',
    '--confirm',
    ids.length === 1 ? `DELETE ${ids[0]} FOREVER` : `DELETE ${ids.length} TENANTS FOREVER`,
  );

async function query<Row extends object>(sql: string, url = database.url): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

const hasLedger = async (): Promise<boolean> =>
  (
    await query<{ found: boolean }>("select to_regnamespace('tenant_purge') is not null as found")
  )[0]?.found === true;

async function withRedis<Result>(work: (client: Redis) => Promise<Result>): Promise<Result> {
  const client = new Redis(redis.url);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}

/** Keys that only this program writes. */
const ownKeys = (): Promise<string[]> =>
  withRedis(async (client) => [
    ...(await client.keys('bull:*')),
    ...(await client.keys('tenant-purge:*')),
  ]);

/** No ledger, no marker, no job: as if the program had never been here. */
async function expectUntouched(): Promise<void> {
  expect(await hasLedger()).toBe(false);
  expect(await ownKeys()).toEqual([]);
}

const codesOf = (document: Record<string, unknown>): string[] => {
  const errors = (document['errors'] ?? [document['error']]) as { code: string }[];
  return errors.map(({ code }) => code);
};

describe('plan', () => {
  it('prints every table with its tenant path, in 80 columns, and where its rows are kept', async () => {
    const { exitCode, stdout } = await runInProcess(demo('plan'), { env });
    expect(exitCode).toBe(0);
    expect(stdout).toContain('public.canvas_snapshots');
    expect(stdout.replaceAll(/\s+/g, ' ')).toMatch(/Archive: \S+, kept until 30 days after/);
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    await expectUntouched();
  });

  it('gives levels, tables, paths and hazards as JSON, and rows with --counts', async () => {
    const { exitCode, document } = await runForJson(demo('plan', '--tenant', FIRST), { env });
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      tenant: { table: 'public.tenants', key: 'id' },
      hazards: [],
      tenants: 1,
    });
    const levels = document['levels'] as {
      tables: { table: string; path: string; rows: number }[];
    }[];
    const tables = levels.flatMap((level) => level.tables);
    expect(tables.at(-1)).toMatchObject({ table: 'public.tenants', path: 'id', rows: 1 });
    expect(document['rows']).toBe(tables.reduce((sum, table) => sum + table.rows, 0));
  });
});

describe('a dry run', () => {
  it('writes nothing to PostgreSQL and nothing to Redis, with every destructive flag set', async () => {
    const before = await tupleCounters();
    const monitored = await monitorRedis(async () => {
      const { exitCode, stdout } = await runInProcess(
        demo(
          'enqueue',
          '--dry-run',
          '--no-archive',
          '--allow-production',
          '--wait',
          '--confirm=DELETE 2 TENANTS FOREVER',
          '--delay=1h',
          '--allow=FK_WITHOUT_INDEX',
          `--tenant=${FIRST}`,
          `--tenant=${SECOND}`,
        ),
        { env },
      );
      expect(exitCode).toBe(0);
      expect(stdout).toContain('public.messages');
      expect(stdout).toMatch(/Redis keys +\d+/);
      expect(stdout).toContain("--confirm 'DELETE 2 TENANTS FOREVER'");
    });
    await waitUntil(async () => (await connectionsOfProgram()) === 0, endLimitMs);
    expect(await tupleCounters()).toEqual(before);
    expect(monitored).toContain('scan');
    const reading = ['client', 'get', 'hello', 'info', 'ping', 'scan', 'select'];
    expect(monitored.filter((command) => !reading.includes(command))).toEqual([]);
    await expectUntouched();

    // The counters would have told.
    await query(`update public.tenants set name = name where id = '${FIRST}'`);
    await waitUntil(async () => (await tupleCounters()).updated > before.updated, endLimitMs);
  });

  it('exits 3 for tenants that a real run would refuse, and still says what it found', async () => {
    const { exitCode, document } = await runForJson(
      demo('enqueue', '--tenant', FIRST, KEPT, '--dry-run'),
      { env },
    );
    expect(exitCode).toBe(3);
    expect(document).toMatchObject({
      dryRun: true,
      campaignId: null,
      refused: [{ tenantId: KEPT, code: 'TENANT_KEPT' }],
      error: { code: 'TARGETS_REFUSED' },
      command: null,
    });
    expect(document['purges']).toHaveLength(1);
  });
});

describe('enqueue refuses, names each reason, and enqueues nothing', () => {
  const real = ['--no-archive', '--confirm', 'DELETE 1 TENANTS FOREVER'];
  it.each([
    { what: 'a kept tenant', ids: [KEPT], code: 'TENANT_KEPT' },
    {
      what: 'an unknown id',
      ids: ['11111111-1111-4111-8111-111111111111'],
      code: 'TENANT_UNKNOWN',
    },
    { what: 'a blank', ids: [FIRST, ' '], code: 'TENANT_BLANK' },
    { what: 'an empty id', ids: [''], code: 'TENANT_BLANK' },
    { what: 'a wildcard', ids: ['*'], code: 'TENANT_WILDCARD' },
    { what: 'a duplicate', ids: [FIRST, FIRST], code: 'TENANT_DUPLICATE' },
  ])('$what', async ({ ids, code }) => {
    const argv = demo('enqueue', ...ids.flatMap((id) => ['--tenant', id]), ...real);
    const { exitCode, document } = await runForJson(argv, { env });
    expect(exitCode).toBe(3);
    expect(document).toMatchObject({
      campaignId: null,
      purges: [],
      refused: [{ tenantId: ids.at(-1), code }],
      error: { code: 'TARGETS_REFUSED', remedy: expect.stringMatching(/nothing was enqueued/i) },
    });
    await expectUntouched();
  });

  it('a tenant kept by KEEP_TENANT_ID, in whatever case', async () => {
    const { exitCode, document } = await runForJson(demo('enqueue', '--tenant', FIRST, ...real), {
      env: { ...env, KEEP_TENANT_ID: FIRST.toUpperCase() },
    });
    expect(exitCode).toBe(3);
    expect(document['refused']).toMatchObject([{ tenantId: FIRST, code: 'TENANT_KEPT' }]);
  });

  it('everybody else, where the keep list names nobody', async () => {
    const nobody = '22222222-2222-4222-8222-222222222222';
    const { exitCode, document } = await runForJson(demo('enqueue', '--all-except', ...real), {
      env: { ...env, KEEP_TENANT_ID: nobody },
    });
    expect(exitCode).toBe(3);
    expect(document['refused']).toMatchObject([{ tenantId: nobody, code: 'TENANT_UNKNOWN' }]);
  });

  it.each(['production', 'staging', ''])('in the environment "%s"', async (environment) => {
    const { exitCode, document } = await runForJson(enqueueForReal(FIRST), {
      env: { ...env, ENVIRONMENT: environment },
    });
    expect(exitCode).toBe(3);
    expect(codesOf(document)).toEqual(['ENVIRONMENT_GUARD']);
    await expectUntouched();
  });

  it('without an archive, where only the phrase for one with an archive was given, and the reverse', async () => {
    const one = demo('enqueue', '--tenant', FIRST);
    const plain = `DELETE ${FIRST}`;
    for (const [argv, given, expected] of [
      [[...one, '--no-archive'], plain, `${plain} FOREVER`],
      [one, `${plain} FOREVER`, plain],
    ] as const) {
      const { exitCode, document } = await runForJson([...argv, '--confirm', given], { env });
      expect(exitCode).toBe(3);
      expect(document).toMatchObject({
        error: { code: 'CONFIRMATION_REQUIRED', details: { expected } },
      });
    }
    await expectUntouched();
  });

  it('without the phrase, or with another one, and says which it expects', async () => {
    const without = await runForJson(demo('enqueue', '--tenant', FIRST, '--no-archive'), { env });
    const wrong = await runForJson(
      demo(
        'enqueue',
        '--tenant',
        FIRST,
        SECOND,
        '--no-archive',
        '--confirm',
        'DELETE 3 TENANTS FOREVER',
      ),
      { env },
    );
    expect([without.exitCode, wrong.exitCode]).toEqual([3, 3]);
    expect(without.document).toMatchObject({
      error: { code: 'CONFIRMATION_REQUIRED', details: { expected: `DELETE ${FIRST} FOREVER` } },
    });
    expect(wrong.document).toMatchObject({
      error: { code: 'CONFIRMATION_REQUIRED', details: { expected: 'DELETE 2 TENANTS FOREVER' } },
    });
    await expectUntouched();
  });

  it('a hazard until it is accepted by name', async () => {
    await query(`
      create function noted() returns trigger language plpgsql as 'begin return old; end';
      create trigger noted before delete on public.sessions for each row execute function noted()`);
    const refused = await runForJson(enqueueForReal(FIRST), { env });
    expect(refused.exitCode).toBe(3);
    expect(refused.document).toMatchObject({
      error: {
        code: 'HAZARD_NOT_ALLOWED',
        remedy: expect.stringContaining('--allow BEFORE_DELETE_TRIGGER'),
      },
    });
    await expectUntouched();
    const accepted = await runForJson(
      [...enqueueForReal(FIRST), '--allow', 'BEFORE_DELETE_TRIGGER'],
      { env },
    );
    expect(accepted.exitCode).toBe(0);
  });

  it('for every reason at once', async () => {
    const { exitCode, document } = await runForJson(
      demo('enqueue', '--tenant', FIRST, '--confirm', 'DELETE EVERYTHING'),
      { env: { ...env, ENVIRONMENT: 'production' } },
    );
    expect(exitCode).toBe(3);
    expect(codesOf(document)).toEqual(['ENVIRONMENT_GUARD', 'CONFIRMATION_REQUIRED']);
    await expectUntouched();
  });

  it('a tenant that has a live purge', async () => {
    expect((await runInProcess(enqueueForReal(FIRST), { env })).exitCode).toBe(0);
    const { exitCode, document } = await runForJson(enqueueForReal(FIRST, SECOND), { env });
    expect(exitCode).toBe(3);
    expect(document['refused']).toMatchObject([{ tenantId: FIRST, code: 'TENANT_BUSY' }]);
    expect(await query('select from tenant_purge.purge')).toHaveLength(1);
  });
});

describe('enqueue', () => {
  it('asks at the terminal, shows what goes, and takes the phrase typed there', async () => {
    const argv = demo('enqueue', '--tenant', FIRST, '--no-archive');
    const wrong = await runInProcess(argv, { env, typed: 'yes\n' });
    expect(wrong.exitCode).toBe(3);
    expect(wrong.stderr).toContain(`Type "DELETE ${FIRST} FOREVER" to go on`);
    expect(wrong.stderr).toContain('cannot be undone');
    await expectUntouched();
    const right = await runInProcess(argv, { env, typed: `DELETE ${FIRST} FOREVER\n` });
    expect(right.exitCode).toBe(0);
    expect(right.stdout).toContain('1 purge queued');
    expect(right.stdout).toContain('tenant-purge status');
  });

  it('takes the phrase from CONFIRM_CLEANUP and the tenants from a list', async () => {
    const list = join(folder, 'doomed.txt');
    writeFileSync(list, `# to go\n${FIRST}\n\n${SECOND} # and this one\n`);
    const { exitCode, document } = await runForJson(
      demo('enqueue', '--from', list, '--no-archive', '--delay', '24h'),
      { env: { ...env, CONFIRM_CLEANUP: 'DELETE 2 TENANTS FOREVER' } },
    );
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({ campaignId: expect.any(String), refused: [] });
    const purges = document['purges'] as { tenantId: string; status: string }[];
    expect(new Set(purges.map(({ tenantId }) => tenantId))).toEqual(new Set([FIRST, SECOND]));
    expect(new Set(purges.map(({ status }) => status))).toEqual(new Set(['scheduled']));
    const delayed = await withRedis((client) => client.zcard('bull:tenant-purge:delayed'));
    expect(delayed).toBe(2);
  });

  it('spares the keep list and those named with --all-except, and binds the campaign to them', async () => {
    const { exitCode, document } = await runForJson(
      demo(
        'enqueue',
        '--all-except',
        FIRST,
        '--no-archive',
        '--confirm',
        'DELETE 17 TENANTS FOREVER',
      ),
      { env },
    );
    expect(exitCode).toBe(0);
    const purges = document['purges'] as { tenantId: string }[];
    expect(purges).toHaveLength(17);
    expect(purges.map(({ tenantId }) => tenantId)).not.toContain(FIRST);
    const [campaign] = await query<{ kept: string[]; environment: string }>(
      'select kept, environment from tenant_purge.campaign',
    );
    expect(campaign?.environment).toBe('test');
    expect(new Set(campaign?.kept)).toEqual(new Set([...DEMO.kept.map(({ id }) => id), FIRST]));
  });
});

describe('with a worker', () => {
  it('purges, waits, reports what was expected, and verifies; SIGTERM ends the worker with 0', async () => {
    const worker = start(['worker', '--config', quickConfig]);
    await worker.saw(/"event":"ready"/);
    const waiting = start([...enqueueForReal(FIRST, SECOND), '--wait', '--json']);
    const { exitCode, stdout, stderr } = await waiting.result;
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const document = JSON.parse(stdout);
    expect(document.purges).toMatchObject([
      { status: 'completed', residue: [] },
      { status: 'completed', residue: [] },
    ]);
    expect(document.report.statuses).toEqual({ completed: 2 });
    const wrong = document.report.expected.filter(
      (line: { expected: number; after: number }) => line.expected !== line.after,
    );
    expect(wrong).toEqual([]);
    expect(document.report.vacuum.map(({ table }: { table: string }) => table)).toContain(
      'public.messages',
    );

    const status = await runInProcess(demo('status', document.campaignId), { env });
    expect(status.stdout).toContain('expected results');
    expect(status.stdout).toContain('VACUUM (ANALYZE)');
    const purge = await runForJson(demo('status', FIRST), { env });
    expect(purge.document['purges']).toMatchObject([{ tenantId: FIRST, status: 'completed' }]);
    expect((await runInProcess(demo('verify', FIRST), { env })).exitCode).toBe(0);
    expect((await runInProcess(demo('verify', THIRD), { env })).exitCode).toBe(4);

    worker.child.kill('SIGTERM');
    expect((await worker.result).exitCode).toBe(0);
  });

  it('dies by SIGKILL at a failpoint, and the next worker goes on', async () => {
    const worker = ['worker', '--config', quickConfig];
    const dying = start(worker, { TENANT_PURGE_FAILPOINT: 'batch-committed:1' });
    await dying.saw(/"event":"ready"/);
    await runInProcess(enqueueForReal(FIRST), { env });
    await dying.result;
    expect(dying.child.signalCode).toBe('SIGKILL');
    const next = start(worker);
    await next.saw(/"event":"ready"/);
    const { exitCode } = await runInProcess(demo('status', FIRST, '--watch'), { env });
    expect(exitCode).toBe(0);
    expect((await runInProcess(demo('verify', FIRST), { env })).exitCode).toBe(0);
  });

  it('leaves the campaign running when the wait is interrupted, and exits 130', async () => {
    const waiting = start([...enqueueForReal(FIRST), '--wait']);
    await waiting.saw(/0 of 1 tenants ended/);
    waiting.child.kill('SIGINT');
    const { exitCode, stdout } = await waiting.result;
    expect(exitCode).toBe(130);
    expect(stdout).toContain('the campaign goes on');
    expect(await query('select status from tenant_purge.purge')).toEqual([{ status: 'queued' }]);
  });
});

describe('pause, resume and cancel', () => {
  it('change what can be changed, say what is so, and refuse the rest with 3', async () => {
    const { document } = await runForJson(enqueueForReal(FIRST, SECOND), { env });
    const campaign = String(document['campaignId']);

    const paused = await runInProcess(demo('pause', FIRST), { env });
    expect(paused.exitCode).toBe(0);
    expect(paused.stdout).toMatch(
      /^paused: .*\n +purge .*\n +0 rows and 0 Redis keys gone, \d+ rows remain/,
    );
    const again = await runForJson(demo('pause', campaign), { env });
    expect(again.exitCode).toBe(0);
    expect(again.document).toMatchObject({ command: 'pause', campaignId: campaign, pending: 0 });
    const resumed = await runForJson(demo('resume', campaign), { env });
    const statuses = (resumed.document['purges'] as { status: string }[]).map(
      ({ status }) => status,
    );
    expect(statuses).toEqual(['queued', 'queued']);
    const cancelled = await runInProcess(demo('cancel', campaign), { env });
    expect(cancelled.exitCode).toBe(0);
    expect(cancelled.stdout.match(/^cancelled: /gm)).toHaveLength(2);
    const late = await runForJson(demo('resume', campaign), { env });
    expect(late.exitCode).toBe(3);
    expect(late.document).toMatchObject({ error: { code: 'STATUS_CONFLICT' } });
  });

  it('stop and release the whole fleet, which status tells', async () => {
    await runInProcess(enqueueForReal(FIRST), { env });
    const paused = await runInProcess(demo('pause', '--all'), { env });
    expect(paused.stdout).toContain('The fleet is paused');
    const status = await runForJson(demo('status'), { env });
    expect(status.document).toMatchObject({
      fleet: { stopped: true },
      campaigns: [{ purges: [{ status: 'paused' }] }],
      purges: [{ status: 'paused' }],
    });
    expect(await withRedis((client) => client.hexists('bull:tenant-purge:meta', 'paused'))).toBe(1);
    await runInProcess(demo('resume', '--all'), { env });
    expect((await runForJson(demo('status'), { env })).document).toMatchObject({
      fleet: { stopped: false },
      purges: [{ status: 'queued' }],
    });
  });

  it('know nothing of what the ledger does not know, and create no ledger for it', async () => {
    for (const argv of [
      ['pause', FIRST],
      ['status', FIRST],
      ['cancel', 'nobody'],
    ]) {
      const { exitCode, document } = await runForJson(demo(...argv), { env });
      expect(exitCode).toBe(2);
      expect(document).toMatchObject({ error: { code: 'NOT_FOUND' } });
    }
    await expectUntouched();
  });
});

describe('reconcile', () => {
  it('adds the jobs again that a flushed Redis has lost', async () => {
    await runInProcess(enqueueForReal(FIRST), { env });
    await withRedis((client) => client.flushdb());
    const { exitCode, document } = await runForJson(demo('reconcile'), { env });
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({ ran: true, jobsAdded: 1, purgesLive: 1 });
    expect(await withRedis((client) => client.llen('bull:tenant-purge:wait'))).toBe(1);
  });
});

describe('bad surroundings end in one message with a remedy, the right exit code, and no change', () => {
  it.each([
    {
      what: 'PostgreSQL unreachable',
      code: 'DATABASE_UNREACHABLE',
      more: () => ({ DATABASE_URL: change(database.url, (url) => (url.port = '1')) }),
    },
    {
      what: 'a wrong password of PostgreSQL',
      code: 'DATABASE_REFUSED',
      more: () => ({
        DATABASE_URL: change(database.url, (url) => (url.password = 'wrong-secret')),
      }),
    },
    {
      what: 'a database that does not exist',
      code: 'DATABASE_REFUSED',
      more: () => ({ DATABASE_URL: databaseUrlOf('no_such_database') }),
    },
    {
      what: 'Redis unreachable',
      code: 'REDIS_UNREACHABLE',
      more: () => ({ REDIS_URL: 'redis://127.0.0.1:1/0' }),
    },
    {
      what: 'the queue unreachable',
      code: 'REDIS_UNREACHABLE',
      more: () => ({ QUEUE_REDIS_URL: 'redis://127.0.0.1:1/0' }),
    },
    {
      what: 'a wrong password of Redis',
      code: 'REDIS_UNREACHABLE',
      more: () => ({
        REDIS_URL: change(redis.url, (url) => {
          url.username = 'nobody';
          url.password = 'wrong-secret';
        }),
      }),
    },
  ])('$what', async ({ code, more }) => {
    const { exitCode, stderr, stdout } = await runInProcess(enqueueForReal(FIRST), {
      env: { ...env, ...more() },
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^${code}: `));
    expect(stderr).toMatch(/\n {2}→ \S/);
    expect(stderr).not.toContain('wrong-secret');
    await expectUntouched();
    const doctor = await runInProcess(demo('doctor'), { env: { ...env, ...more() } });
    expect(doctor.exitCode).toBe(2);
    expect(doctor.stdout).toContain('✗');
  });

  it.each([
    { tenant: { table: 'public.tenant' }, code: 'TABLE_MISSING', near: 'public.tenants' },
    { tenant: { table: 'public.tenants', key: 'idd' }, code: 'COLUMN_MISSING', near: 'id' },
  ])('$code', async ({ tenant, code, near }) => {
    const config = join(folder, `${code}.json`);
    writeFileSync(config, JSON.stringify({ tenant }));
    const { exitCode, document } = await runForJson(['plan', '--config', config], { env });
    expect(exitCode).toBe(2);
    expect(document).toMatchObject({ error: { code } });
    expect(JSON.stringify(document)).toContain(near);
    expect((await runInProcess(['doctor', '--config', config], { env })).exitCode).toBe(2);
    await expectUntouched();
  });

  it('an invalid configuration, with every problem at once and the near miss', async () => {
    const config = join(folder, 'invalid.json');
    writeFileSync(
      config,
      JSON.stringify({
        tenant: { tabl: 'public.tenants' },
        batch: { targetMs: -1 },
        allow: ['TRIGER'],
      }),
    );
    const { exitCode, document } = await runForJson(['plan', '--config', config], {
      env: { ...env, DATABASE_URL: '' },
    });
    expect(exitCode).toBe(2);
    const { problems } = (document['error'] as { details: { problems: string[] } }).details;
    expect(problems.join('\n')).toMatch(/tabl: .*did you mean "table"/);
    expect(problems.join('\n')).toMatch(/TRIGER.*did you mean "TRIGGER"/);
    expect(problems.join('\n')).toContain('batch.targetMs');
    expect(problems.join('\n')).toContain('DATABASE_URL');
  });

  it('a ledger that is newer than the program', async () => {
    await runInProcess(enqueueForReal(FIRST), { env });
    await query("insert into tenant_purge.migration (version, name) values (999, 'future')");
    for (const argv of [['status'], ['pause', '--all'], ['reconcile'], ['worker'], ['doctor']]) {
      const { exitCode, stdout } = await runInProcess(demo(...argv, '--json'), { env });
      expect([argv[0], exitCode]).toEqual([argv[0], 2]);
      expect(stdout).toContain('version 999');
    }
    const second = await runForJson(enqueueForReal(SECOND), { env });
    expect(second.document).toMatchObject({ error: { code: 'LEDGER_NEWER' } });
    expect(await query('select from tenant_purge.purge')).toHaveLength(1);
  });
});

describe('the role of ops/sql/roles.sql', () => {
  afterEach(dropRole);

  it('lacks privileges before, and is all that a purge needs after', async () => {
    await query("create role tenant_purge login password 'of-the-test'");
    const roleEnv = { ...env, DATABASE_URL: asRole() };
    const before = await runInProcess(demo('doctor'), { env: roleEnv });
    expect(before.exitCode).toBe(2);
    expect(before.stdout).toContain('lacks');
    const refused = await runForJson(enqueueForReal(FIRST), { env: roleEnv });
    expect(refused.exitCode).toBe(3);
    expect(refused.document).toMatchObject({
      error: { code: 'HAZARD_BLOCKS', remedy: expect.stringContaining('roles.sql') },
    });
    // Every table at once, and not the first that PostgreSQL refuses.
    for (const table of ['tenants', 'agents', 'messages']) {
      expect(refused.document['error']).toMatchObject({
        message: expect.stringMatching(`MISSING_PRIVILEGE .* on public\\.${table}`),
      });
    }
    await expectUntouched();

    await query(rolesSql);
    await query(rolesSql);
    const after = await runInProcess(demo('doctor'), { env: roleEnv });
    expect({ exitCode: after.exitCode, stdout: after.stdout }).toMatchObject({ exitCode: 0 });
    const worker = start(['worker', '--config', quickConfig], {
      DATABASE_URL: asRole(),
    });
    await worker.saw(/"event":"ready"/);
    const { exitCode, document } = await runForJson([...enqueueForReal(FIRST), '--wait'], {
      env: roleEnv,
    });
    expect({ exitCode, document }).toMatchObject({
      exitCode: 0,
      document: { purges: [{ status: 'completed' }] },
    });
    expect((await runInProcess(demo('doctor'), { env: roleEnv })).exitCode).toBe(0);
  });
});

describe('the command line', () => {
  it('tells usage errors with the near miss and exits 2', async () => {
    const cases: readonly (readonly [string[], RegExp])[] = [
      [['enqeue'], /Did you mean enqueue\?/],
      [['enqueue', '--tenat', '1'], /Did you mean --tenant\?/],
      [demo('enqueue'), /--tenant, --all-except and --from/],
      [demo('enqueue', '--tenant', '1', '--all-except', '2'), /exclude each other/],
      [demo('enqueue', '--tenant', '1', '--allow', 'TRIGER'), /did you mean TRIGGER\?/],
      [demo('enqueue', '--tenant', '1', '--delay', 'soon'), /90s, 30m, 24h or 7d/],
      [demo('enqueue', '--from', join(folder, 'missing.txt')), /ENOENT/],
      [demo('pause'), /--all/],
      [demo('worker', '--slots', 'many'), /whole number from 1 to 64/],
    ];
    for (const [argv, message] of cases) {
      const { exitCode, stderr, stdout } = await runInProcess(argv, { env });
      expect([argv.join(' '), exitCode, stdout]).toEqual([argv.join(' '), 2, '']);
      expect(stderr).toMatch(message);
    }
    await expectUntouched();
  });

  it('ends with 130 when it is interrupted, whatever it was doing', async () => {
    const interrupted = AbortSignal.abort();
    for (const argv of [['plan'], enqueueForReal(FIRST), ['status', '--watch']]) {
      const { exitCode } = await runInProcess(demo(...argv), { env, interrupted });
      expect([argv[0], exitCode]).toEqual([argv[0], 130]);
    }
    await expectUntouched();
  });

  it('keeps what people read within 80 columns', async () => {
    await runInProcess(enqueueForReal(FIRST), { env });
    const campaign = (await runForJson(demo('status'), { env })).document['campaignId'];
    const outputs = [
      ['plan', '--counts'],
      ['enqueue', '--tenant', SECOND, '--dry-run'],
      ['status'],
      ['status', String(campaign)],
      ['status', FIRST],
      ['doctor'],
      ['verify', FIRST],
    ];
    for (const argv of outputs) {
      const { stdout } = await runInProcess(demo(...argv), { env });
      const tooLong = stdout
        .split('\n')
        // A command to copy stays in one piece.
        .filter((line) => line.length > 80 && !line.includes('tenant-purge enqueue'));
      expect([argv.join(' '), tooLong]).toEqual([argv.join(' '), []]);
    }
  });

  it('shows an example in the help of every command', async () => {
    const { stdout } = await runInProcess(['--help'], { env });
    const commands = [...stdout.matchAll(/^ {2}(\w+) /gm)]
      .map(([, name = '']) => name)
      .filter((name) => name !== 'help');
    expect(commands).toEqual(expect.arrayContaining(['plan', 'enqueue', 'archive', 'board']));
    for (const command of commands) {
      const help = await runInProcess([command, '--help'], { env });
      expect(help.exitCode).toBe(0);
      expect(help.stdout).toMatch(/Examples?:\n {2}\$ tenant-purge /);
      expect(help.stdout).toContain('--json');
    }
  });
});

/** Rows written in the database, as PostgreSQL's statistics have them. */
async function tupleCounters(): Promise<{ inserted: number; updated: number; deleted: number }> {
  const [row] = await query<{ inserted: number; updated: number; deleted: number }>(
    `select sum(n_tup_ins)::float8 as inserted, sum(n_tup_upd)::float8 as updated,
            sum(n_tup_del)::float8 as deleted from pg_stat_user_tables`,
  );
  return row ?? { inserted: 0, updated: 0, deleted: 0 };
}

/** A backend that has ended has handed in its statistics. */
async function connectionsOfProgram(): Promise<number> {
  const rows = await query(
    `select from pg_stat_activity where datname = current_database()
       and application_name like 'tenant-purge%'`,
  );
  return rows.length;
}

/** Commands that reach the test's Redis database while `work` runs. */
async function monitorRedis(work: () => Promise<void>): Promise<string[]> {
  const number = new URL(redis.url).pathname.slice(1);
  const client = new Redis(inject('redisUrl'));
  const monitor = await client.monitor();
  const commands: string[] = [];
  const end = `end-${number}`;
  let ended = false;
  monitor.on('monitor', (_time: string, args: string[], _source: string, db: string) => {
    if (args[1] === end) ended = true;
    else if (db === number) commands.push((args[0] ?? '').toLowerCase());
  });
  try {
    await work();
    await client.echo(end);
    await waitUntil(() => ended, endLimitMs);
    return [...new Set(commands)];
  } finally {
    monitor.disconnect();
    client.disconnect();
  }
}

/** The URL with another port, user or password. */
function change(url: string, edit: (url: URL) => void): string {
  const changed = new URL(url);
  edit(changed);
  return changed.href;
}

const asRole = (): string =>
  change(database.url, (url) => {
    url.username = 'tenant_purge';
    url.password = 'of-the-test';
  });

/** The role belongs to the whole server, which other tests use too. */
async function dropRole(): Promise<void> {
  await query('drop owned by tenant_purge cascade').catch(() => undefined);
  await query('drop role if exists tenant_purge', inject('databaseUrl'));
}
