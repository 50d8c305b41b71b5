import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { catalogueChecksum } from '../support/catalogue-checksum.ts';
import { runForJson, runInProcess } from '../support/cli.ts';
import { runSql, type TestDatabase } from '../support/postgres.ts';
import type { PurgeWorld } from '../support/purge-world.ts';
import { createSmallApplication } from '../support/small-application.ts';
import { createWorld, makeTemplate } from '../support/test-world.ts';
import { until } from '../support/until.ts';

const LOCK_MS = 4_000;
/** The server ends a session whose client takes nothing for so long. */
const STREAM_SILENT_MS = 10_000;
const SLACK_MS = 12_000;
/** More than the sockets between server and worker hold. */
const ROWS = 400;
const ROW_BYTES = 200_000;
const WORKER = { lockMs: LOCK_MS, reconcileMs: 600_000, slots: 1 };

let template: TestDatabase;
let folder: string;
beforeAll(async () => {
  template = await makeTemplate(async (url) => {
    await createSmallApplication(url, { kept: 3, doomed: 2 });
    await runSql(
      url,
      `create table app.files (id int primary key, tenant_id text not null references public.tenants,
        body text not null);
      create index on app.files (tenant_id);
      alter table app.files alter body set storage external;
      insert into app.files select n, 'doomed', repeat('x', ${ROW_BYTES})
        from generate_series(1, ${ROWS}) n`,
    );
  });
}, 120_000);
afterAll(() => template?.drop());

let world: PurgeWorld;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'frozen-stream-'));
  const archive = { dir: join(folder, 'archive') };
  writeFileSync(
    join(folder, 'purge.config.json'),
    JSON.stringify({
      tenant: { table: 'public.tenants', key: 'id' },
      worker: WORKER,
      archive,
    }),
  );
  world = await createWorld({
    template: template.name,
    config: {
      redis: { keys: [] },
      batch: { maxRows: 10_000, connections: 1 },
      worker: WORKER,
      archive,
    },
  });
});
afterEach(async () => {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What the server does for the worker that streams the files; null: nothing. */
const stream = async (): Promise<string | null> => {
  const event = await world.value(
    `select coalesce(wait_event, 'works') from pg_stat_activity
     where datname = current_database() and state = 'active' and pid <> pg_backend_pid()
       and application_name = 'tenant-purge worker' and query ~* 'copy \\(.*app\\.files'`,
  );
  return typeof event === 'string' ? event : null;
};

test('19. a worker frozen while rows stream to it loses its session: the stop is so in bounded time, others go on, nothing is lost', async () => {
  const others = await catalogueChecksum(world.pool, { except: ['doomed'] });
  const purge = await world.enqueueOne('doomed', { archive: true });
  const frozen = await world.spawnWorker();
  await until('it streams', 60_000, stream);
  frozen.kill('SIGSTOP');
  await until('the server waits to send', 10_000, async () =>
    (await stream()) === 'ClientWrite' ? true : null,
  );

  const cli = { cwd: folder, env: world.environment };
  const began = performance.now();
  const { exitCode, document } = await runForJson(['pause', 'doomed', '--wait', '60'], cli);
  expect(document).toMatchObject({ drained: true, pending: 0, purges: [{ status: 'paused' }] });
  expect(exitCode).toBe(0);
  expect(performance.now() - began).toBeLessThan(STREAM_SILENT_MS + LOCK_MS + SLACK_MS);
  expect(await world.value('select count(*)::int from app.files')).toBe(ROWS);

  frozen.kill('SIGCONT');
  frozen.kill('SIGTERM');
  expect(await frozen.exited, frozen.log()).toEqual({ code: 0, signal: null });
  expect(await world.value('select count(*)::int from app.files')).toBe(ROWS);

  world.startWorker();
  expect((await runInProcess(['resume', 'doomed'], cli)).exitCode).toBe(0);
  await world.untilStatus(purge.id, 'completed', 60_000);
  expect(await world.ledgerRows(purge.id)).toMatchObject({ 'app.files': ROWS });
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(others);
  const checked = await runInProcess(['archive', 'check', '--all'], cli);
  expect(checked.exitCode, checked.stdout + checked.stderr).toBe(0);
}, 180_000);
