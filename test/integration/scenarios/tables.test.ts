import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, describe, expect, test } from 'vitest';
import type { Actor } from '../../../src/runtime/actor.ts';
import { databaseUrlOf } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
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

const roles: string[] = [];
// Registered before the scenarios' own: it runs after them, when the databases are gone.
afterEach(dropRoles);
const open = useScenarios();

const ENTRIES = `
  create table public.entries (id int primary key, tenant_id text not null references public.tenants);
  insert into public.entries select n, t from ${PAIRS};`;

describe.each(SIZES)('%s', (_, smallPurgeRows) => {
  test('14. partitions of partitions lose only the rows of the tenant, whatever their column order', async () => {
    const scenario = await open(
      `create table public.events (id int not null, tenant_id text not null references public.tenants,
         day date not null, ${WIDE}) partition by range (day);
       create table public.events_1 (pad text not null, day date not null, tenant_id text not null, id int not null);
       alter table public.events attach partition public.events_1 for values from ('2025-01-01') to ('2025-02-01');
       create table public.events_2 partition of public.events for values from ('2025-02-01') to ('2025-03-01')
         partition by hash (id);
       create table public.events_2a partition of public.events_2 for values with (modulus 2, remainder 0);
       create table public.events_2b partition of public.events_2 for values with (modulus 2, remainder 1);
       create table public.events_rest partition of public.events default;
       ${storePlain('public.events_1', 'public.events_2a', 'public.events_2b', 'public.events_rest')}
       insert into public.events select n * 100 + d, t, date '2025-01-01' + d, repeat('x', 1900)
       from ${PAIRS}, generate_series(0, 89, 10) d;`,
      { smallPurgeRows },
    );
    expect(await scenario.purgeCleanly()).toEqual({ 'public.events': 45, 'public.tenants': 1 });
    expect(await scenario.world.value('select count(*)::int from public.events')).toBe(45);
  });

  test('14. tables that inherit are sets of rows of their own, each deleted by its own rule', async () => {
    const scenario = await open(
      `create table public.cities (id int primary key, tenant_id text not null references public.tenants);
       create table public.capitals (flag text default 'x', primary key (id),
         foreign key (tenant_id) references public.tenants) inherits (public.cities);
       create table public.sights (id int primary key, city_id int not null references public.capitals);
       insert into public.cities select n, t from ${PAIRS};
       insert into public.capitals (id, tenant_id) select n + 1000, t from ${PAIRS};
       insert into public.sights select n, n + 1000 from ${PAIRS};`,
      { smallPurgeRows },
    );
    expect(await scenario.purgeCleanly()).toEqual({
      'public.capitals': 5,
      'public.cities': 5,
      'public.sights': 5,
      'public.tenants': 1,
    });
  });

  test('14. an append-only table whose trigger refuses every delete asks, and then fails with its words', async () => {
    for (const each of ['row', 'statement']) {
      const scenario = await open(
        `${ENTRIES}
         create function public.refuse() returns trigger language plpgsql as
           $$ begin raise exception 'entries are append-only'; end $$;
         create trigger append_only before delete on public.entries
           for each ${each} execute function public.refuse();`,
        { smallPurgeRows },
      );
      if (each === 'row') {
        await expect(scenario.enqueue()).rejects.toMatchObject({
          code: 'HAZARD_NOT_ALLOWED',
          message: expect.stringMatching(/BEFORE_DELETE_TRIGGER.*append_only/),
        });
      } else {
        expect(await scenario.hazards('TRIGGER')).toMatchObject([{ table: 'public.entries' }]);
      }
      const before = await scenario.everything();
      const id = await scenario.enqueue({ allow: ['BEFORE_DELETE_TRIGGER'] });
      expect(await scenario.run(id)).toMatchObject({
        kind: 'failed',
        error: {
          code: 'ROW_REFUSED',
          message: expect.stringContaining('entries are append-only'),
        },
      });
      expect(await scenario.everything()).toEqual(before);
      await scenario.world.pool.query('alter table public.entries disable trigger append_only');
      expect(await scenario.purgeCleanly()).toMatchObject({ 'public.entries': 5 });
    }
  });

  test('14. an append-only table that keeps its rows without the tenant lets the rest go', async () => {
    const scenario = await open(
      `create table public.audit_log (id int primary key, tenant_id text references public.tenants);
       create function public.refuse() returns trigger language plpgsql as
         $$ begin raise exception 'audit_log is append-only'; end $$;
       create trigger append_only before delete on public.audit_log
         for each row execute function public.refuse();
       insert into public.audit_log select n, t from ${PAIRS};
       ${ENTRIES}`,
      { smallPurgeRows, config: { tables: { 'public.audit_log': { onPurge: 'set-null' } } } },
    );
    const id = await scenario.enqueue();
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed' });
    expect(await scenario.ids('public.audit_log', "id || coalesce(tenant_id, '')")).toEqual(
      ['0', '1', '2', '3', '4', ...KEPT.map((n) => `${n}kept`)].sort(),
    );
    expect(await scenario.ids('public.entries')).toEqual(KEPT);
  });

  test.each([
    ['instead', 'do instead nothing'],
    ['also', `do also insert into public.gone values (old.id)`],
  ])('14. a rule on DELETE (%s) is refused by name', async (__, action) => {
    const scenario = await open(
      `${ENTRIES} create table public.gone (id int);
       create rule divert as on delete to public.entries ${action};`,
      { smallPurgeRows },
    );
    await expectRefused(scenario, /DELETE_RULE.*divert/);
  });

  test('14. a published table without replica identity is refused, and goes once it has one', async () => {
    const scenario = await open(
      `create table public.entries (id int not null, tenant_id text not null references public.tenants);
       insert into public.entries select n, t from ${PAIRS};
       set client_min_messages = error;
       create publication out_there for table public.entries;`,
      { smallPurgeRows },
    );
    await expectRefused(scenario, /NO_REPLICA_IDENTITY.*public\.entries/);
    await scenario.world.pool.query('alter table public.entries replica identity full');
    expect(await scenario.purgeCleanly()).toMatchObject({ 'public.entries': 5 });
  });

  test('15. rows without a primary key go by their address, equal ones too, each counted once', async () => {
    const scenario = await open(
      `create table public.logs (tenant_id text not null references public.tenants, line text, ${WIDE});
       create table public.tallies (tenant_id text not null, n int);
       ${storePlain('public.logs')}
       insert into public.logs select t, 'same' from ${PAIRS}, generate_series(1, 6);
       insert into public.tallies select t, 1 from ${PAIRS}, generate_series(1, 3);`,
      { smallPurgeRows },
    );
    expect((await scenario.hazards('NO_PRIMARY_KEY')).map(({ table }) => table)).toEqual([
      'public.logs',
      'public.tallies',
    ]);
    expect(await scenario.purgeCleanly()).toEqual({
      'public.logs': 30,
      'public.tallies': 15,
      'public.tenants': 1,
    });
    expect(
      await scenario.world.value(
        `select array[(select count(*)::int from public.logs), (select count(*)::int from public.tallies)]`,
      ),
    ).toEqual([30, 15]);
  });
});

test('15. a tenant column that cannot be compared with the key blocks instead of finding no row', async () => {
  const scenario = await open(`${ENTRIES}
    create table public.visits (tenant_id varchar(40) not null, line text);
    create table public.numbers (tenant_id int, n int);
    insert into public.visits select t, 'x' from ${PAIRS};`);
  expect(await scenario.hazards('UNEXPLAINED_TENANT_COLUMN')).toMatchObject([
    { severity: 'blocks', table: 'public.numbers' },
  ]);
  await expect(scenario.enqueue()).rejects.toMatchObject({ code: 'HAZARD_BLOCKS' });
  await scenario.world.pool.query('drop table public.numbers');
  expect(await scenario.purgeCleanly()).toMatchObject({ 'public.visits': 5 });
});

describe('14. a role that is no superuser', () => {
  test.each(['', 'force'])(
    'is refused where row security hides rows from it (%s), even without any policy',
    async (force) => {
      const scenario = await open(`${ENTRIES}
        alter table public.entries enable row level security;
        ${force === '' ? '' : 'alter table public.entries force row level security;'}`);
      const actor = await actAsRole(scenario.world);
      await expectRefused(scenario, /ROW_SECURITY.*public\.entries/, actor);
    },
  );

  test('is refused as the owner of a table under forced row security', async () => {
    const scenario = await open(`${ENTRIES}
      alter table public.entries enable row level security;
      alter table public.entries force row level security;
      create policy all_of_kept on public.entries using (tenant_id = 'kept');`);
    const actor = await actAsRole(scenario.world, ({ role }) => [
      `alter table public.entries owner to ${role}`,
    ]);
    await expectRefused(scenario, /ROW_SECURITY.*public\.entries/, actor);
  });

  test('is refused where row security of a single partition hides rows from it', async () => {
    const scenario = await open(`
      create table public.events (id int, tenant_id text not null references public.tenants)
        partition by list (tenant_id);
      create table public.events_d partition of public.events for values in ('doomed');
      create table public.events_rest partition of public.events default;
      insert into public.events select n, t from ${PAIRS};
      alter table public.events_d enable row level security;`);
    const actor = await actAsRole(scenario.world);
    await expectRefused(scenario, /ROW_SECURITY.*public\.events/, actor);
  });

  test('is refused where an append-only table is guarded by REVOKE, and told what to grant', async () => {
    const scenario = await open(ENTRIES);
    const actor = await actAsRole(scenario.world, ({ role }) => [
      `revoke delete on public.entries from ${role}`,
    ]);
    await expectRefused(
      scenario,
      /MISSING_PRIVILEGE.*lacks DELETE on public\.entries.*GRANT DELETE ON public\.entries TO/,
      actor,
    );
  });

  test('purges a table of which it may do everything', async () => {
    const scenario = await open(ENTRIES);
    const actor = await actAsRole(scenario.world);
    const before = await scenario.others();
    const id = await scenario.enqueue({ actor });
    expect(await scenario.run(id, { actor })).toMatchObject({ kind: 'completed' });
    expect(await scenario.everything()).toEqual(before);
  });

  test.each([
    ['row security', () => 'alter table public.entries enable row level security'],
    ['REVOKE DELETE', (role: string) => `revoke delete on public.entries from ${role}`],
    ['REVOKE SELECT', (role: string) => `revoke select on public.entries from ${role}`],
  ])('5. never ends as completed where %s came after the plan', async (_, ddl) => {
    for (const smallPurgeRows of [BY_BATCHES, 5_000]) {
      const scenario = await open(ENTRIES, { smallPurgeRows });
      let role = '';
      const actor = await actAsRole(scenario.world, (made) => {
        role = made.role;
        return [];
      });
      const id = await scenario.enqueue({ actor });
      await scenario.world.pool.query(ddl(role));
      const before = await scenario.everything();
      const outcome = await scenario.run(id, { actor });
      expect(['refused', 'failed']).toContain(outcome.kind);
      expect(outcome).toMatchObject({
        error: { code: expect.stringMatching(/DRIFT|PRIVILEGE_MISSING/) },
      });
      expect((await scenario.world.find(id)).error?.message).toContain('entries');
      expect(await scenario.everything()).toEqual(before);
    }
  });
});

test.each([
  ['a rule', 'create rule divert as on delete to public.entries do instead nothing'],
  [
    'a trigger',
    `create function public.keep() returns trigger language plpgsql as $$ begin return null; end $$;
     create trigger keep before delete on public.entries for each row execute function public.keep()`,
  ],
])('5. a purge is refused where %s on DELETE came after the plan', async (_, ddl) => {
  const scenario = await open(ENTRIES);
  const id = await scenario.enqueue();
  await scenario.world.pool.query(ddl);
  const before = await scenario.everything();
  expect(await scenario.run(id)).toMatchObject({ kind: 'refused', error: { code: 'DRIFT' } });
  expect((await scenario.world.find(id)).error?.message).toContain('public.entries');
  expect(await scenario.everything()).toEqual(before);
});

async function expectRefused(scenario: Scenario, message: RegExp, actor?: Actor): Promise<void> {
  const before = await scenario.everything();
  await expect(scenario.enqueue(actor === undefined ? {} : { actor })).rejects.toMatchObject({
    code: 'HAZARD_BLOCKS',
    message: expect.stringMatching(message),
  });
  expect(await scenario.everything()).toEqual(before);
}

/** The program connected as a role that may do everything with the application's tables but own them. */
async function actAsRole(
  world: PurgeWorld,
  more: (made: { readonly role: string }) => readonly string[] = () => [],
): Promise<Actor> {
  const role = `scenario_${randomUUID().slice(0, 8)}`;
  roles.push(role);
  const url = new URL(world.config.databaseUrl);
  for (const sql of [
    `create role ${role} login password 'of-the-test'`,
    `grant usage on schema tenant_purge to ${role}`,
    `grant select, insert, update on all tables in schema tenant_purge to ${role}`,
    `grant delete on tenant_purge.remembered to ${role}`,
    `grant usage on schema public to ${role}`,
    `grant select, update, delete on all tables in schema public to ${role}`,
    ...more({ role }),
  ]) {
    await world.pool.query(sql);
  }
  url.username = role;
  url.password = 'of-the-test';
  return world.composeOther({ environment: { DATABASE_URL: url.href } });
}

async function dropRoles(): Promise<void> {
  if (roles.length === 0) return;
  const client = new Client({ connectionString: databaseUrlOf('postgres') });
  await client.connect();
  try {
    for (const role of roles.splice(0)) await client.query(`drop role if exists ${role}`);
  } finally {
    await client.end();
  }
}
