import { Pool } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import type { PurgeId } from '../../../src/domain/ids.ts';
import { prepareCampaign } from '../../../src/engine/campaign/prepare.ts';
import type { Failpoint } from '../../../src/engine/failpoints.ts';
import { runCommand } from '../../../src/queue/commands.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { addTenant, createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

let template: Awaited<ReturnType<typeof makeTemplate>>;
beforeAll(async () => {
  template = await makeTemplate(async (url) => {
    await createSmallApplication(url);
    await addTenant(url, 'kept', 2);
    await addTenant(url, 'doomed', 3);
    const pool = new Pool({ connectionString: url });
    await pool.query(`alter table public.tenants
      add column status text not null default 'active', add column legal_hold boolean`);
    await pool.end();
  });
});
afterAll(() => template.drop());

let world: PurgeWorld;
afterEach(() => world.close());

const BY_COLUMN = { quiesce: { column: 'status', value: 'purging' } };
const HOLD = { hold: { column: 'legal_hold' } };
const SMALL = { batch: { smallPurgeRows: 5_000 } };
const BATCHES = { batch: { smallPurgeRows: 0 } };
const WAYS = [
  ['one transaction', SMALL],
  ['batches', BATCHES],
] as const;

async function start(config: object): Promise<unknown> {
  world = await createWorld({ template: template.name, config });
  return catalogueChecksum(world.pool, { except: [] });
}

/** Acts after the first batch that has deleted a row. */
const afterFirstRows = (act: () => Promise<void> | void): Failpoint => {
  let acted = false;
  return async (point) => {
    if (point !== 'batch-committed' || acted) return;
    const rows = await world.value(
      `select coalesce(sum(rows), 0)::int from tenant_purge.batch where kind = 'delete'`,
    );
    if (rows === 0) return;
    acted = true;
    await act();
  };
};

const statusOf = (id: string): Promise<unknown> =>
  world.value('select status from public.tenants where id = $1', [id]);

const eventsOf = async (id: PurgeId): Promise<string[]> =>
  (
    await world.pool.query('select kind from tenant_purge.event where purge_id = $1 order by id', [
      id,
    ])
  ).rows.map(({ kind }) => kind);

async function cancel(id: PurgeId): Promise<void> {
  await runCommand(world.actor.reconcile, 'cancel', {
    selection: { kind: 'purge', id },
    fleet: false,
    operator: 'test',
    waitMs: 5_000,
  });
}

describe.each(WAYS)('A purge that marks the tenant first, by %s', (_, way) => {
  test('marks it alone, before any row goes, and leaves no residue', async () => {
    await start({ ...BY_COLUMN, ...way });
    const { id } = await world.enqueueOne('doomed');
    const seen: unknown[] = [];
    world.startWorker(async (point) => {
      if (point !== 'quiesced') return;
      seen.push(await statusOf('doomed'), await statusOf('kept'), await world.batches(id));
      seen.push((await world.find(id)).stage);
    });
    const ended = await world.untilStatus(id, 'completed');
    expect(seen).toEqual(['purging', 'active', 0, 'quiesce']);
    expect(ended.residue).toEqual([]);
    expect(await statusOf('kept')).toBe('active');
    expect(await statusOf('doomed')).toBeUndefined();
    expect(await world.value('select outcome from tenant_purge.quiesced')).toBeNull();
  });

  test('puts the mark back when it is cancelled before a row has gone', async () => {
    const before = await start({ ...BY_COLUMN, ...way });
    const { id } = await world.enqueueOne('doomed');
    // The command waits for the worker, which this failpoint holds up.
    let command = Promise.resolve();
    world.startWorker(
      actAt('quiesced', 1, async () => {
        command = cancel(id);
        await world.untilStatus(id, 'cancelling');
      }),
    );
    await world.untilStatus(id, 'cancelled');
    await command;
    expect(await eventsOf(id)).toContain('mark put back');
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
    expect(await statusOf('doomed')).toBe('purging');
    expect(await world.run(id)).toMatchObject({ kind: 'awaiting-sweep' });
    expect(await world.value('select old_value from tenant_purge.quiesced')).toBe('active');
    expect((await eventsOf(id)).filter((kind) => kind === 'tenant marked')).toHaveLength(1);
  });

  test('37. puts the mark back when the tenant is put on hold before a row has gone', async () => {
    await start({ ...BY_COLUMN, ...HOLD, ...way });
    const { id } = await world.enqueueOne('doomed');
    await world.pool.query(`update public.tenants set legal_hold = true where id = 'doomed'`);
    expect(await world.run(id)).toMatchObject({ kind: 'refused', error: { code: 'TENANT_HELD' } });
    const ended = await world.find(id);
    expect(ended.status).toBe('refused');
    expect(ended.error?.message).toContain('Nothing was deleted.');
    expect(await statusOf('doomed')).toBe('active');
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
  expect(await statusOf('doomed')).toBe('active');
});

test('A purge cancelled while it was paused behind its mark takes the mark off without a worker', async () => {
  const before = await start({ ...BY_COLUMN, ...BATCHES });
  const { id } = await world.enqueueOne('doomed');
  let stop: string | null = null;
  await world.run(id, {
    parts: world.engine(
      actAt('quiesced', 1, () => {
        stop = 'the worker shuts down';
      }),
    ),
    control: { stopReason: () => Promise.resolve(stop) },
  });
  expect([(await world.find(id)).status, await statusOf('doomed')]).toEqual(['queued', 'purging']);
  await cancel(id);
  expect((await world.find(id)).status).toBe('cancelled');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

test('A purge cancelled after rows have gone leaves the mark, and says so', async () => {
  await start({ ...BY_COLUMN, ...BATCHES });
  const { id } = await world.enqueueOne('doomed');
  let command = Promise.resolve();
  world.startWorker(
    afterFirstRows(async () => {
      command = cancel(id);
      await world.untilStatus(id, 'cancelling');
    }),
  );
  await world.untilStatus(id, 'cancelled');
  await command;
  expect(await statusOf('doomed')).toBe('purging');
  expect(await eventsOf(id)).toContain('mark stays');
});

test('A tenant that bore the value before is left with it', async () => {
  await start({ ...BY_COLUMN, ...BATCHES });
  await world.pool.query(`update public.tenants set status = 'purging' where id = 'doomed'`);
  const { id } = await world.enqueueOne('doomed');
  let command = Promise.resolve();
  world.startWorker(
    actAt('quiesced', 1, async () => {
      command = cancel(id);
      await world.untilStatus(id, 'cancelling');
    }),
  );
  await world.untilStatus(id, 'cancelled');
  await command;
  expect(await statusOf('doomed')).toBe('purging');
});

test('A cancel does not wait for a tenant row that somebody has locked; put_back tries again', async () => {
  await start({ ...BY_COLUMN, ...BATCHES });
  const { id } = await world.enqueueOne('doomed');
  let stop: string | null = null;
  await world.run(id, {
    parts: world.engine(
      actAt('quiesced', 1, () => {
        stop = 'the worker shuts down';
      }),
    ),
    control: { stopReason: () => Promise.resolve(stop) },
  });
  const session = await world.pool.connect();
  await session.query(`begin; select from public.tenants where id = 'doomed' for update`);
  await cancel(id);
  expect((await world.find(id)).status).toBe('cancelled');
  expect(await eventsOf(id)).toContain('mark not put back');
  await session.query('rollback');
  session.release();
  expect(await world.value('select tenant_purge.put_back($1)', [id])).toBe('put back');
  expect(await statusOf('doomed')).toBe('active');
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
    let command = Promise.resolve();
    world.startWorker(
      actAt('quiesced', 1, async () => {
        seen = await statusOf('doomed');
        command = cancel(id);
        await world.untilStatus(id, 'cancelling');
      }),
    );
    await world.untilStatus(id, 'cancelled');
    await command;
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
