import { execFile } from 'node:child_process';
import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createFileSystemStore } from '../../../src/archive/file-system-store.ts';
import { asTenantId } from '../../../src/domain/ids.ts';
import { deleteSteps } from '../../../src/domain/plan.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { createArchive } from '../../../src/engine/archive/create-archive.ts';
import { noFailpoint } from '../../../src/engine/failpoints.ts';
import { ArchiveStore } from '../../../src/postgres/ledger/archives.ts';
import { withTenantSnapshot } from '../../../src/postgres/rows/tenant-snapshot.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import { type CliResult, runForJson, runInProcess } from '../../support/cli.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { hasPsql } from '../../support/psql.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';
import { makeFolder } from './archive-folder.ts';

const run = promisify(execFile);
const ROWS = 4;
/** Of a tenant of the small application with `ROWS`: five tables by ROWS, messages twice, and two single rows. */
const TENANT_ROWS = 4 * ROWS + 2 * ROWS + 2;
const DAY = "interval '1 day'";

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) =>
    createSmallApplication(url, { a: ROWS, b: ROWS, kept: ROWS }),
  );
});
afterAll(() => template?.drop());

let world: PurgeWorld;
let folder: string;
let dir: string;
beforeEach(async () => {
  folder = await makeFolder();
  dir = join(folder, 'archive');
  world = await createWorld({ template: template.name, config: { archive: { dir } } });
  await writeFile(
    join(folder, 'purge.config.json'),
    JSON.stringify({
      tenant: { table: 'public.tenants', key: 'id' },
      redis: { keys: ['tenant:{tenantId}:*'], waitMs: 0 },
      batch: { smallPurgeRows: 0, maxRows: 10 },
      archive: { dir: 'archive' },
    }),
  );
});
afterEach(() => world?.close());

const cli = (argv: readonly string[], more: object = {}): Promise<CliResult> =>
  runInProcess(argv, { env: world.environment, cwd: folder, ...more });
const json = (...argv: string[]): ReturnType<typeof runForJson> =>
  runForJson(argv, { env: world.environment, cwd: folder });
const plain = (text: string): string => text.replaceAll(/\s+/g, ' ');

/** A purge that archives, run to its end; with two keys in Redis. */
async function purge(tenantId: string): Promise<PurgeRecord> {
  await world.redis.set(`tenant:${tenantId}:one`, '1', 'EX', 3_600);
  await world.redis.hset(`tenant:${tenantId}:two`, { field: 'value' });
  const enqueued = await world.enqueueOne(tenantId, { archive: true });
  const worker = world.startWorker();
  const done = await world.untilStatus(enqueued.id, 'completed');
  await until('the archive is sealed', 20_000, async () =>
    (await world.value('select sealed_at from tenant_purge.archive where purge_id = $1', [
      done.id,
    ])) === null
      ? null
      : true,
  );
  await worker.stop();
  return done;
}

const purgeFolderOf = (purgeId: string): string => join(dir, 'purges', purgeId);
const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
const sweepSegments = (): Promise<string[]> => readdir(join(dir, 'sweeps')).catch(() => []);
const ageBy = (purgeId: string, days: number): Promise<unknown> =>
  world.pool.query(
    `update tenant_purge.purge set ended_at = ended_at - ${days} * ${DAY} where id = $1`,
    [purgeId],
  );

/** Deleted and changed rows, by the ledger. */
const archivedLines = async (purgeId: string): Promise<number> =>
  Number(
    await world.value('select sum(rows) from tenant_purge.archive_chunk where purge_id = $1', [
      purgeId,
    ]),
  );

interface ListedArchive {
  readonly purgeId: string;
  readonly [field: string]: unknown;
}
const listed = async (): Promise<ListedArchive[]> =>
  (await json('archive', 'list')).document['archives'] as ListedArchive[];

describe('archive list', () => {
  it('says nothing is there where nothing was ever archived, and makes nothing', async () => {
    const { exitCode, stdout } = await cli(['archive', 'list']);
    expect(exitCode).toBe(0);
    expect(plain(stdout)).toContain('No purge was archived.');
    expect(await isThere(dir)).toBe(false);
  });

  it('has place, size, rows, keys, age and whether the purge can be undone', async () => {
    const done = await purge('a');
    const { exitCode, stdout } = await cli(['archive', 'list']);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(done.id.slice(0, 8));
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    const [archive] = await listed();
    expect(archive).toMatchObject({
      purgeId: done.id,
      tenantId: 'a',
      status: 'completed',
      here: true,
      location: `${hostname()}:${dir}`,
      folder: `purges/${done.id}`,
      rows: TENANT_ROWS,
      keys: 2,
      bytes: expect.any(Number),
      sealedAt: expect.any(String),
      expiredAt: null,
      undoable: true,
      keptUntil: new Date((done.endedAt?.getTime() ?? 0) + 30 * 86_400_000).toISOString(),
    });
    const files = await readdir(purgeFolderOf(done.id));
    const sizes = await Promise.all(
      files
        .filter((name) => name.endsWith('.gz'))
        .map(async (name) => (await stat(join(purgeFolderOf(done.id), name))).size),
    );
    expect(archive?.['bytes']).toBe(sizes.reduce((sum, size) => sum + size, 0));
  });
});

describe('archive check', () => {
  it('reads every chunk of rows and keys, and finds them sound', async () => {
    const done = await purge('a');
    const { exitCode, document } = await json('archive', 'check', '--all');
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({
      sound: 1,
      damaged: 0,
      archives: [
        { archive: done.id, verdict: 'sound', rows: await archivedLines(done.id), keys: 2 },
      ],
    });
  });

  it('names the damaged chunk with segment, offset and table, and exits 1', async () => {
    const done = await purge('a');
    const name = (await readdir(purgeFolderOf(done.id))).find((file) => file.includes('messages'));
    const path = join(purgeFolderOf(done.id), name ?? '');
    const bytes = await readFile(path);
    bytes[30] = (bytes[30] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const { exitCode, document } = await json('archive', 'check', 'a');
    expect(exitCode).toBe(1);
    expect(document).toMatchObject({
      damaged: 1,
      error: { code: 'ARCHIVE_DAMAGED' },
      archives: [
        {
          archive: done.id,
          verdict: 'damaged',
          problems: [{ segment: name, offset: 0, table: 'public.messages' }],
        },
      ],
    });
    const text = await cli(['archive', 'check', done.id]);
    expect(plain(text.stdout)).toContain(`damaged: ${name} at byte 0 (public.messages)`);
  });

  it('names bytes behind the last commit as ignored, and a segment that was cut as damaged', async () => {
    const done = await purge('a');
    const names = (await readdir(purgeFolderOf(done.id))).filter((file) => file.endsWith('.gz'));
    const [longer = '', shorter = ''] = names;
    const sizeOf = async (name: string): Promise<number> =>
      (await stat(join(purgeFolderOf(done.id), name))).size;
    const end = await sizeOf(longer);
    const cut = (await sizeOf(shorter)) - 1;
    await writeFile(join(purgeFolderOf(done.id), longer), 'rolled back', { flag: 'a' });
    const ignored = await json('archive', 'check', done.id);
    expect(ignored.exitCode).toBe(0);
    expect(ignored.document).toMatchObject({
      archives: [{ verdict: 'sound', ignored: [{ file: longer, offset: end, bytes: 11 }] }],
    });
    await truncate(join(purgeFolderOf(done.id), shorter), cut);
    const damaged = await json('archive', 'check', done.id);
    expect(damaged.exitCode).toBe(1);
    expect(JSON.stringify(damaged.document)).toContain(shorter);
  });

  it('compares the manifest with the ledger', async () => {
    const done = await purge('a');
    const path = join(purgeFolderOf(done.id), 'manifest.json');
    await rm(path);
    const { exitCode, document } = await json('archive', 'check', done.id);
    expect(exitCode).toBe(1);
    expect(document).toMatchObject({
      archives: [{ problems: [{ segment: 'manifest.json', what: 'is missing' }] }],
    });
  });

  it('wants to know which, and knows only archives', async () => {
    expect((await cli(['archive', 'check'])).exitCode).toBe(2);
    expect((await cli(['archive', 'check', 'nobody'])).exitCode).toBe(2);
    expect((await cli(['archive', 'check', 'created/none'])).exitCode).toBe(1);
  });
});

describe('archive expire', () => {
  it('lists what is due by archive.keepDays, and changes nothing in a dry run', async () => {
    const old = await purge('a');
    await purge('b');
    await ageBy(old.id, 31);
    const { exitCode, document } = await json('archive', 'expire', '--dry-run');
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({
      dryRun: true,
      archives: [{ purgeId: old.id, tenantId: 'a', rows: TENANT_ROWS }],
      phrase: `EXPIRE ${old.id}`,
    });
    expect(await isThere(purgeFolderOf(old.id))).toBe(true);
    expect((await listed()).map(({ expiredAt }) => expiredAt)).toEqual([null, null]);
  });

  it('wants the phrase, which counts what goes, and takes CONFIRM_CLEANUP for it', async () => {
    const [one, two] = [await purge('a'), await purge('b')];
    for (const argv of [[], ['--confirm', `EXPIRE ${one.id}`]]) {
      const refused = await json('archive', 'expire', '--older-than', '0s', ...argv);
      expect(refused.exitCode).toBe(3);
      expect(refused.document).toMatchObject({
        error: { code: 'CONFIRMATION_REQUIRED', details: { expected: 'EXPIRE 2 ARCHIVES' } },
      });
      expect(JSON.stringify(refused.document)).toContain('Nothing was expired.');
    }
    const wrong = await cli(['archive', 'expire', '--older-than', '0s'], { typed: 'yes\n' });
    expect(wrong.exitCode).toBe(3);
    expect(wrong.stderr).toContain('could not be undone any more');
    for (const { id } of [one, two]) expect(await isThere(purgeFolderOf(id))).toBe(true);
    const right = await runForJson(['archive', 'expire', '--older-than', '0s'], {
      env: { ...world.environment, CONFIRM_CLEANUP: 'EXPIRE 2 ARCHIVES' },
      cwd: folder,
    });
    expect(right.exitCode).toBe(0);
    expect(right.document).toMatchObject({ foldersRemoved: 2 });
    for (const { id } of [one, two]) expect(await isThere(purgeFolderOf(id))).toBe(false);
  });

  it('keeps in the ledger that the archive existed, and who threw it away', async () => {
    const done = await purge('a');
    expect((await cli(['archive', 'expire', 'a', '--confirm', `EXPIRE ${done.id}`])).exitCode).toBe(
      0,
    );
    const [archive] = await listed();
    expect(archive).toMatchObject({
      purgeId: done.id,
      rows: TENANT_ROWS,
      expiredAt: expect.any(String),
      expiredBy: expect.stringContaining('@'),
      undoable: false,
    });
    const event = "select count(*)::int from tenant_purge.event where kind = 'archive expired'";
    expect(await world.value(event)).toBe(1);
    const again = await cli(['archive', 'expire', 'a', '--confirm', `EXPIRE ${done.id}`]);
    expect(again.exitCode).toBe(0);
    expect(again.stdout).toContain('nothing was thrown away');
    expect(await world.value(event)).toBe(1);
    expect((await json('archive', 'check', done.id)).document).toMatchObject({ skipped: 1 });
  });

  it('removes shared segments of keys only with the last purge that took part in their sweep', async () => {
    for (const id of ['a', 'b']) await world.redis.set(`tenant:${id}:one`, '1');
    const [first, second] = await world.enqueue(['a', 'b'], { archive: true });
    if (first === undefined || second === undefined) throw new Error('nothing was enqueued');
    // Both wait for company, until a worker comes that waits for nobody.
    const patient = await world.composeOther({
      config: { redis: { keys: ['tenant:{tenantId}:*'], waitMs: 60_000 } },
    });
    const parts = world.engine(noFailpoint, patient);
    for (const { id } of [first, second]) {
      expect((await world.run(id, { parts })).kind).toBe('awaiting-sweep');
    }
    const worker = world.startWorker();
    for (const { id } of [first, second]) await world.untilStatus(id, 'completed');
    await worker.stop();
    const joined = 'select count(distinct sweep_id)::int from tenant_purge.archive_sweep';
    expect(await world.value(joined)).toBe(1);
    expect(await sweepSegments()).toHaveLength(1);

    const expire = (id: string): ReturnType<typeof cli> =>
      cli(['archive', 'expire', id, '--confirm', `EXPIRE ${id}`]);
    expect((await expire(first.id)).exitCode).toBe(0);
    expect(await sweepSegments()).toHaveLength(1);
    expect((await json('archive', 'check', second.id)).document).toMatchObject({ sound: 1 });
    expect((await expire(second.id)).stdout).toContain('1 segment of Redis keys removed');
    expect(await sweepSegments()).toEqual([]);
  });

  it('leaves segments alone that are not of this ledger', async () => {
    const done = await purge('a');
    const [segment = ''] = await sweepSegments();
    const foreign = segment.replace('-001.', '-002.');
    await writeFile(join(dir, 'sweeps', foreign), 'of another database');
    await cli(['archive', 'expire', 'a', '--confirm', `EXPIRE ${done.id}`]);
    expect(await sweepSegments()).toEqual([foreign]);
  });

  it('goes on where a process died between the ledger and the folder', async () => {
    const done = await purge('a');
    expect(await new ArchiveStore(world.actor.database).expire(done.id, 'killed')).toBe(true);
    expect(await isThere(purgeFolderOf(done.id))).toBe(true);
    const { exitCode, document } = await json('archive', 'expire');
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({ archives: [], leftovers: [done.id], foldersRemoved: 1 });
    expect(await isThere(purgeFolderOf(done.id))).toBe(false);
    expect(await sweepSegments()).toEqual([]);
  });

  it('refuses live purges and what lies at another place', async () => {
    const enqueued = await world.enqueueOne('a', { archive: true });
    const paused = world.run(enqueued.id, {
      parts: world.engine(
        actAt('before-commit', 3, async () => {
          await world.pool.query("update tenant_purge.purge set status = 'pausing' where id = $1", [
            enqueued.id,
          ]);
        }),
      ),
    });
    await paused;
    expect((await world.find(enqueued.id)).status).toBe('paused');
    const live = await json('archive', 'expire', 'a', '--confirm', `EXPIRE ${enqueued.id}`);
    expect(live.exitCode).toBe(3);
    expect(live.document).toMatchObject({ error: { code: 'STATUS_CONFLICT' } });
    // By age neither, and the ledger itself refuses the mark.
    expect((await json('archive', 'expire', '--older-than', '0s')).document).toMatchObject({
      archives: [],
    });
    expect(await new ArchiveStore(world.actor.database).expire(enqueued.id, 'x')).toBe(false);

    const done = await purge('b');
    await rm(join(dir, 'place.json'));
    const away = await json('archive', 'expire', 'b', '--confirm', `EXPIRE ${done.id}`);
    expect(away.exitCode).toBe(3);
    expect(away.document).toMatchObject({ error: { code: 'ARCHIVE_PLACE' } });
    const byAge = await json('archive', 'expire', '--older-than', '0s');
    expect(byAge.document).toMatchObject({ archives: [], elsewhere: [{ purgeId: done.id }] });
    expect(await isThere(purgeFolderOf(done.id))).toBe(true);
  });
});

describe('archive create', () => {
  it('backs up a kept tenant whole, which stays as it is', async () => {
    await world.redis.set('tenant:kept:one', 'value', 'EX', 3_600);
    const before = await catalogueChecksum(world.pool, { except: [] });
    const { exitCode, document } = await json(
      'archive',
      'create',
      '--tenant',
      'kept',
      '--out',
      'x',
    );
    expect(exitCode, JSON.stringify(document)).toBe(0);
    expect(document).toMatchObject({
      tenantId: 'kept',
      folder: 'created/x',
      rows: TENANT_ROWS,
      keys: 1,
    });
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
    expect(await world.redis.get('tenant:kept:one')).toBe('value');
    const manifest = JSON.parse(await readFile(join(dir, 'created/x/manifest.json'), 'utf8'));
    expect(manifest).toMatchObject({ purgeId: null, status: 'created', tenant: { id: 'kept' } });
    expect((await stat(join(dir, 'created/x'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(dir, 'created/x/manifest.json'))).mode & 0o777).toBe(0o600);
    const checked = await json('archive', 'check', 'created/x');
    expect(checked.document).toMatchObject({
      sound: 1,
      archives: [{ rows: TENANT_ROWS, keys: 1, ignored: [] }],
    });
    const created = (await json('archive', 'list')).document['created'];
    expect(created).toMatchObject([{ folder: 'created/x', tenantId: 'kept', rows: TENANT_ROWS }]);
    expect(
      await world.value(
        "select count(*)::int from tenant_purge.event where kind = 'archive created'",
      ),
    ).toBe(1);
  });

  it.runIf(hasPsql)('comes back with psql alone, circle and replies included', async () => {
    const before = await catalogueChecksum(world.pool, { except: [] });
    await json('archive', 'create', '--tenant', 'a', '--out', 'x');
    const enqueued = await world.enqueueOne('a');
    const worker = world.startWorker();
    await world.untilStatus(enqueued.id, 'completed');
    await worker.stop();
    expect(await catalogueChecksum(world.pool, { except: [] })).not.toEqual(before);
    await psql(join(dir, 'created/x'));
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  });

  it('has one moment: what is committed after it began is not in it', async () => {
    const { database, rules, reader, config } = world.actor;
    const options = { rules, lockTimeoutMs: config.batch.lockTimeoutMs };
    const parts = {
      store: createFileSystemStore(dir),
      databaseIdentity: 'test',
      databaseVersion: database.version,
      bytesOf: (rows: Readonly<Record<string, number>>) => reader.bytesOf(rows),
      keys: null,
    };
    const created = await withTenantSnapshot(database, options, async (snapshot) => {
      await world.pool.query("insert into app.events values ('kept', '2026-01-02', 'late')");
      await world.pool.query("delete from public.settings where tenant_id = 'kept'");
      return createArchive(parts, snapshot, { tenantId: asTenantId('kept'), name: 'x' });
    });
    const rows = created.manifest.chunks.reduce((sum, chunk) => sum + chunk.rows, 0);
    expect(rows).toBe(TENANT_ROWS);
    expect(created.manifest.chunks.map(({ table }) => table)).toContain('public.settings');
  });

  it('has every row of a table that was rewritten just before it was locked', async () => {
    const { database, rules } = world.actor;
    const rewriting = await world.pool.connect();
    await rewriting.query('begin');
    // Every row gets a new version, which an older snapshot does not see.
    await rewriting.query(
      `alter table public.workspaces alter column pad type text using pad || ''`,
    );
    const counting = withTenantSnapshot(
      database,
      { rules, lockTimeoutMs: 30_000 },
      async (snapshot) => {
        const step = deleteSteps(snapshot.plan).find(({ table }) => table === 'public.workspaces');
        return step === undefined ? null : snapshot.count(step, asTenantId('kept'));
      },
    );
    await until('the snapshot waits for the table', 10_000, async () =>
      (await world.value(
        `select count(*)::int from pg_locks where not granted and relation = 'public.workspaces'::regclass`,
      )) === 0
        ? null
        : true,
    );
    await rewriting.query('commit');
    rewriting.release();
    expect(await counting).toBe(
      await world.value(`select count(*)::int from public.workspaces where tenant_id = 'kept'`),
    );
    expect(await counting).toBeGreaterThan(0);
  });

  it('cuts a large table into chunks of whole rows', async () => {
    await world.pool.query(
      `insert into app.events select 'kept', date '2026-02-01' + n % 20, repeat(md5(n::text), 100)
       from generate_series(1, 6000) n`,
    );
    const { document } = await json('archive', 'create', '--tenant', 'kept', '--out', 'x');
    expect(document).toMatchObject({ rows: TENANT_ROWS + 6_000 });
    const manifest = JSON.parse(await readFile(join(dir, 'created/x/manifest.json'), 'utf8'));
    const chunks = (manifest.chunks as { table: string; rows: number; rawBytes: number }[]).filter(
      ({ table, rows }) => table === 'app.events' && rows > ROWS,
    );
    expect(chunks.length).toBeGreaterThan(1);
    expect(Math.max(...chunks.map(({ rawBytes }) => rawBytes))).toBeLessThan(17 * 1024 * 1024);
    expect((await json('archive', 'check', 'created/x')).document).toMatchObject({ sound: 1 });
  });

  it('refuses an unknown tenant, a name that is taken and one that leads elsewhere', async () => {
    const unknown = await json('archive', 'create', '--tenant', 'nobody');
    expect([unknown.exitCode, unknown.document]).toMatchObject([
      3,
      { error: { code: 'TENANT_UNKNOWN' } },
    ]);
    expect(await isThere(dir)).toBe(false);
    const create = ['archive', 'create', '--tenant', 'kept', '--out'];
    expect((await json(...create, 'x')).exitCode).toBe(0);
    const taken = await json(...create, 'x');
    expect([taken.exitCode, taken.document]).toMatchObject([
      3,
      { error: { code: 'STATUS_CONFLICT' } },
    ]);
    for (const name of ['../x', '.x', 'a/b', '']) {
      expect((await json(...create, name)).exitCode).toBe(2);
    }
  });
});

describe('archive export', () => {
  it.each([
    { what: 'as text', flags: [] },
    { what: 'compressed', flags: ['--gzip'] },
  ])('writes files, $what, that sha256sum and psql take', async ({ flags }) => {
    const before = await catalogueChecksum(world.pool, { except: [] });
    const done = await purge('a');
    const target = join(folder, 'plain');
    const { exitCode, document } = await json('archive', 'export', 'a', '--dir', target, ...flags);
    expect(exitCode, JSON.stringify(document)).toBe(0);
    await run('sha256sum', ['--strict', '-c', 'SHA256SUMS'], { cwd: target });
    const keys = (await readFile(join(target, 'redis-keys.jsonl'), 'utf8')).trim().split('\n');
    expect(
      keys.map((line) => Buffer.from(JSON.parse(line).key, 'base64').toString()).sort(),
    ).toEqual(['tenant:a:one', 'tenant:a:two']);
    if (flags.length === 0) {
      const agents = await readFile(join(target, 'public.agents.copy'), 'utf8');
      expect(agents.trimEnd().split('\n')).toHaveLength(ROWS);
    }
    const script = await readFile(join(target, 'restore.sql'), 'utf8');
    expect(script).not.toContain(`${done.fence}-public`);
    if (!hasPsql) return;
    await psql(target);
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  });

  it('leaves out what was rolled back, and refuses damage and a folder that is not empty', async () => {
    const done = await purge('a');
    const messages = (await readdir(purgeFolderOf(done.id))).find((name) =>
      name.includes('messages'),
    );
    const path = join(purgeFolderOf(done.id), messages ?? '');
    await writeFile(path, 'rolled back', { flag: 'a' });
    const target = join(folder, 'plain');
    expect((await json('archive', 'export', done.id, '--dir', target)).exitCode).toBe(0);
    expect(await readFile(join(target, 'public.messages.copy'), 'utf8')).not.toContain(
      'rolled back',
    );
    const again = await json('archive', 'export', done.id, '--dir', target);
    expect(again.exitCode).toBe(2);
    const bytes = await readFile(path);
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const damaged = await json('archive', 'export', done.id, '--dir', join(folder, 'other'));
    expect(damaged.exitCode).toBe(1);
    expect(damaged.document).toMatchObject({ error: { code: 'ARCHIVE_DAMAGED' } });
  });

  it('takes what archive create has made', async () => {
    await world.redis.set('tenant:kept:one', 'value');
    await json('archive', 'create', '--tenant', 'kept', '--out', 'x');
    const target = join(folder, 'plain');
    const { exitCode, document } = await json('archive', 'export', 'created/x', '--dir', target);
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({ purgeId: null, tenantId: 'kept' });
    const keys = await readFile(join(target, 'redis-keys.jsonl'), 'utf8');
    expect(keys.trim().split('\n')).toHaveLength(1);
  });
});

/** Runs the restore.sql of a folder, in it, with psql alone. */
async function psql(cwd: string): Promise<void> {
  const argv = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', 'restore.sql', world.config.databaseUrl];
  await run('psql', argv, { cwd });
}
