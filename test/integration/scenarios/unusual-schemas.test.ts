import { describe, expect, test } from 'vitest';
import {
  BY_BATCHES,
  KEPT,
  PAIRS,
  type Scenario,
  SIZES,
  storePlain,
  useScenarios,
  WIDE,
} from '../../support/scenario.ts';

const open = useScenarios();

/** Major version of the server. */
const versionOf = async ({ world }: Scenario): Promise<number> =>
  Number(await world.value(`select current_setting('server_version_num')::int / 10000`));

/** Forty rows of each tenant, each below the one before it. */
const CHAIN = `(values ('doomed', 0), ('kept', 100)) as v (t, base), generate_series(base, base + 39) n`;
const tree = (index: string): string => `
  create table public.nodes (id int primary key, tenant_id text not null references public.tenants,
    parent_id int references public.nodes, name text not null, ${WIDE});
  ${storePlain('public.nodes')}
  ${index}
  insert into public.nodes select n, t, case when n > base then n - 1 end, 'node', 'x' from ${CHAIN};`;

const PERIODS = `
  create extension btree_gist;
  create table public.staff (id int, tenant_id text not null references public.tenants, valid daterange,
    primary key (id, valid without overlaps));
  create table public.contracts (staff_id int, valid daterange,
    foreign key (staff_id, period valid) references public.staff (id, period valid));
  insert into public.staff select n, t, daterange('2025-01-01', '2026-01-01') from ${PAIRS};
  insert into public.contracts select n, daterange('2025-02-01', '2025-03-01') from ${PAIRS};`;

const ownedAs = (kind: string) => ({
  tables: { 'public.notes': { ownedBy: [{ column: 'owner_id', when: { kind } }] } },
});

describe.each(SIZES)('%s', (_, smallPurgeRows) => {
  test.each([
    [
      'one root a tenant',
      'create unique index one_root on public.nodes (tenant_id) where parent_id is null;',
    ],
    [
      'names unique among siblings, by an expression',
      `create unique index siblings on public.nodes (tenant_id, coalesce(parent_id, -1), name);`,
    ],
    [
      'names unique among siblings, NULL a value',
      `alter table public.nodes add constraint siblings unique nulls not distinct (tenant_id, parent_id, name);`,
    ],
  ])('a tree with %s goes whole: rows without their parent would collide', async (_what, index) => {
    const scenario = await open(tree(index), { smallPurgeRows });
    const [hazard] = await scenario.hazards('CYCLE_IN_ONE_STATEMENT');
    expect(hazard?.message).toMatch(/could collide in (one_root|siblings)/);
    await expect(scenario.purgeCleanly()).rejects.toMatchObject({ code: 'HAZARD_NOT_ALLOWED' });
    expect(await scenario.purgeCleanly({ allow: ['CYCLE_IN_ONE_STATEMENT'] })).toEqual({
      'public.nodes': 40,
      'public.tenants': 1,
    });
  });

  test.each([
    'create unique index on public.nodes (tenant_id, parent_id, id);',
    'create unique index on public.nodes (tenant_id, name, id) where parent_id is not null;',
  ])('a tree whose index lets go of rows without parent goes by batches: %s', async (index) => {
    const scenario = await open(tree(index), { smallPurgeRows });
    expect(await scenario.hazards('CYCLE_IN_ONE_STATEMENT')).toEqual([]);
    expect(await scenario.purgeCleanly()).toMatchObject({ 'public.nodes': 40 });
  });

  test.each(['no action', 'restrict', 'cascade', 'set null', 'set default'])(
    'a chain of 10,000 rows goes, each below the other by ON DELETE %s',
    async (action) => {
      const scenario = await open(
        `create table public.nodes (id int primary key, tenant_id text not null references public.tenants,
           parent_id int references public.nodes on delete ${action});
         insert into public.nodes select n, 'doomed', nullif(n - 1, 0) from generate_series(1, 10000) n;
         create index on public.nodes (parent_id); create index on public.nodes (tenant_id);
         insert into public.nodes values (20000, 'kept', null), (20001, 'kept', 20000);`,
        { smallPurgeRows: smallPurgeRows === BY_BATCHES ? 0 : 20_000 },
      );
      expect(await scenario.purgeCleanly()).toMatchObject({ 'public.nodes': 10_000 });
    },
  );

  test('a domain over the type of the tenant key is that type', async () => {
    const scenario = await open(
      `create domain public.tenant_key as text check (value <> ''); create domain public.narrow as public.tenant_key;
       create table public.notes (id int primary key, tenant_id public.tenant_key not null references public.tenants);
       create table public.logs (id int primary key, tenant_id public.narrow);
       insert into public.notes select n, t from ${PAIRS};
       insert into public.logs select n, t from ${PAIRS};`,
      { smallPurgeRows },
    );
    expect(await scenario.purgeCleanly()).toEqual({
      'public.logs': 5,
      'public.notes': 5,
      'public.tenants': 1,
    });
  });

  test('tables hold the primary key where tenants are named by another column', async () => {
    const scenario = await open(
      `alter table public.tenants add uid bigint; update public.tenants set uid = length(id);
       alter table public.tenants alter uid set not null, drop constraint tenants_pkey, add primary key (uid), add unique (id);
       create table public.notes (id int primary key, tenant_id bigint not null references public.tenants);
       create table public.logs (id int primary key, tenant_id bigint);
       insert into public.notes select n, length(t) from ${PAIRS};
       insert into public.logs select n, length(t) from ${PAIRS};`,
      { smallPurgeRows },
    );
    const id = await scenario.enqueue();
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed', report: { residue: [] } });
    expect(await scenario.ids('public.notes')).toEqual(KEPT);
    expect(await scenario.ids('public.logs')).toEqual(KEPT);
    expect(await scenario.ids('public.tenants')).toEqual(['kept']);
  });

  test('a rule that stops updates does not stand in the way of deletes alone', async () => {
    const scenario = await open(
      `create table public.notes (id int primary key, tenant_id text not null references public.tenants);
       insert into public.notes select n, t from ${PAIRS};
       create rule append_only as on update to public.notes do instead nothing;`,
      { smallPurgeRows },
    );
    expect(await scenario.purgeCleanly()).toMatchObject({ 'public.notes': 5 });
  });

  test('MATCH FULL keys are cleared whole, and none is left half NULL by another', async () => {
    const scenario = await open(
      `create table public.boxes (a int, b int, tenant_id text not null references public.tenants,
         x int, y int, primary key (a, b), unique (a));
       create table public.lids (c int primary key, tenant_id text not null references public.tenants,
         a int, b int, z int, foreign key (a, b) references public.boxes (a, b) match full);
       alter table public.boxes add foreign key (x) references public.lids, add unique (a, x);
       alter table public.boxes add foreign key (x, y) references public.boxes (a, b) match full;
       insert into public.boxes select n, n, t from ${PAIRS};
       insert into public.lids select n, t, n, n from ${PAIRS};
       update public.boxes set x = a, y = b;`,
      { smallPurgeRows },
    );
    expect(await scenario.purgeCleanly()).toEqual({
      'public.boxes': 5,
      'public.lids': 5,
      'public.tenants': 1,
    });
  });

  test.each(['no action', 'restrict', 'cascade'])(
    'a circle of three tables, NOT NULL and never deferrable, goes in one statement: ON DELETE %s',
    async (action) => {
      const scenario = await open(
        `create table public.a (id int primary key, tenant_id text not null references public.tenants, next_id int not null);
         create table public.b (id int primary key, next_id int not null references public.a on delete ${action});
         create table public.c (id int primary key, next_id int not null references public.b on delete ${action});
         alter table public.a add foreign key (next_id) references public.c on delete ${action} deferrable initially deferred;
         begin;
         insert into public.a select n, t, n from ${PAIRS}; insert into public.b select n, n from ${PAIRS};
         insert into public.c select n, n from ${PAIRS};
         commit;`,
        { smallPurgeRows },
      );
      expect(await scenario.purgeCleanly({ allow: ['CYCLE_IN_ONE_STATEMENT'] })).toEqual({
        'public.a': 5,
        'public.b': 5,
        'public.c': 5,
        'public.tenants': 1,
      });
    },
  );
});

test('PERIOD keys are told by SQL of the operator, as their hazard says', async ({ skip }) => {
  skip((await versionOf(await open(''))) < 18, 'this server has none');
  const scenario = await open(PERIODS);
  const [hazard] = await scenario.hazards('OWNER_UNCLEAR');
  expect(hazard).toMatchObject({ table: 'public.contracts' });
  expect(hazard?.remedy).toContain('"where"');
  const settled = await open(PERIODS, {
    config: {
      tables: {
        'public.contracts': {
          where: 'staff_id in (select id from public.staff where tenant_id = {tenantId})',
        },
      },
    },
  });
  const id = await settled.enqueue();
  expect(await settled.run(id)).toMatchObject({ kind: 'completed', report: { residue: [] } });
  expect(await settled.ids('public.contracts', 'staff_id')).toEqual(KEPT);
  expect(await settled.ids('public.staff')).toEqual(KEPT);
});

test('a key that is not enforced leads to the tenant like any other', async ({ skip }) => {
  skip((await versionOf(await open(''))) < 18, 'this server has none');
  const scenario = await open(`
    create table public.agents (id int primary key, tenant_id text not null references public.tenants not enforced);
    create table public.runs (id int primary key, agent_id int not null references public.agents not enforced);
    create table public.docs (doc jsonb, tenant_id text generated always as (doc ->> 't') virtual);
    insert into public.agents select n, t from ${PAIRS};
    insert into public.runs select n, n from ${PAIRS};
    insert into public.runs values (-1, -1);
    insert into public.docs select jsonb_build_object('t', t) from ${PAIRS};`);
  expect(await scenario.purgeCleanly()).toEqual({
    'public.agents': 5,
    'public.docs': 5,
    'public.runs': 5,
    'public.tenants': 1,
  });
  expect(await scenario.ids('public.runs')).toEqual([-1, ...KEPT]);
});

test('any name goes: reserved, quoted, with dots, of 63 bytes, the same in two schemas', async () => {
  const long = 'ü'.repeat(31);
  const scenario = await open(`
    create schema "order"; create schema "a.b";
    create table "order"."user" ("select" int primary key, "tenant""Id" text not null references public.tenants, t int, c int);
    create table public."user" ("select" int primary key, "where" int not null references "order"."user");
    create table "a.b"."c.d" ("${long}" int primary key, "p" int references public."user", tenant_id text not null references public.tenants);
    create table "a.b"."${long}" ("${long}" int references "a.b"."c.d", "{tenantId}" text, primary key ("${long}"));
    insert into "order"."user" select n, t, n, n from ${PAIRS};
    insert into public."user" select n, n from ${PAIRS};
    insert into "a.b"."c.d" select n, n, t from ${PAIRS};
    insert into "a.b"."${long}" select n, t from ${PAIRS};`);
  const id = await scenario.enqueue();
  expect(await scenario.run(id)).toMatchObject({ kind: 'completed', report: { residue: [] } });
  const tables = [`"a.b"."${long}"`, '"a.b"."c.d"', '"order"."user"', 'public."user"'];
  expect(await scenario.world.ledgerRows(id)).toEqual({
    ...Object.fromEntries(tables.map((table) => [table, 5])),
    'public.tenants': 1,
  });
  const left = tables.map((table) => scenario.world.value(`select count(*)::int from ${table}`));
  expect(await Promise.all(left)).toEqual([5, 5, 5, 5]);
});

test('a BEFORE UPDATE trigger that keeps a reference stops the purge, and names the table', async () => {
  const scenario = await open(
    `create table public.nodes (id int primary key, tenant_id text not null references public.tenants,
       parent_id int references public.nodes, ${WIDE});
     ${storePlain('public.nodes')}
     insert into public.nodes select n, t, case when n > base then n - 1 end, 'x' from ${CHAIN};
     create function public.frozen() returns trigger language plpgsql as 'begin return null; end';
     create trigger frozen before update on public.nodes for each row execute function public.frozen();`,
  );
  const before = await scenario.everything();
  const outcome = await scenario.run(await scenario.enqueue());
  expect(outcome).toMatchObject({ kind: 'failed' });
  expect(JSON.stringify(outcome)).toContain('public.nodes');
  expect(await scenario.everything()).toEqual(before);
});

test.each([
  [
    'a column that ignores case, where the key does not',
    `create extension citext; insert into public.tenants values ('DOOMED');
     create table public.notes (id int primary key, tenant_id citext not null references public.tenants);
     insert into public.notes values (0, 'doomed'), (101, 'DOOMED'), (100, 'kept');`,
  ],
  [
    'a column of fixed width',
    `create table public.notes (id int primary key, tenant_id char(8) not null references public.tenants);
     insert into public.notes values (0, 'doomed'), (100, 'kept'), (101, 'kept');`,
  ],
])('%s is compared as the foreign key compares it', async (_, sql) => {
  const scenario = await open(sql);
  const id = await scenario.enqueue();
  expect(await scenario.run(id)).toMatchObject({ kind: 'completed', report: { residue: [] } });
  expect(await scenario.world.ledgerRows(id)).toEqual({ 'public.notes': 1, 'public.tenants': 1 });
  expect(await scenario.ids('public.notes')).toEqual([100, 101]);
});

test('a value of "when" that its column cannot have is a mistake in the configuration', async () => {
  const scenario = await open(
    `create type public.kind as enum ('Tenant', 'Agent');
     create table public.notes (id int primary key, kind public.kind, owner_id text);
     insert into public.notes select n, 'Tenant', t from ${PAIRS};`,
    { config: ownedAs('Tenent') },
  );
  await expect(scenario.prepare()).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('tables["public.notes"].ownedBy.when.kind'),
  });
});

test('a deferrable primary key is no replica identity', async () => {
  const scenario = await open(
    `create table public.notes (id int primary key deferrable, tenant_id text not null references public.tenants);
     insert into public.notes select n, t from ${PAIRS};
     create publication everything for table public.notes;`,
  );
  await expect(
    scenario.world.pool.query(`delete from public.notes where id = 0`),
  ).rejects.toMatchObject({ code: '55000' });
  expect(await scenario.hazards('NO_REPLICA_IDENTITY')).toMatchObject([
    { severity: 'blocks', table: 'public.notes' },
  ]);
});

test('a partition of one tenant that has partitions is detached whole', async () => {
  const scenario = await open(
    `create table public.events (id int, tenant_id text not null references public.tenants, day int)
       partition by list (tenant_id);
     create table public.events_doomed partition of public.events for values in ('doomed') partition by range (day);
     create table public.events_doomed_1 partition of public.events_doomed for values from (0) to (10);
     create table public.events_doomed_2 partition of public.events_doomed for values from (10) to (20);
     create table public.events_rest partition of public.events default;
     insert into public.events select n, t, n % 20 from ${PAIRS};`,
  );
  const hazards = await scenario.hazards('PARTITION_OF_ONE_TENANT');
  expect(hazards).toHaveLength(1);
  expect(await scenario.purgeCleanly()).toMatchObject({ 'public.events': 5 });
  const [statement] = /ALTER TABLE .*?;/.exec(hazards[0]?.remedy ?? '') ?? [];
  expect(statement).toContain('DETACH PARTITION public.events_doomed');
  await scenario.world.pool.query((statement ?? '').replace(' CONCURRENTLY', ''));
});
