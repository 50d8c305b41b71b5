import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runForJson, runInProcess } from '../support/cli.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../support/redis.ts';
import { addTenant, createSmallApplication } from '../support/small-application.ts';

let template: TestDatabase;
let folder: string;
let config: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'stop-'));
  config = join(folder, 'purge.config.json');
  writeFileSync(
    config,
    JSON.stringify({
      tenant: { table: 'public.tenants', key: 'id', label: 'name' },
      redis: { keys: ['tenant:{tenantId}:*'] },
    }),
  );
  template = await createDatabase({ name: 'stop_template' });
  await createSmallApplication(template.url);
  for (const id of ['a', 'b']) await addTenant(template.url, id, 2);
});
afterAll(async () => {
  await template?.drop();
  rmSync(folder, { recursive: true, force: true });
});

let database: TestDatabase;
let redis: TestRedisDatabase;
let env: NodeJS.ProcessEnv;
/** The same place with a Redis that nobody answers for. */
let away: NodeJS.ProcessEnv;
beforeEach(async () => {
  database = await createDatabase({ name: 'stop', template: template.name });
  redis = await claimRedisDatabase();
  env = { DATABASE_URL: database.url, REDIS_URL: redis.url, ENVIRONMENT: 'test' };
  away = { ...env, REDIS_URL: 'redis://127.0.0.1:1/0' };
  const enqueued = await runInProcess(
    tenantPurge(
      'enqueue',
      '--tenant',
      'a',
      'b',
      '--no-archive',
      '--confirm',
      'DELETE 2 TENANTS FOREVER',
    ),
    { env },
  );
  expect(enqueued.exitCode).toBe(0);
});
afterEach(async () => {
  await database?.drop();
  await redis?.release();
});

const tenantPurge = (...argv: string[]): string[] => [...argv, '--config', config];

async function rowsOf(sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('While Redis is away', () => {
  it('pause --all stops the fleet in the ledger, and says that the queue does not know yet', async () => {
    const paused = await runInProcess(tenantPurge('pause', '--all'), { env: away });
    expect(paused.exitCode).toBe(0);
    expect(paused.stdout).toMatch(/^The fleet is paused: no batch runs/);
    expect(paused.stdout).toContain('The queue does not know yet: Cannot use Redis at 127.0.0.1:1');
    expect(await rowsOf('select stopped from tenant_purge.control')).toEqual([{ stopped: true }]);
    expect(await rowsOf('select distinct status from tenant_purge.purge')).toEqual([
      { status: 'paused' },
    ]);
    const { document } = await runForJson(tenantPurge('reconcile'), { env });
    expect(document).toMatchObject({ ran: true, pauseReapplied: true });
  });

  it('resume --all and cancel are told to the queue by the next reconcile', async () => {
    await runInProcess(tenantPurge('pause', '--all'), { env });
    const resumed = await runForJson(tenantPurge('resume', '--all'), { env: away });
    expect(resumed).toMatchObject({
      exitCode: 0,
      document: { fleet: { stopped: false }, queue: { told: false } },
    });
    const cancelled = await runForJson(tenantPurge('cancel', 'b'), { env: away });
    expect(cancelled).toMatchObject({
      exitCode: 0,
      document: { purges: [{ tenantId: 'b', status: 'cancelled' }], drained: true },
    });
    const told = await runInProcess(tenantPurge('reconcile'), { env });
    expect(told.stdout).toContain('the queue released, as the fleet was');
    expect(told.stdout).toMatch(/purge .* of b, cancelled: its job was woken/);
    expect(await rowsOf('select from tenant_purge.purge where bell_due')).toEqual([]);
  });

  it('status shows what the ledger has', async () => {
    await runInProcess(tenantPurge('pause', 'a'), { env: away });
    const all = await runInProcess(tenantPurge('status'), { env: away });
    expect(all.stdout).toContain('1 queued, 1 paused');
    const one = await runForJson(tenantPurge('status', 'a'), { env: away });
    expect(one).toMatchObject({ exitCode: 0, document: { purges: [{ status: 'paused' }] } });
    const [{ campaign_id: campaignId }] = (await rowsOf(
      'select distinct campaign_id from tenant_purge.purge',
    )) as [{ campaign_id: string }];
    const campaign = await runInProcess(tenantPurge('status', campaignId), { env: away });
    expect(campaign.exitCode).toBe(0);
    expect(campaign.stderr).toContain('Without the campaign');
  });

  it('every command leaves who asked it, by what, and from where', async () => {
    await runInProcess(tenantPurge('pause', 'a'), { env: away });
    await runInProcess(tenantPurge('pause', 'a'), { env: away });
    await runInProcess(tenantPurge('cancel', 'a'), { env: away });
    const refused = await runInProcess(tenantPurge('resume', 'a'), { env: away });
    expect(refused.exitCode).toBe(3);
    expect(
      await rowsOf(
        `select kind, actor like '%@%' as named, details ->> 'via' as via,
           details ? 'client' as placed
         from tenant_purge.event where kind ~ '^(pause|resume|cancel) ' order by id`,
      ),
    ).toEqual(
      ['pause asked', 'pause asked again', 'cancel asked', 'resume refused'].map((kind) => ({
        kind,
        named: true,
        via: 'command line',
        placed: true,
      })),
    );
  });
});

describe('What a command is asked for', () => {
  it('is one thing: --all stops at once, and waits are counted in seconds', async () => {
    for (const argv of [
      ['pause', '--all', '--after-level'],
      ['pause', 'a', '--wait', 'soon'],
      ['pause', 'a', '--all'],
      ['resume', 'a', '--after-level'],
    ]) {
      const { exitCode } = await runInProcess(tenantPurge(...argv), { env });
      expect([argv.join(' '), exitCode]).toEqual([argv.join(' '), 2]);
    }
  });

  it('a stop that is still pending when the wait is over is a failure with a remedy', async () => {
    // A worker that nobody hears of: alive as far as anybody can know.
    await rowsOf(`select tenant_purge.claim_purge(id, 'elsewhere:1:0') from tenant_purge.purge
      where tenant_id = 'a'`);
    const { exitCode, document } = await runForJson(tenantPurge('pause', 'a', '--wait', '1'), {
      env,
    });
    expect(exitCode).toBe(1);
    expect(document).toMatchObject({
      error: { code: 'TIMED_OUT' },
      drained: true,
      pending: 1,
      purges: [{ status: 'pausing', stop: { worker: 'elsewhere:1:0' } }],
    });
    const { stdout } = await runInProcess(tenantPurge('status', 'a'), { env });
    expect(stdout).toMatch(/held by elsewhere:1:0 since .*; no batch of it is in flight/);
  });
});

describe('While rows are being put back', () => {
  it('pause --all and resume --all say what they did, and that the restore goes on', async () => {
    await runInProcess(tenantPurge('cancel', '--all'), { env });
    await rowsOf(`update tenant_purge.purge set status = 'restoring' where tenant_id = 'a'`);
    const paused = await runInProcess(tenantPurge('pause', '--all'), { env });
    expect(paused).toMatchObject({ exitCode: 0, stderr: '' });
    expect(paused.stdout).toMatch(/^The fleet is paused: no batch runs/);
    expect(paused.stdout).toMatch(/restoring: .*\n {2}purge .*\n {2}its rows are being put back/);
    const resumed = await runForJson(tenantPurge('resume', '--all'), { env });
    expect(resumed).toMatchObject({ exitCode: 0, document: { fleet: { stopped: false } } });
    // Nothing else is meant by it: a cancel finds nothing that it could end.
    const cancelled = await runForJson(tenantPurge('cancel', '--all'), { env });
    expect(cancelled).toMatchObject({
      exitCode: 3,
      document: { error: { code: 'STATUS_CONFLICT' } },
    });
  });
});

describe('A PostgreSQL that takes no writes', () => {
  it('is named with what to do, by every command that stops or tunes', async () => {
    await rowsOf(`alter database ${database.name} set default_transaction_read_only = on`);
    for (const command of [
      ['pause', '--all'],
      ['cancel', 'a'],
      ['tune', '--all', '--clear'],
    ]) {
      const { exitCode, document } = await runForJson(tenantPurge(...command), { env });
      expect(exitCode, command.join(' ')).toBe(2);
      expect(document).toMatchObject({
        error: {
          code: 'DATABASE_REFUSED',
          message: expect.stringContaining('read-only transaction'),
          remedy: expect.stringContaining('primary'),
        },
      });
    }
    const shown = await runInProcess(tenantPurge('status'), { env });
    expect(shown.exitCode, shown.stderr).toBe(0);
  });
});
