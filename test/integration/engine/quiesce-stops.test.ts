import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { KeepList } from '../../../src/domain/keep-list.ts';
import { prepareCampaign } from '../../../src/engine/campaign/prepare.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import {
  afterFirstRows,
  BATCHES,
  BY_COLUMN,
  cancel,
  eventsOf,
  HOLD,
  makeMarkableTemplate,
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

/** A window of one hour, some twelve hours from now. */
function closedNow(): string {
  const hour = (new Date().getUTCHours() + 12) % 24;
  const text = String(hour).padStart(2, '0');
  return `${text}:00-${text}:59 UTC`;
}

const rowsOf = (table: string): Promise<unknown> =>
  world.value(`select count(*)::int from ${table} where tenant_id = 'doomed'`);

describe('37. A tenant that is to stay after all, between two levels', () => {
  const CHANGES = {
    reactivated: [
      `update public.tenants set status = 'active' where id = 'doomed'`,
      'TENANT_REACTIVATED',
    ],
    held: [`update public.tenants set legal_hold = true where id = 'doomed'`, 'TENANT_HELD'],
  } as const;

  test.each(Object.entries(CHANGES))('loses nothing more once it is %s', async (_, [sql, code]) => {
    await start({ ...BY_COLUMN, ...HOLD, ...BATCHES });
    const { id } = await world.enqueueOne('doomed');
    const levels = async (): Promise<unknown> =>
      world.value(
        "select count(distinct level)::int from tenant_purge.batch where kind = 'delete'",
      );
    const outcome = await world.run(id, {
      parts: world.engine(afterFirstRows(world, async () => void (await world.pool.query(sql)))),
    });
    expect(outcome).toMatchObject({ kind: 'refused', error: { code } });
    const ended = await world.find(id);
    expect(ended.status).toBe('refused');
    expect(ended.error?.message).toMatch(/[1-9]\d* rows were deleted before; nothing more is/);
    expect(await levels()).toBe(1);
    expect(await rowsOf('public.agents')).toBe(3);
    expect(await eventsOf(world, id)).toContain('mark stays');
    expect(await statusOf(world, 'doomed')).toBe(code === 'TENANT_HELD' ? 'purging' : 'active');
  });

  test('by the keep list keeps what it still has, and its mark', async () => {
    await start({ ...BY_COLUMN, ...BATCHES });
    const { id } = await world.enqueueOne('doomed');
    let kept: string[] = [];
    const parts = {
      ...world.engine(
        afterFirstRows(world, () => {
          kept = ['doomed'];
        }),
      ),
      keep: { has: (tenantId: string) => new KeepList(kept).has(tenantId) } as KeepList,
    };
    const outcome = await world.run(id, { parts });
    expect(outcome).toMatchObject({ kind: 'refused', error: { code: 'TENANT_KEPT' } });
    expect((await world.find(id)).error?.message).toMatch(/rows were deleted before.*still bears/s);
    expect(await rowsOf('public.agents')).toBe(3);
  });

  test('and one reactivated while its purge was given back is refused at the next claim', async () => {
    await start({ ...BY_COLUMN, ...BATCHES });
    const { id } = await world.enqueueOne('doomed');
    let batches = 0;
    await world.run(id, {
      parts: world.engine(async (point) => {
        if (point === 'batch-committed') batches += 1;
      }),
      control: { stopReason: async () => (batches >= 1 ? 'the worker shuts down' : null) },
    });
    const rows = await world.ledgerRows(id);
    await world.pool.query(CHANGES.reactivated[0]);
    expect(await world.run(id)).toMatchObject({ error: { code: 'TENANT_REACTIVATED' } });
    expect(await world.ledgerRows(id)).toEqual(rows);
  });
});

test.each(WAYS)(
  '37. A tenant held while the throttle holds its purge, by %s, loses nothing and its purge waits no longer',
  async (_, way) => {
    const before = await start({
      ...BY_COLUMN,
      ...HOLD,
      ...way,
      throttle: { windows: [closedNow()] },
    });
    const { id } = await world.enqueueOne('doomed');
    const control = {
      onProgress: ({ holding }: { readonly holding?: string }): void => {
        if (holding === undefined) return;
        void world.pool.query(`update public.tenants set legal_hold = true where id = 'doomed'`);
      },
    };
    const outcome = await world.run(id, { control });
    expect(outcome).toMatchObject({ kind: 'refused', error: { code: 'TENANT_HELD' } });
    expect(await world.batches(id)).toBe(0);
    await world.pool.query(`update public.tenants set legal_hold = null where id = 'doomed'`);
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  },
);

test('A tenant on hold is refused when it is enqueued, by name or with everybody else', async () => {
  await start(HOLD);
  await world.pool.query(`update public.tenants set legal_hold = true where id = 'doomed'`);
  for (const request of [
    { kind: 'tenants', ids: ['doomed'] },
    { kind: 'all-except', ids: ['kept'] },
  ] as const) {
    const { refused, tenants } = await prepareCampaign(world.actor.prepare, request);
    expect(refused).toMatchObject([{ tenantId: 'doomed', code: 'TENANT_HELD' }]);
    expect(tenants).toEqual([]);
  }
  const spared = await prepareCampaign(world.actor.prepare, {
    kind: 'all-except',
    ids: ['doomed'],
  });
  expect(spared.refused).toEqual([]);
});

test('A mark that a killed worker left is taken off when the purge is cancelled without it', async () => {
  const before = await start({ ...BY_COLUMN, ...BATCHES });
  const worker = await world.spawnWorker({ failpoint: 'quiesced:1' });
  const { id } = await world.enqueueOne('doomed');
  await worker.exited;
  expect([(await world.find(id)).status, await statusOf(world, 'doomed')]).toEqual([
    'running',
    'purging',
  ]);
  await cancel(world, id, 10_000);
  expect((await world.find(id)).status).toBe('cancelled');
  expect(await eventsOf(world, id)).toContain('cancelled without its worker');
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

describe.each([
  ['a table', '', ''],
  [
    'a partitioned table',
    'partition by range (id)',
    'create table public.p1 partition of public."Tenant" for values from (0) to (100);',
  ],
])('Where the tenants are %s with names, types and values that want quoting', (_, by, parts) => {
  const CONFIG = { tenant: { table: 'public.Tenant', key: 'id' }, redis: { keys: [] } };
  const MARKS = [
    { column: 'State "x"', value: "it's over" },
    {
      sql: `update public."Tenant" set "State ""x""" = 'it''s over' where id = {tenantId}`,
      undo: `update public."Tenant" set "State ""x""" = null where id = {tenantId}`,
    },
  ];

  test.each(MARKS)('the mark %j is set and put back', async (quiesce) => {
    const odd = await makeTemplate(`
        create type public.state as enum ('live', 'it''s over');
        create table public."Tenant" (id bigint primary key, "State ""x""" public.state) ${by};
        ${parts}
        create table public.things (
          id int primary key, tenant bigint not null references public."Tenant");
        create index on public.things (tenant);
        insert into public."Tenant" values (1, null), (2, null);
        insert into public.things values (1, 1), (2, 2)`);
    try {
      world = await createWorld({ template: odd.name, config: { ...CONFIG, quiesce } });
      const before = await catalogueChecksum(world.pool, { except: [] });
      const { id } = await world.enqueueOne('1');
      let states: unknown;
      const engine = world.engine(async (point) => {
        if (point !== 'quiesced') return;
        const { rows } = await world.pool.query(`select * from public."Tenant" order by id`);
        states = rows.map((row) => row['State "x"']);
        throw new Error('no further');
      });
      expect(await world.run(id, { parts: engine })).toMatchObject({ kind: 'failed' });
      expect(states).toEqual(["it's over", null]);
      expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
      const again = await world.enqueueOne('1');
      expect((await world.run(again.id)).kind).toBe('completed');
    } finally {
      await odd.drop();
    }
  });
});
