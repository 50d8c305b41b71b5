import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runBoardProcess } from '../../../ops/board/main.ts';
import { purgePath } from '../../../ops/board/pages/links.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { examineArchive } from '../../../src/runtime/doctor-archive.ts';
import { call } from '../../support/board.ts';
import { runForJson, runInProcess } from '../../support/cli.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { makeFolder } from './archive-folder.ts';

const TENANT_ROWS = 26;

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { a: 4, b: 4, c: 4 }));
});
afterAll(() => template?.drop());

let world: PurgeWorld;
let folder: string;
let dir: string;
beforeEach(async () => {
  folder = await makeFolder();
  dir = join(folder, 'archive');
  world = await createWorld({
    template: template.name,
    config: { archive: { dir } },
    environment: { BOARD_PORT: '0' },
  });
  await writeFile(
    join(folder, 'purge.config.json'),
    JSON.stringify({
      tenant: { table: 'public.tenants', key: 'id' },
      archive: { dir: 'archive', keepDays: 10 },
    }),
  );
});
afterEach(() => world?.close());

const plain = (text: string): string => text.replaceAll(/\s+/g, ' ');
const text = async (...argv: string[]): Promise<string> =>
  plain((await runInProcess(argv, { env: world.environment, cwd: folder })).stdout);
const json = async (...argv: string[]): Promise<Record<string, unknown>> =>
  (await runForJson(argv, { env: world.environment, cwd: folder })).document;

async function purge(tenantId: string, archive: boolean): Promise<PurgeRecord> {
  const enqueued = await world.enqueueOne(tenantId, { archive });
  const worker = world.startWorker();
  const done = await world.untilStatus(enqueued.id, 'completed');
  await worker.stop();
  return done;
}

const expire = (purgeId: string): Promise<Record<string, unknown>> =>
  json('archive', 'expire', purgeId, '--confirm', `EXPIRE ${purgeId}`);

const dayAfter = (time: Date | null, days: number): string =>
  new Date((time?.getTime() ?? 0) + days * 86_400_000).toISOString();

describe('An archived purge', () => {
  it('is shown by status with place, size, term and the way back; after expiry with that', async () => {
    const done = await purge('a', true);
    const until = dayAfter(done.endedAt, 10);
    const before = await text('status', 'a');
    expect(before).toContain(`Archive: ${hostname()}:${dir}/purges/${done.id}`);
    expect(before).toContain(`${TENANT_ROWS} rows), kept until ${until.slice(0, 10)}`);
    expect(before).toContain(`It can be undone: tenant-purge restore ${done.id}`);
    const archive = {
      location: `${hostname()}:${dir}`,
      folder: `purges/${done.id}`,
      rows: TENANT_ROWS,
      keptUntil: until,
      expiredAt: null,
      undoable: true,
    };
    for (const argv of [['status', 'a'], ['status', done.campaignId], ['status']]) {
      expect(await json(...argv)).toMatchObject({ purges: [{ purgeId: done.id, archive }] });
    }
    await expire(done.id);
    const after = await text('status', 'a');
    expect(after).toContain('Archive: was at');
    expect(after).toContain('this purge cannot be undone any more');
    expect(await json('status', 'a')).toMatchObject({
      purges: [{ archive: { undoable: false, expiredAt: expect.any(String), rows: TENANT_ROWS } }],
    });
  });

  it('is shown by the report of its campaign, which counts what can be undone', async () => {
    const [first, second] = await world.enqueue(['a', 'b'], { archive: true });
    const worker = world.startWorker();
    await world.untilEnded();
    await worker.stop();
    const campaign = first?.campaignId ?? '';
    expect(await json('status', campaign)).toMatchObject({
      report: { archive: { purges: 2, rows: 2 * TENANT_ROWS, expired: 0, undoable: 2 } },
    });
    expect(await text('status', campaign)).toContain('2 of 2 archived purges can be undone now');
    await expire(first?.id ?? '');
    expect(await text('status', campaign)).toContain('1 has expired');
    await expire(second?.id ?? '');
    expect(await text('status', campaign)).toContain('it cannot be undone any more');
  });

  it('is shown by its page on the board, before and after expiry', async () => {
    const done = await purge('a', true);
    const board = await runBoardProcess(world.config);
    try {
      const page = async (): Promise<string> =>
        plain((await call(board.url, purgePath(done.id))).text);
      const before = await page();
      expect(before).toContain(`${dir}/purges/${done.id}`);
      expect(before).toContain(dayAfter(done.endedAt, 30).slice(0, 10));
      expect(before).toContain(`tenant-purge restore ${done.id}`);
      await expire(done.id);
      const after = await page();
      expect(after).toContain('this purge cannot be undone any more');
      expect(after).not.toContain('tenant-purge restore');
    } finally {
      await board.stop();
    }
  });

  it('says in mid-run that it has to end first', async () => {
    const enqueued = await world.enqueueOne('a', { archive: true });
    const stop = "update tenant_purge.purge set status = 'pausing' where id = $1";
    const parts = world.engine(
      actAt('before-commit', 3, async () => {
        await world.pool.query(stop, [enqueued.id]);
      }),
    );
    await world.run(enqueued.id, { parts });
    const shown = await text('status', 'a');
    expect(shown).toContain('It can be undone once it has ended, also half done');
    expect(await json('status', 'a')).toMatchObject({
      purges: [{ status: 'paused', archive: { keptUntil: null, undoable: false } }],
    });
  });
});

describe('A purge without an archive', () => {
  it('says everywhere that it cannot be undone', async () => {
    const done = await purge('a', false);
    for (const target of [done.id, done.campaignId]) {
      expect(await text('status', target)).toContain('this purge cannot be undone');
      expect(await json('status', target)).toMatchObject({ purges: [{ archive: null }] });
    }
    expect(await json('status', done.campaignId)).toMatchObject({ report: { archive: null } });
    const expired = await json('archive', 'expire', done.id, '--confirm', `EXPIRE ${done.id}`);
    expect(expired).toMatchObject({ error: { code: 'NOT_FOUND' } });
  });
});

describe('doctor', () => {
  const checks = async (): Promise<Record<string, { verdict: string; message: string }>> => {
    const { checks: all } = await json('doctor');
    const found = all as { name: string; verdict: string; message: string }[];
    return Object.fromEntries(found.map((check) => [check.name, check]));
  };

  it('says where archives would lie, and leaves nothing there', async () => {
    const found = await checks();
    expect(found['archive']).toMatchObject({ verdict: 'right' });
    expect(found['archive']?.message).toContain(`${dir} will be made`);
    expect(found['archive place']).toMatchObject({ verdict: 'right' });
    expect(await readdir(folder)).toEqual(['purge.config.json']);
  });

  it('refuses a place that is no folder', async () => {
    await writeFile(dir, 'a file');
    const { exitCode } = await runForJson(['doctor'], { env: world.environment, cwd: folder });
    expect(exitCode).toBe(2);
    expect((await checks())['archive']).toMatchObject({
      verdict: 'wrong',
      message: expect.stringContaining('ENOTDIR'),
    });
  });

  it('minds folders that others may enter, and names the identity', async () => {
    const done = await purge('a', true);
    const before = await checks();
    expect(before['archive modes']).toBeUndefined();
    expect(before['archive place']?.message).toMatch(/identity [0-9a-f-]{36}/);
    await chmod(join(dir, 'purges', done.id), 0o750);
    expect((await checks())['archive modes']).toMatchObject({
      verdict: 'mind',
      message: expect.stringContaining(done.id),
    });
  });

  it('minds when hosts archive to places that they do not share', async () => {
    await purge('a', true);
    expect((await checks())['archive shared']).toBeUndefined();
    await world.pool.query(
      "insert into tenant_purge.archive_place (id, location) values (gen_random_uuid(), 'other-host:/srv/archive')",
    );
    expect((await checks())['archive shared']).toMatchObject({
      verdict: 'mind',
      message: expect.stringContaining('other-host:/srv/archive'),
    });
  });

  it('looks at the folder also where the database does not answer', async () => {
    await mkdir(dir);
    const found = await examineArchive(world.config, null);
    expect(found.map(({ name }) => name)).toContain('archive');
    expect((await stat(dir)).isDirectory()).toBe(true);
    expect(await readdir(dir)).toEqual([]);
  });
});
