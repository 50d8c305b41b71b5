import { Client, type Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PurgeError } from '../../../src/domain/errors.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { Conflict } from '../../../src/domain/restore.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import {
  conflictsOf,
  createRestoreWorld,
  type RestoreWorld,
  rulesOf,
} from '../../support/restore-world.ts';
import { makeTemplate } from '../../support/test-world.ts';

const SCHEMA = `
  create extension btree_gist;
  create table public.tenants (id text primary key, name text);
  create table public.countries (code text primary key);
  create table public.people (
    id int generated always as identity primary key,
    tenant_id text not null references public.tenants,
    email text,
    boss_id int references public.people,
    country text references public.countries,
    note text,
    during int4range,
    unique (email)
  );
  create unique index people_note on public.people (lower(note)) where note is not null;
  alter table public.people add constraint people_alone exclude using gist (during with &&);
  create table public.posts (
    id int primary key,
    tenant_id text not null references public.tenants,
    person_id int not null references public.people,
    title text
  );
  create table public.mentions (
    id int primary key,
    tenant_id text not null references public.tenants,
    person_id int references public.people,
    stars int not null default 1
  );
  create table public.visits (tenant_id text not null references public.tenants, year int not null)
    partition by list (year);
  create table public.visits_1 partition of public.visits for values in (1);
  create table public.visits_2 partition of public.visits for values in (2);
  insert into public.tenants values ('doomed', 'D'), ('kept', 'K');
  insert into public.countries values ('DE'), ('FR');
  insert into public.people (tenant_id, email, country, note, during)
    select 'doomed', 'p' || n || '@x', case when n < 3 then 'DE' end, 'Note ' || n, int4range(n * 10, n * 10 + 5)
    from generate_series(1, 5) n;
  update public.people set boss_id = id - 1 where id > 1;
  insert into public.people (tenant_id, email) values ('kept', 'k@x');
  insert into public.posts select n, 'doomed', 1 + n % 5, 'Post ' || n from generate_series(1, 10) n;
  insert into public.mentions values (1, 'kept', 2), (2, 'kept', 3), (3, 'doomed', 3);
  insert into public.visits values ('doomed', 1), ('doomed', 2), ('kept', 1);
`;

/** A trigger that changes what comes back. */
const SHOUT = `
  create function public.shout() returns trigger language plpgsql as $$
    begin new.title := upper(new.title); return new; end $$;
  create trigger shout before insert on public.posts for each row execute function public.shout()`;

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(SCHEMA);
});
afterAll(() => template.drop());

/** A purged tenant, and what its database held before. */
async function purged(): Promise<
  RestoreWorld & {
    readonly purged: PurgeRecord;
    readonly before: Awaited<ReturnType<typeof catalogueChecksum>>;
  }
> {
  const restoring = await createRestoreWorld({
    template: template.name,
    config: {
      batch: { smallPurgeRows: 0, maxRows: 3 },
      foreignKeys: { 'public.mentions.mentions_person_id_fkey': 'set-null' },
    },
  });
  const before = await catalogueChecksum(restoring.world.pool, { except: [] });
  return Object.assign(restoring, { before, purged: await restoring.purge('doomed') });
}

const brief = (conflicts: readonly Conflict[]): unknown[] =>
  conflicts.map(({ kind, table, object, count, rows }) => [kind, table, object, count, ...rows]);

/** What stands in the way of the tenant, in short. */
const inTheWay = async (restoring: Awaited<ReturnType<typeof purged>>): Promise<unknown[]> =>
  brief(await conflictsOf(restoring, restoring.purged));

const sql = (pool: Pool, text: string): Promise<unknown> => pool.query(text);

describe('What stands in the way of a restore is found before anything is changed', () => {
  test('a taken key, a taken unique value and what would exclude a row, each with the rows; skipped with their children', async () => {
    await using restoring = await purged();
    const { pool } = restoring.world;
    await sql(
      pool,
      `insert into public.people (id, tenant_id) overriding system value values (1, 'kept')`,
    );
    await sql(pool, `insert into public.people (tenant_id, email) values ('kept', 'p2@x')`);
    await sql(pool, `insert into public.people (tenant_id, note) values ('kept', 'NOTE 3')`);
    await sql(pool, `insert into public.people (tenant_id, during) values ('kept', '[42,43)')`);
    const found = await inTheWay(restoring);
    expect(found).toContainEqual(['ROW_TAKEN', 'public.people', 'people_pkey', 1, 'id = 1']);
    expect(found).toContainEqual([
      'ROW_TAKEN',
      'public.people',
      'people_email_key',
      1,
      'email = p2@x',
    ]);
    expect(found).toContainEqual([
      'ROW_TAKEN',
      'public.people',
      'people_note',
      1,
      'lower(note) = note 3',
    ]);
    expect(found).toContainEqual([
      'ROW_TAKEN',
      'public.people',
      'people_alone',
      1,
      'during = [40,45)',
    ]);
    // Two posts each of the people who are left out; the last one's boss is one of them.
    expect(found).toContainEqual([
      'PARENT_GONE',
      'public.posts',
      'public.posts.posts_person_id_fkey',
      8,
      ...[1, 2, 3, 5, 6, 7, 8, 10].map((id) => `id = ${id} refers to id = ${1 + (id % 5)}`),
    ]);
    expect(found).toContainEqual([
      'PARENT_GONE',
      'public.people',
      'public.people.people_boss_id_fkey',
      1,
      'boss_id was 4',
    ]);
    const report = await restoring.restore(restoring.purged, {
      rules: rulesOf({ settle: { ROW_TAKEN: 'skip', PARENT_GONE: 'skip' } }),
    });
    expect(report.tables.map(({ table, rows, skipped }) => [table, rows, skipped])).toEqual([
      ['public.mentions', 0, 1],
      ['public.people', 1, 4],
      ['public.posts', 2, 8],
      ['public.tenants', 1, 0],
      ['public.visits', 2, 0],
    ]);
    const people = await pool.query('select id, tenant_id, boss_id from public.people order by id');
    expect(people.rows.filter(({ id }) => id <= 6)).toEqual([
      { id: 1, tenant_id: 'kept', boss_id: null },
      { id: 5, tenant_id: 'doomed', boss_id: null },
      { id: 6, tenant_id: 'kept', boss_id: null },
    ]);
    const { rows } = await pool.query('select id, person_id from public.mentions order by id');
    expect(rows).toEqual([
      { id: 1, person_id: null },
      { id: 2, person_id: null },
    ]);
  });

  test('rows that are there already, which may be left as they are', async () => {
    await using restoring = await purged();
    const { pool } = restoring.world;
    await sql(pool, `insert into public.tenants values ('doomed', 'D')`);
    await sql(
      pool,
      `insert into public.people (id, tenant_id, email, country, note, during) overriding system value
      values (1, 'doomed', 'p1@x', 'DE', 'Note 1', '[10,15)')`,
    );
    const found = await inTheWay(restoring);
    expect(found).toEqual([
      ['ROW_PRESENT', 'public.people', 'people_pkey', 1, 'id = 1'],
      ['ROW_PRESENT', 'public.tenants', 'tenants_pkey', 1, 'id = doomed'],
    ]);
    await restoring.restore(restoring.purged, {
      rules: rulesOf({ settle: { ROW_PRESENT: 'skip' } }),
    });
    expect(await catalogueChecksum(pool, { except: [] })).toEqual(restoring.before);
  });

  test('a parent that is gone; the reference can be cleared, or the rows left out', async () => {
    await using restoring = await purged();
    const { pool } = restoring.world;
    await sql(pool, `delete from public.countries where code = 'DE'`);
    expect(await inTheWay(restoring)).toContainEqual([
      'PARENT_GONE',
      'public.people',
      'public.people.people_country_fkey',
      2,
      'id = 1 refers to code = DE',
      'id = 2 refers to code = DE',
    ]);
    await restoring.restore(restoring.purged, {
      rules: rulesOf({ settle: { PARENT_GONE: 'null' } }),
    });
    const { rows } = await pool.query(
      `select count(*)::int as n, count(country)::int as c from public.people where tenant_id = 'doomed'`,
    );
    expect(rows).toEqual([{ n: 5, c: 0 }]);
  });

  test('columns dropped, added and of another type, values a check refuses, a table that is gone', async () => {
    await using restoring = await purged();
    const { pool } = restoring.world;
    await sql(
      pool,
      `
      alter table public.people drop column note;
      alter table public.people add column must int; update public.people set must = 1;
      alter table public.people alter must set not null;
      alter table public.posts alter title type varchar(3);
      alter table public.mentions add check (id <> 3);
      drop table public.visits`,
    );
    const found = await inTheWay(restoring);
    expect(found).toContainEqual(['COLUMN_DROPPED', 'public.people', 'note', 5]);
    expect(found).toContainEqual(['COLUMN_ADDED', 'public.people', 'must', 5]);
    expect(found).toContainEqual(['COLUMN_RETYPED', 'public.posts', null, 1]);
    expect(found).toContainEqual([
      'VALUE_REFUSED',
      'public.mentions',
      'mentions_id_check',
      1,
      'id = 3',
    ]);
    expect(found).toContainEqual(['TABLE_GONE', 'public.visits', null, 2]);
  });

  test('a type that would round values', async () => {
    await using restoring = await purged();
    await sql(
      restoring.world.pool,
      `alter table public.posts alter id type numeric(10,0), alter title type char(4)
      using left(title, 4)`,
    );
    const found = await inTheWay(restoring);
    expect(found.map((each) => (each as unknown[])[0])).toContain('COLUMN_RETYPED');
  });

  test('no wider type: its values come back and are verified', async () => {
    await using restoring = await purged();
    const { pool } = restoring.world;
    await sql(
      pool,
      `alter table public.posts alter id type bigint, alter title type varchar(80);
       alter table public.mentions alter stars type numeric(6,2)`,
    );
    const report = await restoring.restore(restoring.purged);
    expect(report.tables).toContainEqual({
      table: 'public.posts',
      rows: 10,
      skipped: 0,
      verified: 'values',
    });
    const { rows } = await pool.query('select stars::text from public.mentions where id = 3');
    expect(rows).toEqual([{ stars: '1.00' }]);
  });

  test('a partition that is missing', async () => {
    await using restoring = await purged();
    await sql(restoring.world.pool, 'drop table public.visits_2');
    expect(await inTheWay(restoring)).toEqual([
      [
        'PARTITION_MISSING',
        'public.visits',
        null,
        1,
        expect.stringMatching(/^line \d+ of chunk \d+$/),
      ],
    ]);
  });

  test('rows that the purge had only changed: gone, or changed again since', async () => {
    await using restoring = await purged();
    const { pool } = restoring.world;
    await sql(
      pool,
      `update public.mentions set person_id = 6 where id = 1; delete from public.mentions where id = 2`,
    );
    const found = await inTheWay(restoring);
    expect(found).toEqual([
      ['CHANGED_SINCE', 'public.mentions', 'person_id', 1, 'id = 1'],
      ['ROW_GONE', 'public.mentions', 'person_id', 1, 'id = 2'],
    ]);
    await restoring.restore(restoring.purged, {
      rules: rulesOf({ settle: { CHANGED_SINCE: 'skip', ROW_GONE: 'skip' } }),
    });
    const { rows } = await pool.query('select id, person_id from public.mentions order by id');
    expect(rows).toEqual([
      { id: 1, person_id: 6 },
      { id: 3, person_id: 3 },
    ]);
  });

  test('triggers that would fire: refused until each is told to fire or not to', async () => {
    await using restoring = await purged();
    const { pool } = restoring.world;
    await sql(pool, SHOUT);
    expect(await inTheWay(restoring)).toEqual([
      ['TRIGGER', 'public.posts', 'public.posts.shout', 1],
    ]);
    const report = await restoring.restore(restoring.purged, {
      rules: rulesOf({ triggers: { 'public.posts.shout': 'disable' } }),
    });
    expect(report.outcome).toBe('restored');
    expect(await catalogueChecksum(pool, { except: [] })).toEqual(restoring.before);
    const { rows } = await pool.query(`select tgenabled from pg_trigger where tgname = 'shout'`);
    expect(rows).toEqual([{ tgenabled: 'O' }]);
  });

  test('a rule for a trigger that is not there; a name is printed as a shell takes it', async () => {
    await using restoring = await purged();
    await sql(
      restoring.world.pool,
      `create function public.idle() returns trigger language plpgsql as 'begin return new; end';
       create trigger "It's" before insert on public.posts for each row execute function public.idle()`,
    );
    const [conflict] = await conflictsOf(restoring, restoring.purged);
    expect(conflict?.remedy).toContain(`--trigger 'public.posts."It'\\''s"=disable'`);
    const rules = rulesOf({ triggers: { "public.posts.It's": 'disable' } });
    await expect(restoring.restore(restoring.purged, { rules })).rejects.toMatchObject({
      code: 'USAGE',
      remedy: expect.stringContaining(`public.posts."It's"`),
    });
  });

  test('a trigger that is told to fire changes what comes back, and then only the count is verified', async () => {
    await using restoring = await purged();
    const { pool } = restoring.world;
    await sql(pool, SHOUT);
    const rules = rulesOf({ triggers: { 'public.posts.shout': 'fire' } });
    const posts = { table: 'public.posts', rows: 10, skipped: 0, verified: 'count' };
    const report = await restoring.restore(restoring.purged, { rules });
    expect(report.tables).toContainEqual(posts);
    const again = await restoring.restore(restoring.purged, { rules });
    expect(again).toMatchObject({ outcome: 'already', tables: expect.arrayContaining([posts]) });
    const { rows } = await pool.query('select title from public.posts where id = 1');
    expect(rows).toEqual([{ title: 'POST 1' }]);
  });

  test('row security and missing privileges of the role', async () => {
    await using restoring = await purged();
    const { pool } = restoring.world;
    const { rows } = await pool.query<{ name: string }>(
      `select 'restorer_' || md5(random()::text) as name`,
    );
    const role = rows[0]?.name ?? '';
    await sql(
      pool,
      `create role ${role} login password 'x'; grant all on all tables in schema public to ${role};
      revoke insert on public.visits from ${role}; alter table public.posts enable row level security;
      grant usage, create on schema tenant_purge to ${role}; grant all on all tables in schema tenant_purge to ${role}`,
    );
    try {
      const url = new URL(restoring.world.config.databaseUrl);
      url.username = role;
      url.password = 'x';
      const error = await restoring.restore(restoring.purged, { into: url.href }).then(
        () => null,
        (thrown: unknown) => thrown as PurgeError,
      );
      expect(brief(error?.details['conflicts'] as Conflict[])).toEqual([
        ['ROW_SECURITY', 'public.posts', null, 1],
        ['PRIVILEGE', 'public.visits', 'INSERT', 1],
        ['PRIVILEGE', 'public.people', 'SELECT on sequence public.people_id_seq', 1],
      ]);
      // The way in is another role's, the database is the purge's own.
      await sql(
        pool,
        `grant insert on public.visits to ${role}; alter table public.posts disable row level security;
         grant usage on all sequences in schema tenant_purge to ${role};
         grant select on all sequences in schema public to ${role}`,
      );
      expect(await restoring.restore(restoring.purged, { into: url.href })).toMatchObject({
        outcome: 'restored',
      });
      expect(await restoring.world.find(restoring.purged.id)).toMatchObject({ status: 'restored' });
    } finally {
      await sql(pool, `drop owned by ${role}; drop role ${role}`);
    }
  });

  test('a live purge of the same tenant', async () => {
    await using restoring = await purged();
    const { world } = restoring;
    await sql(world.pool, `insert into public.tenants values ('doomed', 'again')`);
    await world.enqueueOne('doomed');
    await expect(
      restoring.restore(restoring.purged, {
        rules: rulesOf({ settle: { ROW_TAKEN: 'skip', PARENT_GONE: 'skip' } }),
      }),
    ).rejects.toMatchObject({ code: 'TENANT_BUSY' });
  });

  test('Redis keys that hold something else now; kept or replaced by rule', async () => {
    await using restoring = await createRestoreWorld({ template: template.name });
    const { world } = restoring;
    for (const name of ['a', 'b']) await world.redis.set(`tenant:doomed:${name}`, name);
    await sql(world.pool, `delete from public.mentions where id < 3`);
    const purge = await restoring.purge('doomed');
    await world.redis.set('tenant:doomed:a', 'new');
    const error = await restoring.restore(purge).then(
      () => null,
      (thrown: unknown) => thrown as PurgeError,
    );
    expect(brief(error?.details['conflicts'] as Conflict[])).toEqual([
      ['KEY_TAKEN', null, null, 1, 'tenant:doomed:a'],
    ]);
    const report = await restoring.restore(purge, {
      rules: rulesOf({ settle: { KEY_TAKEN: 'replace' } }),
    });
    expect(report.keys).toEqual({ restored: 2, expired: 0, skipped: 0, omitted: null });
    expect(await world.redis.mget('tenant:doomed:a', 'tenant:doomed:b')).toEqual(['a', 'b']);
  });
});

describe('A restore into another database', () => {
  test('brings the rows there, leaves the purge and its own database alone, and moves sequences on', async () => {
    await using restoring = await purged();
    const { world } = restoring;
    const other = await createDatabase({ template: template.name });
    const client = new Client({ connectionString: other.url });
    try {
      await client.connect();
      await client.query(`delete from public.posts where tenant_id = 'doomed'; delete from public.visits where tenant_id = 'doomed';
        delete from public.mentions where tenant_id = 'doomed'; update public.mentions set person_id = null;
        delete from public.people where tenant_id = 'doomed'; delete from public.tenants where id = 'doomed';
        alter sequence public.people_id_seq restart`);
      const report = await restoring.restore(restoring.purged, { into: other.url });
      expect(report).toMatchObject({ outcome: 'restored', rowsChangedBack: expect.any(Number) });
      expect(report.sequences).toEqual([{ sequence: 'public.people_id_seq', value: 6 }]);
      const { rows } = await client.query(
        `select count(*)::int as n from public.posts where tenant_id = 'doomed'`,
      );
      expect(rows).toEqual([{ n: 10 }]);
      expect(await restoring.restore(restoring.purged, { into: other.url })).toMatchObject({
        outcome: 'already',
      });
      expect(await world.find(restoring.purged.id)).toMatchObject({ status: 'completed' });
    } finally {
      await client.end();
      await other.drop();
    }
  });
});
