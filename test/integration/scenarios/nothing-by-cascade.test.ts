import type { Pool } from 'pg';
import { describe, expect, test } from 'vitest';
import { PAIRS, SIZES, useScenarios } from '../../support/scenario.ts';

const open = useScenarios();

/** Two tables of nobody refer to agents by keys that would act; their rules are in `CONFIG`. */
const APPLICATION = `
  create table public.agents (id int primary key, tenant_id text not null references public.tenants on delete cascade);
  create table public.a_cascade (id int primary key, tenant_id text not null references public.tenants,
    agent_id int references public.agents on delete cascade);
  create table public.b_set_null (id int primary key, tenant_id text not null references public.tenants,
    agent_id int references public.agents on delete set null);
  create table public.c_set_default (id int primary key, tenant_id text not null references public.tenants,
    agent_id int default null references public.agents on delete set default);
  create table public.d_restrict (id int primary key, tenant_id text not null references public.tenants,
    agent_id int references public.agents on delete restrict);
  create table public.e_no_action (id int primary key, tenant_id text not null references public.tenants,
    agent_id int references public.agents);
  create table public.f_below (id int primary key, a_id int not null references public.a_cascade on delete cascade,
    next_id int references public.f_below on delete cascade);
  create table public.g_cleared (id int primary key, agent_id int references public.agents on delete cascade);
  create table public.h_deleted (id int primary key, agent_id int references public.agents on delete set null);
  create table public.i_events (id int not null, agent_id int not null references public.agents on delete cascade)
    partition by hash (id);
  create table public.i_events_0 partition of public.i_events for values with (modulus 2, remainder 0);
  create table public.i_events_1 partition of public.i_events for values with (modulus 2, remainder 1);
  insert into public.agents select n, t from ${PAIRS};
  ${['a_cascade', 'b_set_null', 'c_set_default', 'd_restrict', 'e_no_action']
    .map((table) => `insert into public.${table} select n, t, n from ${PAIRS};`)
    .join('\n')}
  insert into public.f_below select n, n, n from ${PAIRS};
  insert into public.i_events select n, n from ${PAIRS};
  insert into public.g_cleared values (1, 1), (101, 101);
  insert into public.h_deleted values (2, 2), (102, 102);`;
const CONFIG = {
  foreignKeys: {
    'public.g_cleared.g_cleared_agent_id_fkey': 'set-null',
    'public.h_deleted.h_deleted_agent_id_fkey': 'delete',
  },
} as const;

/** What happened to rows of a table in one transaction. */
interface Happened {
  readonly transaction: string;
  readonly table: string;
  readonly kind: 'delete' | 'clear';
  readonly rows: number;
}

/**
 * Counts with AFTER STATEMENT triggers, whose transition table holds every row that a client's
 * statement made vanish or change, those of the actions of keys too; and notes with BEFORE ROW
 * triggers how deep in triggers each was hit: 1 is a statement of a client's, 2 the action of a key.
 */
async function watch(pool: Pool): Promise<void> {
  await pool.query(`
    create schema watch;
    create table watch.counted (transaction xid8 default pg_current_xact_id(), relation oid, kind text, rows int);
    create table watch.hit (relation oid, depth int);
    create function watch.count() returns trigger language plpgsql as $$
      begin
        insert into watch.counted (relation, kind, rows)
        select tg_relid, case tg_op when 'DELETE' then 'delete' else 'clear' end, count(*) from gone;
        return null;
      end $$;
    create function watch.look() returns trigger language plpgsql as $$
      begin
        insert into watch.hit values (tg_relid, pg_trigger_depth());
        if tg_op = 'DELETE' then return old; end if;
        return new;
      end $$;
    do $$
    declare of text;
    begin
      for of in select oid::regclass from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
      loop
        execute format('create trigger gone after delete on %s referencing old table as gone
          for each statement execute function watch.count()', of);
        execute format('create trigger changed after update on %s referencing old table as gone
          for each statement execute function watch.count()', of);
      end loop;
      for of in select oid::regclass from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r'
      loop
        execute format('create trigger look before delete or update on %s
          for each row execute function watch.look()', of);
      end loop;
    end $$;`);
}

async function depths(pool: Pool): Promise<unknown> {
  const { rows } = await pool.query('select distinct depth from watch.hit order by 1');
  return rows.map(({ depth }) => depth);
}

/** By transaction and table, partitions under their root. */
async function happened(pool: Pool): Promise<Happened[]> {
  const { rows } = await pool.query<Happened>(`
    select transaction::text, coalesce(pg_partition_root(relation), relation)::regclass::text as table,
      kind, sum(rows)::int as rows
    from watch.counted group by 1, 2, 3 having sum(rows) > 0 order by 1, 2, 3`);
  return rows;
}

/** The same by the ledger, whose rows carry the transaction that wrote them. */
async function booked(pool: Pool): Promise<Happened[]> {
  const { rows } = await pool.query<Happened>(`
    select xmin::text as transaction, replace(table_name, 'public.', '') as table, kind, sum(rows)::int as rows
    from tenant_purge.batch group by 1, 2, 3 having sum(rows) > 0 order by 1, 2, 3`);
  return rows;
}

describe.each(SIZES)('%s', (_, smallPurgeRows) => {
  test('nothing escapes by cascade: a statement of ours hit every row that vanished or changed, and the ledger has it', async () => {
    const scenario = await open(APPLICATION, { smallPurgeRows, config: CONFIG });
    const { pool } = scenario.world;
    await watch(pool);
    const id = await scenario.enqueue({ allow: ['BEFORE_DELETE_TRIGGER'] });
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed' });

    expect(await depths(pool)).toEqual([1]);
    const seen = await happened(pool);
    expect(seen).toEqual(await booked(pool));
    const sums = new Map<string, number>();
    for (const { table, kind, rows } of seen) {
      const what = `${kind} ${table}`;
      sums.set(what, (sums.get(what) ?? 0) + rows);
    }
    expect(Object.fromEntries(sums)).toMatchObject({
      'delete a_cascade': 5,
      'delete agents': 5,
      'delete b_set_null': 5,
      'delete c_set_default': 5,
      'delete d_restrict': 5,
      'delete e_no_action': 5,
      'delete f_below': 5,
      'clear g_cleared': 1,
      'delete h_deleted': 1,
      'delete i_events': 5,
      'delete tenants': 1,
    });
    expect(await scenario.ids('public.g_cleared', 'array[id, agent_id]')).toEqual([
      [1, null],
      [101, 101],
    ]);
  });
});

test('the watch would have told: a plain DELETE hits rows of seven other tables at a depth that is not ours', async () => {
  const { world } = await open(
    `${APPLICATION} delete from public.d_restrict; delete from public.e_no_action;`,
  );
  await watch(world.pool);
  await world.pool.query("delete from public.agents where tenant_id = 'doomed'");
  expect(await depths(world.pool)).toEqual([1, 2]);
  expect(
    (await happened(world.pool)).map(({ kind, table, rows }) => `${kind} ${table} ${rows}`),
  ).toEqual([
    'delete a_cascade 5',
    'delete agents 5',
    'clear b_set_null 5',
    'clear c_set_default 5',
    'delete f_below 5',
    'delete g_cleared 1',
    'clear h_deleted 1',
    'delete i_events 5',
  ]);
});
