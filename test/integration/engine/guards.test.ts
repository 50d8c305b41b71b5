import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import { KeepList } from '../../../src/domain/keep-list.ts';
import { TRANSITIONS } from '../../../src/domain/purge.ts';
import { IDENTITY_KEY } from '../../../src/redis/identity.ts';
import { engineParts } from '../../../src/runtime/engine-parts.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 2, doomed: 3 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
beforeEach(async () => {
  world = await createWorld({ template: template.name });
});
afterEach(() => world.close());

test('36. a tenant put on the keep list after it was enqueued is refused at the claim', async () => {
  const { id } = await world.enqueueOne('doomed');
  const before = await catalogueChecksum(world.pool, { except: [] });
  const other = await world.composeOther({ environment: { KEEP_TENANT_ID: 'DOOMED' } });
  const outcome = await world.run(id, { parts: world.engine(undefined, other) });
  expect(outcome).toMatchObject({ kind: 'refused', error: { code: 'TENANT_KEPT' } });
  expect((await world.find(id)).status).toBe('refused');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('37. a tenant put on the keep list between two levels loses no row of the next level', async () => {
  const { id } = await world.enqueueOne('doomed');
  let kept: string[] = [];
  const failpoint = actAt('batch-committed', 1, () => {
    kept = ['doomed'];
  });
  const parts = {
    ...world.engine(failpoint),
    keep: { has: (tenantId: string) => new KeepList(kept).has(tenantId) } as KeepList,
  };
  const outcome = await world.run(id, { parts });
  expect(outcome).toMatchObject({ kind: 'refused', error: { code: 'TENANT_KEPT' } });
  expect(
    await world.value(`select count(distinct level)::int from tenant_purge.batch`),
  ).toBeLessThan(2);
  expect(
    await world.value(`select count(*)::int from public.agents where tenant_id = 'doomed'`),
  ).toBe(3);
});

test.each([
  [
    'create table public.late (id int primary key, tenant_id text references public.tenants)',
    'public.late',
  ],
  ['alter table public.settings add column note text', null],
  ['alter table public.conversations drop constraint conversations_agent_id_fkey', 'conversations'],
])(
  '5. a schema changed after the campaign was made is refused, or does not matter: %s',
  async (ddl, named) => {
    const { id } = await world.enqueueOne('doomed');
    await world.pool.query(ddl);
    const outcome = await world.run(id);
    if (named === null) {
      expect(outcome.kind).toBe('awaiting-sweep');
      return;
    }
    expect(outcome).toMatchObject({ kind: 'refused', error: { code: 'DRIFT' } });
    expect((await world.find(id)).error?.message).toContain(named);
    expect(await world.batches(id)).toBe(0);
  },
);

test('26. a schema migrated while the purge was paused is refused when it is resumed', async () => {
  const { id } = await world.enqueueOne('doomed');
  let batches = 0;
  await world.run(id, {
    parts: world.engine(async (point) => {
      if (point === 'batch-committed') batches += 1;
    }),
    control: { stopReason: async () => (batches >= 3 ? 'the worker shuts down' : null) },
  });
  expect((await world.find(id)).status).toBe('queued');
  await world.pool.query(
    'create table public.late (id int primary key, tenant_id text references public.tenants)',
  );
  // The catalogue is read again by whoever claims it, at the latest after a second.
  const outcome = await world.run(id, { parts: engineParts(world.actor, () => Promise.resolve()) });
  expect(outcome).toMatchObject({ kind: 'refused', error: { code: 'DRIFT' } });
});

test.each([
  ['a column is renamed', 'alter table app.events rename tenant_id to owner_id', 'tenant_id'],
  ['a table is dropped', 'drop table app.events', 'app.events'],
  [
    'a column gets another type',
    'alter table app.events alter tenant_id type int using 1, drop constraint if exists events_tenant_id_fkey',
    'tenant_id',
  ],
])('26. where %s in mid-run the purge is refused with the difference', async (_, change, named) => {
  const { id } = await world.enqueueOne('doomed');
  const parts = world.engine(
    actAt('level-entered', 1, async () => {
      await world.pool.query('alter table app.events drop constraint events_tenant_id_fkey');
      await world.pool.query(change);
    }),
  );
  const outcome = await world.run(id, { parts });
  expect(outcome).toMatchObject({
    kind: 'refused',
    error: { code: 'DRIFT', message: expect.stringContaining(named) },
  });
  expect((await world.find(id)).status).toBe('refused');
});

test('36. a worker of another ENVIRONMENT refuses the campaign', async () => {
  const { id } = await world.enqueueOne('doomed');
  const other = await world.composeOther({ environment: { ENVIRONMENT: 'staging' } });
  const outcome = await world.run(id, { parts: world.engine(undefined, other) });
  expect(outcome).toMatchObject({ kind: 'refused', error: { code: 'IDENTITY_MISMATCH' } });
  expect((await world.find(id)).error?.message).toContain('ENVIRONMENT is staging, not test');
});

test('36. a campaign of another database or another Redis is refused, a flushed Redis is not another', async () => {
  const purges = [await world.enqueueOne('doomed')];
  const [{ id, campaignId }] = purges as [(typeof purges)[0]];
  await world.redis.set(IDENTITY_KEY, 'somebody else');
  expect(await world.run(id)).toMatchObject({
    kind: 'refused',
    error: { code: 'IDENTITY_MISMATCH', details: { differences: ['the Redis is another one'] } },
  });
  await world.redis.del(IDENTITY_KEY);
  const second = await world.enqueueOne('doomed');
  await world.pool.query(
    `update tenant_purge.campaign set database_identity = 'another' where id = $1`,
    [second.campaignId],
  );
  expect(await world.run(second.id)).toMatchObject({
    kind: 'refused',
    error: { details: { differences: ['the database is another one'] } },
  });
  const third = await world.enqueueOne('doomed');
  await world.redis.del(IDENTITY_KEY);
  expect((await world.run(third.id)).kind).toBe('awaiting-sweep');
  expect(campaignId).not.toBe(third.campaignId);
});

test('a tenant has one live purge at a time, also when two campaigns are made at once', async () => {
  const attempts = await Promise.allSettled([
    world.enqueueOne('doomed'),
    world.enqueueOne('doomed'),
    world.enqueueOne('doomed'),
  ]);
  const failures = attempts.filter((attempt) => attempt.status === 'rejected');
  expect(failures).toHaveLength(2);
  for (const { reason } of failures) {
    const busy = reason instanceof PurgeError ? reason.code : String(reason);
    expect(busy).toContain('TENANT_BUSY');
    expect(String(reason)).toContain('doomed');
  }
  await expect(world.enqueueOne('doomed')).rejects.toThrow('TENANT_BUSY');
});

const lines = (edges: readonly { from: string; to: string; cause: string }[]): string[] =>
  edges.map(({ from, to, cause }) => `${from} > ${to}: ${cause}`).sort();

test('the transitions of the program and of the database are the same', async () => {
  const { rows } = await world.pool.query(
    'select from_status as "from", to_status as "to", cause from tenant_purge.transition',
  );
  expect(lines(rows)).toEqual(lines(TRANSITIONS));
});

test('the database refuses a transition that is not in its table, and any change of the record', async () => {
  const { id } = await world.enqueueOne('doomed');
  await world.run(id);
  const refused = async (sql: string, code: string): Promise<void> => {
    await expect(world.pool.query(sql), sql).rejects.toMatchObject({ code });
  };
  await refused(`update tenant_purge.purge set status = 'planned'`, 'TP004');
  await refused(`update tenant_purge.purge set status = 'restored'`, 'TP004');
  await refused('update tenant_purge.batch set rows = 0', 'TP005');
  await refused('delete from tenant_purge.batch', 'TP005');
  await refused('truncate tenant_purge.event', 'TP005');
  await refused('delete from tenant_purge.event', 'TP005');
});
