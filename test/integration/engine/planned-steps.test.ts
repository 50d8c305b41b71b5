import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ConfigInput } from '../../../src/config/schema.ts';
import type { Outcome } from '../../../src/domain/outcome.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(() => Promise.resolve());
});
afterAll(() => template.drop());

let world: PurgeWorld;
afterEach(() => world.close());

const SIZES = [
  ['in one transaction', 5_000],
  ['by batches', 0],
] as const;

/** Plans, enqueues and runs one purge over this application, whose tenant `doomed` goes. */
async function purge(
  sql: string,
  options: { readonly smallPurgeRows: number; readonly config?: Partial<ConfigInput> },
): Promise<Outcome> {
  const { smallPurgeRows, config } = options;
  world = await createWorld({
    template: template.name,
    config: { ...config, redis: { keys: [] }, batch: { smallPurgeRows, maxRows: 4 } },
  });
  await world.pool.query(`create table public.tenants (id text primary key);
    insert into public.tenants values ('doomed'), ('kept');${sql}`);
  const { id } = await world.enqueueOne('doomed');
  return world.run(id);
}

const left = (table: string, what = 'id'): Promise<unknown> =>
  world.value(`select array_agg(${what} order by ${what}) from public.${table}`);

const PAIRS =
  "(values ('doomed', 0), ('kept', 100)) as v (t, base), generate_series(base, base + 4) n";
const KEPT = [100, 101, 102, 103, 104];

const CIRCLE = (there: string, back: string): string => `
  create table public.agents (id int primary key, tenant_id text not null references public.tenants,
    team_id int not null);
  create table public.teams (id int primary key, tenant_id text not null references public.tenants,
    lead_id int not null);
  insert into public.agents select n, t, n from ${PAIRS};
  insert into public.teams select n, t, n from ${PAIRS};
  alter table public.agents add constraint in_team foreign key (team_id) references public.teams ${there};
  alter table public.teams add constraint led_by foreign key (lead_id) references public.agents ${back};
  create index on public.agents (team_id);
  create index on public.teams (lead_id);`;

describe.each(SIZES)('%s', (_, smallPurgeRows) => {
  test('a NOT NULL self reference goes in one statement', async () => {
    const outcome = await purge(
      `create table public.nodes (id int primary key,
         tenant_id text not null references public.tenants,
         next_id int not null references public.nodes);
       insert into public.nodes select n, t, case when n = base then n else n - 1 end from ${PAIRS};`,
      { smallPurgeRows },
    );
    expect(outcome).toMatchObject({ kind: 'completed' });
    expect(await left('nodes')).toEqual(KEPT);
  });

  test.each([
    ['', ''],
    ['on delete restrict', 'on delete restrict'],
    ['on delete cascade', ''],
    ['on delete cascade', 'on delete cascade'],
    ['deferrable', ''],
    ['deferrable initially deferred', 'deferrable'],
  ])('tables in a NOT NULL circle (%s, %s) go together', async (there, back) => {
    const outcome = await purge(CIRCLE(there, back), { smallPurgeRows });
    expect(outcome).toMatchObject({ kind: 'completed' });
    expect([await left('agents'), await left('teams')]).toEqual([KEPT, KEPT]);
  });

  test('rows of others are cleared or deleted as the rules for their keys say', async () => {
    const outcome = await purge(
      `create table public.agents (id int primary key, tenant_id text not null references public.tenants);
       create table public.notes (id int primary key, tenant_id text not null references public.tenants,
         agent_id int references public.agents);
       create table public.marks (id int primary key, tenant_id text not null references public.tenants,
         agent_id int not null references public.agents);
       insert into public.agents select n, t from ${PAIRS};
       insert into public.notes values (1, 'doomed', 1), (2, 'kept', 2), (3, 'kept', 103);
       insert into public.marks values (1, 'doomed', 101), (2, 'kept', 2), (3, 'kept', 103);`,
      {
        smallPurgeRows,
        config: {
          foreignKeys: {
            'public.notes.notes_agent_id_fkey': 'set-null',
            'public.marks.marks_agent_id_fkey': 'delete',
          },
        },
      },
    );
    expect(outcome).toMatchObject({ kind: 'completed' });
    expect(await left('agents')).toEqual(KEPT);
    expect(await left('notes', 'array[id, agent_id]')).toEqual([
      [2, null],
      [3, 103],
    ]);
    expect(await left('marks')).toEqual([3]);
  });

  test('one-to-one parents go with the rows that referred to them', async () => {
    const outcome = await purge(
      `create table public.meta (id int primary key);
       create table public.envelopes (id int primary key,
         tenant_id text not null references public.tenants, meta_id int not null references public.meta);
       insert into public.meta select n from generate_series(0, 110) n;
       insert into public.envelopes select n, t, n from ${PAIRS};`,
      { smallPurgeRows, config: { follow: ['public.envelopes.meta_id'] } },
    );
    expect(outcome).toMatchObject({ kind: 'completed' });
    expect(await left('envelopes')).toEqual(KEPT);
    expect(await world.value('select min(id)::int from public.meta')).toBe(5);
    expect(await world.value('select count(*)::int from public.meta')).toBe(106);
    expect(await world.value('select count(*)::int from tenant_purge.remembered')).toBe(0);
  });

  test('rows that stay lose the tenant, or take the values that the configuration gives', async () => {
    const outcome = await purge(
      `create table public.invoices (id int primary key, tenant_id text references public.tenants,
         name text, state text);
       create table public.visits (id int primary key, tenant_id text references public.tenants);
       insert into public.invoices select n, t, 'Ada', 'open' from ${PAIRS};
       insert into public.visits select n, t from ${PAIRS};`,
      {
        smallPurgeRows,
        config: {
          tables: {
            'public.invoices': {
              onPurge: 'update',
              set: { tenant_id: null, name: null, state: 'gone' },
            },
            'public.visits': { onPurge: 'set-null' },
          },
        },
      },
    );
    expect(outcome).toMatchObject({ kind: 'completed' });
    const about = "concat_ws(' ', tenant_id, name, state)";
    expect(
      await world.value(
        `select array_agg(distinct ${about} order by ${about}) from public.invoices`,
      ),
    ).toEqual(['gone', 'kept Ada open']);
    expect(await world.value('select count(*)::int from public.invoices')).toBe(10);
    expect(await world.value('select count(tenant_id)::int from public.visits')).toBe(5);
  });

  test('a row that a trigger keeps fails the purge and is named', async () => {
    const outcome = await purge(
      `create table public.agents (id int primary key, tenant_id text not null references public.tenants);
       create function public.keep() returns trigger language plpgsql as
         $$ begin if old.id = 3 then return null; end if; return old; end $$;
       create trigger keep before delete on public.agents for each row execute function public.keep();
       insert into public.agents select n, t from ${PAIRS};`,
      { smallPurgeRows },
    );
    expect(outcome).toMatchObject({
      kind: 'failed',
      error: { code: 'ROWS_KEPT', details: { table: 'public.agents', row: 'id = 3' } },
    });
  });

  test('a key action that NOT NULL refuses fails at once, with the column named', async () => {
    const outcome = await purge(
      `create table public.agents (id int primary key, tenant_id text not null references public.tenants);
       create table public.notes (id int primary key, tenant_id text references public.tenants,
         agent_id int references public.agents);
       create function public.refuse() returns trigger language plpgsql as
         $$ begin raise not_null_violation using message = 'no', table = 'notes', schema = 'public',
              column = 'agent_id'; end $$;
       create trigger refuse before update on public.notes for each row execute function public.refuse();
       insert into public.agents select n, t from ${PAIRS};
       insert into public.notes values (1, 'kept', 1);`,
      {
        smallPurgeRows,
        config: { foreignKeys: { 'public.notes.notes_agent_id_fkey': 'set-null' } },
      },
    );
    expect(outcome).toMatchObject({
      kind: 'failed',
      error: {
        code: 'ROW_REFUSED',
        remedy: expect.stringContaining('Column agent_id of public.notes takes no NULL'),
      },
    });
  });
});
