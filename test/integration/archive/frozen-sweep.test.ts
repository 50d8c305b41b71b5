import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { runCommand } from '../../../src/queue/commands.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { addTenant, createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

const KEYS = 50;
/** PostgreSQL ends the session of a pipeline that is silent for so long. */
const IDLE_MAX_MS = 10_000;

let template: Awaited<ReturnType<typeof makeTemplate>>;
beforeAll(async () => {
  template = await makeTemplate(async (url) => {
    await createSmallApplication(url);
    for (const id of ['a', 'b']) await addTenant(url, id, 1);
  });
});
afterAll(() => template.drop());

let world: PurgeWorld;
let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'archive-'));
  world = await createWorld({ template: template.name, config: { archive: { dir: folder } } });
  for (const id of ['a', 'b']) {
    for (let n = 1; n <= KEYS; n += 1) await world.redis.set(`tenant:${id}:cache:${n}`, `${n}`);
  }
});
afterEach(async () => {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
});

const command = (name: 'pause' | 'resume', id: string): Promise<unknown> =>
  runCommand(world.actor.reconcile, name, {
    selection: { kind: 'tenant', id },
    fleet: false,
    operator: 'test',
    waitMs: 5_000,
  });
const keysOf = async (id: string): Promise<number> =>
  (await world.redis.keys(`tenant:${id}:*`)).length;
const waiting = (): Promise<unknown> =>
  world.value(
    `select count(*)::int from tenant_purge.purge where stage = 'redis' and status = 'queued'`,
  );

test('20. a sweep that froze until its session was ended unlinks nothing: a stop has not waited for it', async () => {
  const archived = await world.enqueueOne('a', { archive: true });
  const other = await world.enqueueOne('b', { archive: false });
  let pauses = 0;
  const freeze = actAt('keys-archived', 1, async () => {
    // What PostgreSQL does then.
    await world.pool.query(`select pg_terminate_backend(pid) from pg_locks
      where locktype = 'advisory' and classid = 1953525097::oid and mode = 'ShareLock'
        and database = (select oid from pg_database where datname = current_database())`);
    for (const id of ['a', 'b']) await command('pause', id);
    pauses += 1;
  });
  // Both are of one pass where nobody sweeps before both wait for it.
  const quiet = world.engine();
  await quiet.sweeper?.stop();
  for (const { id } of [archived, other]) await world.run(id, { parts: quiet });
  expect(await waiting()).toBe(2);
  const parts = world.engine(freeze);
  parts.sweeper?.knock();
  await until('the pass is given up', 20_000, async () =>
    (await world.value(
      `select count(*)::int from tenant_purge.sweep
       where heartbeat_at = '-infinity' or finished_at is not null`,
    )) === 0
      ? null
      : true,
  );
  expect(pauses).toBe(1);
  for (const { id } of [archived, other]) {
    expect(await world.find(id)).toMatchObject({ status: 'paused', redisKeysDeleted: 0 });
  }
  expect([await keysOf('a'), await keysOf('b')]).toEqual([KEYS, KEYS]);

  for (const id of ['a', 'b']) await command('resume', id);
  for (const { id } of [archived, other]) {
    await world.untilStatus(id, 'completed', 30_000);
    expect(await world.find(id)).toMatchObject({ redisKeysDeleted: KEYS });
  }
  await parts.sweeper?.stop();
  expect([await keysOf('a'), await keysOf('b')]).toEqual([0, 0]);
}, 60_000);

test('a sweep whose archive takes longer than a session may be idle goes on all the same', async () => {
  const purge = await world.enqueueOne('a', { archive: true });
  let archivings = 0;
  const parts = world.engine(async (name) => {
    if (name !== 'keys-archived') return;
    archivings += 1;
    const began = performance.now();
    await until('the session would be ended', 20_000, async () =>
      performance.now() - began > IDLE_MAX_MS + 1_000 ? true : null,
    );
  });
  await world.run(purge.id, { parts });
  await world.untilStatus(purge.id, 'completed', 40_000);
  await parts.sweeper?.stop();
  expect(archivings).toBe(1);
  expect(await keysOf('a')).toBe(0);
}, 60_000);
