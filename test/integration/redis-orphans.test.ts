import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { type Failpoint, noFailpoint } from '../../src/engine/failpoints.ts';
import { readDatabaseIdentity } from '../../src/postgres/database-identity.ts';
import { IDENTITY_KEY } from '../../src/redis/identity.ts';
import { composeObserver, type Observer } from '../../src/runtime/observer.ts';
import { lookForOrphans } from '../../src/runtime/orphans.ts';
import { type CliResult, runForJson, runInProcess, spawnCli } from '../support/cli.ts';
import { createDatabase } from '../support/postgres.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../support/redis.ts';
import { until } from '../support/until.ts';

const HERE = '11111111-0000-4000-8000-000000000001';
const GONE = '22222222-0000-4000-8000-000000000002';
const LOST = '33333333-0000-4000-8000-000000000003';

let database: Awaited<ReturnType<typeof createDatabase>>;
let redisDatabase: TestRedisDatabase;
let redis: Redis;
let pool: Pool;
let folder: string;
beforeEach(async () => {
  [database, redisDatabase] = await Promise.all([
    createDatabase({ name: 'orphans' }),
    claimRedisDatabase(),
  ]);
  redis = new Redis(redisDatabase.url);
  pool = new Pool({ connectionString: database.url, max: 3 });
  // Dropping the database ends connections that are on their way out.
  pool.on('error', () => undefined);
  folder = mkdtempSync(join(tmpdir(), 'redis-orphans-'));
  await useTenants('uuid', [HERE]);
  configure({});
});
afterEach(async () => {
  redis.disconnect();
  await pool.end();
  await Promise.all([database.drop(), redisDatabase.release()]);
  rmSync(folder, { recursive: true, force: true });
});

async function useTenants(type: string, ids: readonly string[]): Promise<void> {
  await pool.query(`drop table if exists public.tenants;
    create table public.tenants (id ${type} primary key, name text not null default '')`);
  for (const id of ids) await pool.query('insert into public.tenants (id) values ($1)', [id]);
}

function configure(changes: object): void {
  const config = {
    tenant: { table: 'public.tenants' },
    redis: { keys: ['tenant:{tenantId}:*', 'rate:{tenantId}'] },
    archive: { dir: 'archive' },
    ...changes,
  };
  writeFileSync(join(folder, 'purge.config.json'), JSON.stringify(config));
}

const environment = (): NodeJS.ProcessEnv => ({
  DATABASE_URL: database.url,
  REDIS_URL: redisDatabase.url,
  ENVIRONMENT: 'test',
  LOG_LEVEL: 'silent',
});
const withConfig = (argv: readonly string[]): string[] => [
  ...argv,
  '--config',
  join(folder, 'purge.config.json'),
];
const run = (...argv: string[]): Promise<CliResult> =>
  runInProcess(withConfig(['redis', 'orphans', ...argv]), { env: environment() });
const runJson = (...argv: string[]): ReturnType<typeof runForJson> =>
  runForJson(withConfig(['redis', 'orphans', ...argv]), { env: environment() });

async function write(keys: readonly string[], value = 'x'): Promise<void> {
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.set(key, value);
  await pipeline.exec();
}
const keysOf = (id: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `tenant:${id}:cache:${index}`);
const allKeys = async (): Promise<string[]> =>
  (await redis.keys('*')).filter((key) => key !== IDENTITY_KEY).sort();
const dumpsOf = async (): Promise<Map<string, string>> => {
  const dumps = new Map<string, string>();
  for (const key of await allKeys()) {
    dumps.set(key, ((await redis.dumpBuffer(key)) ?? Buffer.of()).toString('hex'));
  }
  return dumps;
};

/** Runs `act` at the n-th pass of the point, inside a delete in this process. */
async function deleteWith(failpoint: Failpoint, signal?: AbortSignal) {
  return withObserver(async (observer) => {
    const look = await lookForOrphans(observer);
    return look.delete({ operator: 'test', failpoint, signal, note: () => undefined });
  });
}

async function withObserver<Result>(
  work: (observer: Observer) => Promise<Result>,
): Promise<Result> {
  const file = join(folder, 'purge.config.json');
  const config = await loadConfig({ cwd: folder, env: environment(), file });
  const observer = await composeObserver(config, { role: 'test' });
  try {
    return await work(observer);
  } finally {
    await observer.close();
  }
}

const at = (name: Parameters<Failpoint>[0], act: () => Promise<void> | void): Failpoint => {
  let isDone = false;
  return async (reached) => {
    if (reached !== name || isDone) return;
    isDone = true;
    await act();
  };
};

describe('Keys of tenants that are not in the tenant table', () => {
  it('are counted per tenant, and nothing is written anywhere', async () => {
    await write([...keysOf(HERE, 3), ...keysOf(GONE, 5), `rate:${GONE}`, ...keysOf(LOST, 2)]);
    await write(['other:1', `bull:x:${GONE}`, 'tenant:settings:a', `tenant:${GONE.slice(1)}:b`]);
    const before = await dumpsOf();

    const { exitCode, document } = await runJson();
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({
      dryRun: true,
      runId: null,
      owned: 3,
      orphans: {
        keys: 8,
        tenants: 2,
        top: [
          { tenantId: GONE, keys: 6 },
          { tenantId: LOST, keys: 2 },
        ],
        beyond: 0,
      },
      undecided: { keys: 2, reasons: { 'no-id': 2 } },
      skipped: { keys: 0 },
      phrase: 'DELETE KEYS OF 2 TENANTS',
    });
    expect(await dumpsOf()).toEqual(before);
    expect(await redis.exists(IDENTITY_KEY)).toBe(0);
    const { rows } = await pool.query("select to_regnamespace('tenant_purge') as ledger");
    expect(rows[0].ledger).toBeNull();
    expect(readdirSync(folder)).toEqual(['purge.config.json']);

    const { stdout } = await run();
    expect(stdout).toContain('Dry run: nothing was changed.');
    expect(stdout).toMatch(new RegExp(`${GONE} +6`));
    expect(stdout).toContain('Undecided, never deleted: 2 keys');
  });

  it('are deleted once confirmed, archived before, and brought back by --restore with what is left of their life', async () => {
    await write([...keysOf(HERE, 3), 'tenant:settings:a', 'other']);
    await write(keysOf(GONE, 1_200), 'value');
    await redis.hset(`tenant:${LOST}:h`, { a: '1', b: '2' });
    await redis.zadd(`tenant:${LOST}:z`, 1, 'm');
    await redis.set(Buffer.from(`tenant:${LOST}:\xff\x00\n`, 'latin1'), Buffer.of(0, 255, 10));
    const expiresAt = Date.now() + 3_600_000;
    await redis.set(`rate:${LOST}`, '7', 'PXAT', expiresAt);
    await redis.set(`tenant:${LOST}:short`, '1', 'PX', 3_600_000);
    const before = await dumpsOf();

    const asked = await run('--delete');
    expect(asked.exitCode).toBe(3);
    expect(asked.stderr).toContain('DELETE KEYS OF 2 TENANTS');
    expect((await run('--delete', '--confirm', 'DELETE KEYS OF 3 TENANTS')).exitCode).toBe(3);
    expect(await dumpsOf()).toEqual(before);

    const { exitCode, document } = await runJson(
      '--delete',
      '--confirm',
      'DELETE KEYS OF 2 TENANTS',
    );
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({ deleted: 1_205, putBack: 0, isDone: true, isResumed: false });
    expect(await allKeys()).toEqual([...keysOf(HERE, 3), 'other', 'tenant:settings:a'].sort());

    const runId = String(document['runId']);
    const lies = join(folder, 'archive', 'orphans', runId);
    const manifest = JSON.parse(readFileSync(join(lies, 'manifest.json'), 'utf8'));
    expect(manifest).toMatchObject({
      kind: 'redis-orphans',
      runId,
      keys: 1_205,
      status: 'completed',
    });
    for (const { name, bytes } of manifest.segments) {
      expect(statSync(join(lies, name)).size).toBe(bytes);
    }
    const { rows: events } = await pool.query(
      "select kind from tenant_purge.event where kind like 'orphans%' order by id",
    );
    expect(events.map(({ kind }) => kind)).toEqual(['orphans begun', 'orphans deleted']);
    const { rows: runs } = await pool.query('select * from tenant_purge.orphan_run');
    expect(runs).toMatchObject([{ id: runId, ended_at: expect.any(Date) }]);
    expect(Number(runs[0].keys_deleted)).toBe(1_205);

    await redis.set(`tenant:${GONE}:cache:0`, 'written since');
    await redis.set(`tenant:${GONE}:cache:1`, 'value');
    const back = await runJson('--restore', runId);
    expect(back).toMatchObject({
      exitCode: 0,
      document: { restored: 1_203, same: 1, taken: 1, expired: 0 },
    });
    expect(await redis.get(`tenant:${GONE}:cache:0`)).toBe('written since');
    await redis.set(`tenant:${GONE}:cache:0`, 'value');
    expect(await dumpsOf()).toEqual(before);
    const life = Number(await redis.call('PEXPIRETIME', `rate:${LOST}`)) - expiresAt;
    expect(Math.abs(life)).toBeLessThan(100);
    expect(await redis.pttl(keysOf(GONE, 1)[0] ?? '')).toBe(-1);
    expect((await runJson('--restore', runId)).document).toMatchObject({
      restored: 0,
      same: 1_205,
    });
  });

  it('that expired in the archive do not come back', async () => {
    await write([`rate:${HERE}`]);
    await redis.set(`rate:${GONE}`, '7', 'PX', 2_000);
    const { document } = await runJson('--delete', '--confirm', `DELETE KEYS OF ${GONE}`);
    expect(document).toMatchObject({ deleted: 1 });
    const runId = String(document['runId']);
    await until('the key would have expired', 10_000, async () => {
      const [seconds] = await redis.time();
      const { rows } = await pool.query(
        'select extract(epoch from started_at) as at from tenant_purge.orphan_run',
      );
      return Number(seconds) > Number(rows[0].at) + 3 ? true : null;
    });
    expect((await runJson('--restore', runId)).document).toMatchObject({ restored: 0, expired: 1 });
    expect(await allKeys()).toEqual([`rate:${HERE}`]);
  });

  it('are left where another agreement is wanted: production, or a Redis that knows no tenant', async () => {
    await write(keysOf(GONE, 3));
    const phrase = `DELETE KEYS OF ${GONE}`;
    const unrelated = await runJson('--delete', '--confirm', phrase);
    expect(unrelated).toMatchObject({
      exitCode: 3,
      document: { error: { code: 'IDENTITY_MISMATCH' } },
    });
    const production = await runForJson(
      withConfig(['redis', 'orphans', '--delete', '--confirm', phrase, '--allow-unrelated']),
      { env: { ...environment(), ENVIRONMENT: '' } },
    );
    expect(production).toMatchObject({
      exitCode: 3,
      document: { error: { code: 'ENVIRONMENT_GUARD' } },
    });
    expect(await allKeys()).toEqual(keysOf(GONE, 3));
    const done = await runForJson(
      withConfig([
        'redis',
        'orphans',
        '--delete',
        '--confirm',
        phrase,
        '--allow-unrelated',
        '--allow-production',
      ]),
      { env: { ...environment(), ENVIRONMENT: '' } },
    );
    expect(done).toMatchObject({ exitCode: 0, document: { deleted: 3 } });
    expect(await allKeys()).toEqual([]);
  });

  it('are left where their tenant is kept, has a live purge, or one that can be undone', async () => {
    const [live, undoable, expired, restored] = ['4', '5', '6', '7'].map(
      (digit) => `${digit.repeat(8)}-0000-4000-8000-000000000000`,
    );
    configure({ keep: [LOST.toUpperCase()] });
    await write([`rate:${HERE}`]);
    await write([LOST, live, undoable, expired, restored].map((id) => `rate:${id}`));
    expect((await runJson()).document).toMatchObject({
      skipped: { keys: 1, reasons: { kept: 1, 'live-purge': 0 } },
      orphans: { keys: 4 },
    });

    await runJson('--delete', '--confirm', `DELETE KEYS OF 4 TENANTS`);
    await write([live, undoable, expired, restored].map((id) => `rate:${id}`));
    await pool.query(`
      insert into tenant_purge.plan (fingerprint, plan) values ('f', '{}');
      insert into tenant_purge.campaign (operator, environment, database_identity, redis_identity,
        redis_endpoint, plan_fingerprint, allowed, kept, archive, before)
      values ('o', 'test', '${await readDatabaseIdentity(pool)}', 'r', 'e', 'f', '{}', '{}', true, '{}')`);
    for (const [id, status] of [
      [live, 'paused'],
      [undoable, 'completed'],
      [expired, 'completed'],
      [restored, 'restored'],
    ]) {
      await pool.query(
        `with p as (
           insert into tenant_purge.purge (campaign_id, tenant_table, tenant_id, tenant_label, status,
             rows_expected, rows_total, due_at)
           select id, 'public.tenants', $1, '', $2, '{}', 0, now() from tenant_purge.campaign
           returning id)
         insert into tenant_purge.archive (purge_id, place, folder, search_path, expired_at)
         select p.id, a.id, 'x', '', case when $3 then now() end
         from p, tenant_purge.archive_place a`,
        [id, status, id === expired],
      );
    }
    const { document } = await runJson();
    expect(document).toMatchObject({
      skipped: { reasons: { kept: 1, 'live-purge': 1, restorable: 1 } },
      orphans: { keys: 2 },
    });
    await runJson('--delete', '--confirm', `DELETE KEYS OF 2 TENANTS`);
    expect(await allKeys()).toEqual([HERE, LOST, live, undoable].map((id) => `rate:${id}`).sort());
  });

  it('are never told by an id that is only spelled otherwise, or has several readings', async () => {
    await useTenants('text', ['Acme', 'acme:eu', 'straße']);
    await write(['tenant:acme:x', 'tenant:acme:eu:x', 'tenant:acme:us:x', 'rate:STRASSE']);
    await write(['tenant:Acme:a:b', 'tenant:gone:x', 'rate:o\'hara \\ "x"']);
    const { document } = await runJson();
    expect(document).toMatchObject({
      owned: 2,
      orphans: { keys: 3, tenants: 3 },
      undecided: { keys: 2, reasons: { 'several-ids': 1, 'another-spelling': 1 } },
    });
    await runJson('--delete', '--confirm', 'DELETE KEYS OF 3 TENANTS');
    expect(await allKeys()).toEqual(
      ['tenant:Acme:a:b', 'tenant:acme:eu:x', 'tenant:acme:us:x', 'tenant:acme:x'].sort(),
    );
  });

  it('are told by numbers, and by the type below a domain', async () => {
    await pool.query('create domain public.tenant_id as bigint');
    await useTenants('public.tenant_id', ['7']);
    await write(['tenant:7:x', 'tenant:8:x', 'tenant:08:x', 'tenant:99999999999999999999:x']);
    expect((await runJson()).document).toMatchObject({
      owned: 1,
      orphans: { keys: 1, top: [{ tenantId: '8', keys: 1 }] },
      undecided: { keys: 2 },
    });
  });

  it('cannot be told where row security hides tenants', async () => {
    await write(keysOf(HERE, 2));
    const role = `orphans_${randomUUID().replaceAll('-', '')}`;
    await pool.query(`alter table public.tenants enable row level security;
      create role ${role} login nosuperuser password 'reads';
      grant select on public.tenants to ${role}`);
    try {
      const url = new URL(database.url);
      url.username = role;
      url.password = 'reads';
      const { exitCode, stderr } = await runInProcess(withConfig(['redis', 'orphans']), {
        env: { ...environment(), DATABASE_URL: url.href },
      });
      expect(exitCode).toBe(2);
      expect(stderr).toContain('Row security');
    } finally {
      await pool.query(`drop owned by ${role}; drop role ${role}`);
    }
  });

  it('want templates, and one wish at a time', async () => {
    expect((await runJson('--delete', '--restore', GONE)).exitCode).toBe(2);
    expect((await runJson('--restore', GONE)).document).toMatchObject({
      error: { code: 'NOT_FOUND' },
    });
    configure({ redis: { keys: [] } });
    expect(await runJson()).toMatchObject({
      exitCode: 2,
      document: { error: { code: 'CONFIG_INVALID' } },
    });
  });

  it('show no control sequence on the terminal', async () => {
    await useTenants('text', ['a']);
    await write(['tenant:a:x', 'rate:\u001b[31mred', 'tenant:b\u001b]0;x:c:d']);
    const { stdout } = await run();
    expect(stdout).not.toContain('\u001b');
    expect(stdout).toContain('\\u{1b}[31mred');
    expect(stdout).toContain('DELETE KEYS OF 1 TENANT');
  });
});

describe('A tenant that is created while its keys are being deleted', () => {
  it('keeps them where the look before the unlink sees it', async () => {
    await write([`rate:${HERE}`, ...keysOf(GONE, 5), ...keysOf(LOST, 5)]);
    const { deletion } = await deleteWith(
      at('archive-written', async () => {
        await pool.query('insert into public.tenants (id) values ($1)', [LOST]);
      }),
    );
    expect(deletion).toMatchObject({ deleted: 5, putBack: 0, isDone: true });
    expect(await allKeys()).toEqual([`rate:${HERE}`, ...keysOf(LOST, 5)].sort());
  });

  it('keeps them where its transaction is still open: it is waited for, without holding it up', async () => {
    await write([`rate:${HERE}`, ...keysOf(GONE, 5), ...keysOf(LOST, 5)]);
    const signup = await pool.connect();
    await signup.query('begin');
    await signup.query('insert into public.tenants (id) values ($1)', [LOST]);
    const deleting = deleteWith(noFailpoint);
    await until('the run has begun', 10_000, async () => {
      const { rows } = await pool.query("select to_regclass('tenant_purge.orphan_run') as t");
      if (rows[0].t === null) return null;
      const { rows: runs } = await pool.query('select from tenant_purge.orphan_run');
      return runs.length > 0 ? true : null;
    });
    await signup.query('update public.tenants set name = $1 where id = $2', ['new', LOST]);
    expect(await allKeys()).toHaveLength(11);
    await signup.query('commit');
    signup.release();
    expect((await deleting).deletion).toMatchObject({ deleted: 5, isDone: true });
    expect(await allKeys()).toEqual([`rate:${HERE}`, ...keysOf(LOST, 5)].sort());
  });

  it('gets them back where it came between the last look and the unlink', async () => {
    await write([`rate:${HERE}`, ...keysOf(LOST, 5)]);
    const { deletion } = await deleteWith(
      at('before-unlink', async () => {
        await pool.query('insert into public.tenants (id) values ($1)', [LOST]);
      }),
    );
    expect(deletion).toMatchObject({ deleted: 5, putBack: 5, isDone: true });
    expect(await allKeys()).toEqual([`rate:${HERE}`, ...keysOf(LOST, 5)].sort());
    const { rows } = await pool.query('select keys_put_back from tenant_purge.orphan_run');
    expect(Number(rows[0].keys_put_back)).toBe(5);
  });
});

const archivedPerPipeline = async (): Promise<number[]> => {
  const { rows } = await pool.query(
    'select keys::int as keys from tenant_purge.orphan_chunk order by seq',
  );
  return rows.map(({ keys }) => keys);
};

describe('A run that ends before its time', () => {
  it('is gone on with after a kill, and all that went can be brought back', async () => {
    await write([...keysOf(HERE, 10), ...keysOf(GONE, 2_000), ...keysOf(LOST, 4_000)]);
    const before = await dumpsOf();
    const argv = ['redis', 'orphans', '--delete', '--confirm', 'DELETE KEYS OF 2 TENANTS'];
    const killed = await spawnCli(withConfig(argv), {
      ...environment(),
      TENANT_PURGE_FAILPOINT: 'keys-archived:3',
    }).result;
    expect(killed.exitCode).toBeNull();
    const left = await allKeys();
    expect(left.length).toBeGreaterThan(10);
    expect(left.length).toBeLessThan(6_010);
    const { rows } = await pool.query('select id, cursor, ended_at from tenant_purge.orphan_run');
    expect(rows).toMatchObject([{ ended_at: null }]);
    const runId = rows[0].id;

    // What is left may be of one tenant only.
    const { document: look } = await runJson();
    const resumed = await runJson('--delete', '--confirm', String(look['phrase']));
    expect(resumed).toMatchObject({
      exitCode: 0,
      document: { runId, isResumed: true, isDone: true, deleted: left.length - 10 },
    });
    expect(await allKeys()).toEqual(keysOf(HERE, 10).sort());
    const names = readdirSync(join(folder, 'archive', 'orphans', runId));
    expect(names.some((name) => name.startsWith('000001-'))).toBe(true);
    expect(names.some((name) => name.startsWith('000002-'))).toBe(true);

    const back = await runJson('--restore', runId);
    expect(back.document).toMatchObject({ restored: 6_000, same: 0, taken: 0 });
    expect(await dumpsOf()).toEqual(before);
  }, 120_000);

  it('stops after the pipeline in hand at Ctrl-C, and ends with 130', async () => {
    await write([...keysOf(HERE, 1), ...keysOf(GONE, 20_000)]);
    const argv = ['redis', 'orphans', '--delete', '--json', '--confirm', `DELETE KEYS OF ${GONE}`];
    const child = spawnCli(withConfig(argv), environment());
    await until('a first pipeline is gone', 30_000, async () =>
      (await redis.dbsize()) < 20_001 ? true : null,
    );
    child.child.kill('SIGINT');
    const { exitCode, stdout } = await child.result;
    expect(exitCode).toBe(130);
    const document = JSON.parse(stdout);
    const left = (await allKeys()).length - 1;
    expect(left).toBeGreaterThan(0);
    expect(document).toMatchObject({ isDone: false, deleted: 20_000 - left });
    const again = await runJson('--delete', '--confirm', `DELETE KEYS OF ${GONE}`);
    expect(again.document).toMatchObject({
      runId: document.runId,
      isResumed: true,
      deleted: left,
    });
    expect(await allKeys()).toEqual(keysOf(HERE, 1));
  }, 60_000);

  it('deletes nothing more once the fleet is stopped', async () => {
    await write([...keysOf(HERE, 1), ...keysOf(GONE, 4_000)]);
    const { deletion } = await deleteWith(
      // As `pause --all` does, which then waits for the pipeline in hand.
      at('keys-archived', async () => {
        await pool.query('update tenant_purge.control set stopped = true');
      }),
    );
    const archived = await archivedPerPipeline();
    expect(archived).toHaveLength(1);
    expect(deletion).toMatchObject({ deleted: archived[0], isDone: false });
    expect(await allKeys()).toHaveLength(4_001 - deletion.deleted);
    const refused = await runJson('--delete', '--confirm', `DELETE KEYS OF ${GONE}`);
    expect(refused).toMatchObject({
      exitCode: 3,
      document: { error: { code: 'STATUS_CONFLICT' } },
    });
  });

  it('loses its hold to a successor, and deletes nothing after the pipeline in hand', async () => {
    await write([...keysOf(HERE, 1), ...keysOf(GONE, 4_000)]);
    const zombie = deleteWith(
      at('before-unlink', async () => {
        await pool.query('update tenant_purge.orphan_run set epoch = epoch + 1');
      }),
    );
    await expect(zombie).rejects.toMatchObject({ code: 'STALE_FENCE' });
    const archived = await archivedPerPipeline();
    expect(archived).toHaveLength(1);
    expect(await allKeys()).toHaveLength(4_001 - (archived[0] ?? 0));
  });

  it('is not restored from another archive, into another Redis, or under another name', async () => {
    await write([...keysOf(HERE, 1), ...keysOf(GONE, 10)]);
    const { document } = await runJson('--delete', '--confirm', `DELETE KEYS OF ${GONE}`);
    const runId = String(document['runId']);
    expect(await runJson('--restore', GONE)).toMatchObject({
      exitCode: 2,
      document: { error: { code: 'NOT_FOUND', details: { runs: [runId] } } },
    });
    configure({ archive: { dir: 'elsewhere' } });
    expect(await runJson('--restore', runId)).toMatchObject({
      exitCode: 3,
      document: { error: { code: 'ARCHIVE_PLACE' } },
    });
    configure({});
    await redis.set(IDENTITY_KEY, 'another');
    expect(await runJson('--restore', runId)).toMatchObject({
      exitCode: 3,
      document: { error: { code: 'IDENTITY_MISMATCH' } },
    });
    expect(await allKeys()).toEqual(keysOf(HERE, 1));
  });
});
