import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import type { PurgeId } from '../../../src/domain/ids.ts';
import { prepareCampaign } from '../../../src/engine/campaign/prepare.ts';
import type { Failpoint } from '../../../src/engine/failpoints.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createWorld } from '../../support/test-world.ts';
import {
  afterFirstRows,
  BATCHES,
  BY_COLUMN,
  cancel,
  eventsOf,
  HOLD,
  makeMarkableTemplate,
  SMALL,
  statusOf,
  WAYS,
} from './marked-tenants.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeMarkableTemplate();
});
afterAll(() => template.drop());

let world: PurgeWorld;
afterEach(() => world.close());

async function start(config: object): Promise<unknown> {
  world = await createWorld({ template: template.name, config });
  return catalogueChecksum(world.pool, { except: [] });
}

/** Cancels the purge where `failpointOf` says, in mid-run, and waits for its end. */
async function cancelInMidRun(
  id: PurgeId,
  failpointOf: (act: () => Promise<void>) => Failpoint,
): Promise<void> {
  // The command waits for the worker, which this failpoint holds up.
  let command = Promise.resolve();
  world.startWorker(
    failpointOf(async () => {
      command = cancel(world, id);
      await world.untilStatus(id, 'cancelling');
    }),
  );
  await world.untilStatus(id, 'cancelled');
  await command;
}

const atTheMark = (act: () => Promise<void> | void): Failpoint => actAt('quiesced', 1, act);

/** Gives the purge back right behind its mark. */
async function stopAtTheMark(id: PurgeId): Promise<void> {
  let stop: string | null = null;
  await world.run(id, {
    parts: world.engine(
      atTheMark(() => {
        stop = 'the worker shuts down';
      }),
    ),
    control: { stopReason: () => Promise.resolve(stop) },
  });
}

describe.each(WAYS)('A purge that marks the tenant first, by %s', (_, way) => {
  test('marks it alone, before any row goes, and leaves no residue', async () => {
    await start({ ...BY_COLUMN, ...way });
    const { id } = await world.enqueueOne('doomed');
    const seen: unknown[] = [];
    world.startWorker(async (point) => {
      if (point !== 'quiesced') return;
      seen.push(
        await statusOf(world, 'doomed'),
        await statusOf(world, 'kept'),
        await world.batches(id),
      );
      seen.push((await world.find(id)).stage);
    });
    const ended = await world.untilStatus(id, 'completed');
    expect(seen).toEqual(['purging', 'active', 0, 'quiesce']);
    expect(ended.residue).toEqual([]);
    expect(await statusOf(world, 'kept')).toBe('active');
    expect(await statusOf(world, 'doomed')).toBeUndefined();
    expect(await world.value('select outcome from tenant_purge.quiesced')).toBeNull();
  });

  test('puts the mark back when it is cancelled before a row has gone', async () => {
    const before = await start({ ...BY_COLUMN, ...way });
    const { id } = await world.enqueueOne('doomed');
    await cancelInMidRun(id, atTheMark);
    expect(await eventsOf(world, id)).toContain('mark put back');
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  });

  test('goes on after a crash right behind the mark, and keeps the value from before', async () => {
    await start({ ...BY_COLUMN, ...way });
    const { id } = await world.enqueueOne('doomed');
    // A worker that dies writes nothing more.
    const parts = world.engine(async (point) => {
      if (point === 'quiesced' || point === 'before-settle') throw new Error('killed');
    });
    await expect(world.run(id, { parts })).rejects.toThrow('killed');
    expect((await world.find(id)).status).toBe('running');
    expect(await statusOf(world, 'doomed')).toBe('purging');
    expect(await world.run(id)).toMatchObject({ kind: 'awaiting-sweep' });
    expect(await world.value('select old_value from tenant_purge.quiesced')).toBe('active');
    expect((await eventsOf(world, id)).filter((kind) => kind === 'tenant marked')).toHaveLength(1);
  });

  test('37. puts the mark back when the tenant is put on hold before a row has gone', async () => {
    await start({ ...BY_COLUMN, ...HOLD, ...way });
    const { id } = await world.enqueueOne('doomed');
    await world.pool.query(`update public.tenants set legal_hold = true where id = 'doomed'`);
    expect(await world.run(id)).toMatchObject({ kind: 'refused', error: { code: 'TENANT_HELD' } });
    const ended = await world.find(id);
    expect(ended.status).toBe('refused');
    expect(ended.error?.message).toContain('Nothing was deleted.');
    expect(await statusOf(world, 'doomed')).toBe('active');
    expect(await world.batches(id)).toBe(0);
  });
});

test('A purge that failed with nothing deleted takes its mark off, and says so', async () => {
  await start({ ...BY_COLUMN, ...SMALL });
  await world.pool.query(`
    create function public.refuse() returns trigger language plpgsql as $$ begin
      raise exception 'never'; end $$;
    create trigger refuse before delete on public.messages for each row execute function public.refuse()`);
  const { id } = await world.enqueueOne('doomed');
  world.startWorker();
  const ended = await world.untilStatus(id, 'failed');
  expect(ended.error?.code).toBe('ROW_REFUSED');
  expect(ended.error?.message).toContain('no longer bears the mark');
  expect(await statusOf(world, 'doomed')).toBe('active');
});

test('A purge cancelled while it was paused behind its mark takes the mark off without a worker', async () => {
  const before = await start({ ...BY_COLUMN, ...BATCHES });
  const { id } = await world.enqueueOne('doomed');
  await stopAtTheMark(id);
  expect([(await world.find(id)).status, await statusOf(world, 'doomed')]).toEqual([
    'queued',
    'purging',
  ]);
  await cancel(world, id);
  expect((await world.find(id)).status).toBe('cancelled');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('A purge cancelled after rows have gone leaves the mark, and says so', async () => {
  await start({ ...BY_COLUMN, ...BATCHES });
  const { id } = await world.enqueueOne('doomed');
  await cancelInMidRun(id, (act) => afterFirstRows(world, act));
  expect(await statusOf(world, 'doomed')).toBe('purging');
  expect(await eventsOf(world, id)).toContain('mark stays');
});

test('A tenant that bore the value before is left with it', async () => {
  await start({ ...BY_COLUMN, ...BATCHES });
  await world.pool.query(`update public.tenants set status = 'purging' where id = 'doomed'`);
  const { id } = await world.enqueueOne('doomed');
  await cancelInMidRun(id, atTheMark);
  expect(await statusOf(world, 'doomed')).toBe('purging');
});

test('A cancel does not wait for a tenant row that somebody has locked; put_back tries again', async () => {
  await start({ ...BY_COLUMN, ...BATCHES });
  const { id } = await world.enqueueOne('doomed');
  await stopAtTheMark(id);
  const session = await world.pool.connect();
  await session.query(`begin; select from public.tenants where id = 'doomed' for update`);
  await cancel(world, id);
  expect((await world.find(id)).status).toBe('cancelled');
  expect(await eventsOf(world, id)).toContain('mark not put back');
  await session.query('rollback');
  session.release();
  expect(await world.value('select tenant_purge.put_back($1)', [id])).toBe('put back');
  expect(await statusOf(world, 'doomed')).toBe('active');
});

describe.each(WAYS)("With the operator's own SQL, by %s", (_, way) => {
  const sql = {
    quiesce: {
      sql: `update public.tenants set status = 'gone', name = name || '!' where id = {tenantId} -- fence`,
      undo: `update public.tenants set status = 'active', name = rtrim(name, '!') where id = {tenantId}`,
    },
  };

  test('the tenant is marked by it, and the other statement undoes it', async () => {
    const before = await start({ ...sql, ...way });
    const { id } = await world.enqueueOne('doomed');
    let seen: unknown;
    await cancelInMidRun(id, (act) =>
      atTheMark(async () => {
        seen = await statusOf(world, 'doomed');
        await act();
      }),
    );
    expect(seen).toBe('gone');
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
    const again = await world.enqueueOne('doomed');
    await world.untilStatus(again.id, 'completed');
  });
});

test('SQL that would mark another tenant too is rolled back, and the purge fails', async () => {
  const before = await start({
    quiesce: {
      sql: `update public.tenants set status = 'gone' where id = {tenantId} or true`,
      undo: `update public.tenants set status = 'active' where id = {tenantId}`,
    },
  });
  const { id } = await world.enqueueOne('doomed');
  expect(await world.run(id)).toMatchObject({ kind: 'failed', error: { code: 'QUIESCE_FAILED' } });
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('A mark that a CHECK refuses fails the purge with nothing changed', async () => {
  const before = await start(BY_COLUMN);
  await world.pool.query(`alter table public.tenants add check (status in ('active', 'closed'))`);
  const { id } = await world.enqueueOne('doomed');
  const outcome = await world.run(id);
  expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'QUIESCE_FAILED' } });
  expect((await world.find(id)).error?.message).toContain('tenants_status_check');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test.each([
  [{ column: 'state', value: 'x' }, 'quiesce.column: there is no column state'],
  [{ column: 'id', value: 'x' }, "id is the tenant's key"],
  [{ column: 'legal_hold', value: 'purging' }, 'invalid input syntax for type boolean'],
  [
    { sql: 'update public.tenants set nope = 1 where id = {tenantId}', undo: 'select {tenantId}' },
    'quiesce.sql: column "nope"',
  ],
  [
    { sql: "update public.tenants set status = '{tenantId}'", undo: 'select {tenantId}' },
    'stands in quotes',
  ],
  [
    {
      sql: "update public.settings set country = 'FR' where tenant_id = {tenantId}",
      undo: 'select {tenantId}',
    },
    'quiesce.sql',
  ],
  [
    {
      sql: "update public.tenants set status = 'x' where id = {tenantId}; select 1",
      undo: 'select {tenantId}',
    },
    'quiesce.sql',
  ],
  [
    {
      sql: "update public.tenants set status = 'x' where id = {tenantId}",
      undo: "update public.tenants set status = 'y' where id = {tenantId}; drop table public.settings",
    },
    'quiesce.undo: cannot insert multiple commands',
  ],
])(
  'A fence that PostgreSQL does not take is refused with the plan: %j',
  async (quiesce, message) => {
    const before = await start({});
    const other = await world.composeOther({ config: { quiesce } });
    const refusal = prepareCampaign(other.prepare, { kind: 'tenants', ids: ['doomed'] });
    await expect(refusal).rejects.toThrow(PurgeError);
    await expect(refusal).rejects.toThrow(message);
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  },
);

test('The plan counts the fence and the hold in its fingerprint', async () => {
  await start(BY_COLUMN);
  const { id } = await world.enqueueOne('doomed');
  for (const config of [
    { quiesce: null },
    { quiesce: { column: 'status', value: 'other' } },
    HOLD,
  ]) {
    const other = await world.composeOther({ config });
    const planned = await prepareCampaign(other.prepare, { kind: 'tenants', ids: ['kept'] });
    const mine = await world.actor.campaigns.get((await world.find(id)).campaignId);
    expect(planned.plan.fingerprint).not.toBe(mine.planFingerprint);
  }
});
