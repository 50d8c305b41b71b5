import type { Pool } from 'pg';
import { describe, expect, test } from 'vitest';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { RestoreRules } from '../../../src/domain/restore.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import { actAt, type WorldOptions } from '../../support/purge-world.ts';
import {
  conflictsOf,
  createRestoreWorld,
  type RestoreWorld,
  rulesOf,
} from '../../support/restore-world.ts';
import { makeTemplate } from '../../support/test-world.ts';

const BATCHES = { batch: { smallPurgeRows: 0, maxRows: 3, connections: 1 } };

/** A world with these tables; the doomed tenant is not purged yet. */
async function worldOf(
  schema: string,
  config: WorldOptions['config'] = BATCHES,
): Promise<RestoreWorld> {
  const template = await makeTemplate(`
    create table public.tenants (id text primary key, name text);
    insert into public.tenants values ('doomed', 'D'), ('kept', 'K');
    ${schema}`);
  try {
    return await createRestoreWorld({
      template: template.name,
      config: { redis: { keys: [] }, ...config },
    });
  } finally {
    await template.drop();
  }
}

async function refusal(
  restoring: RestoreWorld,
  purge: PurgeRecord,
  rules?: Partial<RestoreRules>,
): Promise<unknown[]> {
  const conflicts = await conflictsOf(restoring, purge, rules);
  return conflicts.map(({ kind, object, count, rows }) => [kind, object, count, ...rows]);
}

const select = async (pool: Pool, query: string): Promise<unknown[]> =>
  (await pool.query<Record<string, unknown>>(query)).rows;

describe('What stands in the way is found before anything is changed, also', () => {
  test('archived rows that a unique index made since keeps apart: the first comes back, the others by rule not', async () => {
    await using restoring = await worldOf(`
      create table public.people (id int primary key, tenant_id text not null references public.tenants,
        email text);
      insert into public.people values (1, 'doomed', 'a@x'), (2, 'doomed', 'b@x'), (3, 'doomed', 'A@x'),
        (4, 'doomed', 'a@x'), (5, 'doomed', null), (6, 'doomed', null);`);
    const { pool } = restoring.world;
    const purge = await restoring.purge('doomed');
    await pool.query('create unique index people_email on public.people (lower(email))');
    expect(await refusal(restoring, purge)).toEqual([
      ['ROW_TAKEN', 'people_email', 2, 'lower(email) = a@x', 'lower(email) = a@x'],
    ]);
    await restoring.restore(purge, { rules: rulesOf({ settle: { ROW_TAKEN: 'skip' } }) });
    const back = await select(
      pool,
      'select count(*)::int as n, count(email)::int as e from people',
    );
    expect(back).toEqual([{ n: 4, e: 2 }]);
  });

  test('archived rows that an exclusion made since keeps apart', async () => {
    await using restoring = await worldOf(`
      create table public.stays (id int primary key, tenant_id text not null references public.tenants,
        during int4range);
      insert into public.stays values (1, 'doomed', '[1,5)'), (2, 'doomed', '[4,6)'), (3, 'doomed', '[9,10)');`);
    const purge = await restoring.purge('doomed');
    await restoring.world.pool.query(
      'alter table public.stays add constraint stays_apart exclude using gist (during with &&)',
    );
    const [first] = await refusal(restoring, purge);
    expect((first as unknown[]).slice(0, 3)).toEqual(['ROW_TAKEN', 'stays_apart', 1]);
  });

  test('a unique value that the database computes', async () => {
    await using restoring = await worldOf(`
      create table public.people (id int primary key, tenant_id text not null references public.tenants,
        email text, address text generated always as (lower(email)) stored unique);
      insert into public.people values (1, 'doomed', 'A@x'), (2, 'doomed', 'B@x');`);
    const { pool } = restoring.world;
    const purge = await restoring.purge('doomed');
    await pool.query(`insert into public.people values (9, 'kept', 'a@X')`);
    expect(await refusal(restoring, purge)).toEqual([
      ['ROW_TAKEN', 'people_address_key', 1, 'address = a@x'],
    ]);
  });

  test('a new column whose domain takes no NULL', async () => {
    await using restoring = await worldOf(`
      create table public.people (id int primary key, tenant_id text not null references public.tenants);
      insert into public.people values (1, 'doomed');`);
    const purge = await restoring.purge('doomed');
    await restoring.world.pool.query(`
      create domain public.strict as text not null; create domain public.stricter as public.strict;
      alter table public.people add column word public.stricter`);
    expect(await refusal(restoring, purge)).toEqual([['COLUMN_ADDED', 'word', 1]]);
  });

  test('a computed reference whose parent is gone', async () => {
    await using restoring = await worldOf(`
      create table public.codes (code text primary key);
      insert into public.codes values ('a'), ('b');
      create table public.uses (id int primary key, tenant_id text not null references public.tenants,
        raw text, code text generated always as (lower(raw)) stored references public.codes);
      insert into public.uses values (1, 'doomed', 'A'), (2, 'doomed', 'B');`);
    const purge = await restoring.purge('doomed');
    await restoring.world.pool.query(`delete from public.codes where code = 'a'`);
    expect(await refusal(restoring, purge)).toEqual([
      ['PARENT_GONE', 'public.uses.uses_code_fkey', 1, 'id = 1 refers to code = a'],
    ]);
  });

  test('a reference of two columns that the purge had cleared, and whose parent stays away', async () => {
    await using restoring = await worldOf(`
      create table public.teams (tenant_id text not null references public.tenants, id int, best int,
        primary key (tenant_id, id));
      create table public.players (tenant_id text not null, id int, team_id int not null, email text unique,
        primary key (tenant_id, id), foreign key (tenant_id, team_id) references public.teams);
      alter table public.teams add foreign key (tenant_id, best) references public.players
        on delete set null (best);
      insert into public.teams select 'doomed', n from generate_series(1, 4) n;
      insert into public.players select 'doomed', n, n, 'p' || n from generate_series(1, 4) n;
      update public.teams set best = id;
      insert into public.teams values ('kept', 1);`);
    const { pool } = restoring.world;
    const purge = await restoring.purge('doomed');
    await pool.query(`insert into public.players values ('kept', 9, 1, 'p2')`);
    expect(await refusal(restoring, purge)).toEqual([
      [
        'PARENT_GONE',
        'public.teams.teams_tenant_id_best_fkey',
        1,
        'tenant_id was doomed, best was 2',
      ],
      ['ROW_TAKEN', 'players_email_key', 1, 'email = p2'],
    ]);
    const rules = rulesOf({ settle: { ROW_TAKEN: 'skip', PARENT_GONE: 'skip' } });
    expect(await restoring.restore(purge, { rules })).toMatchObject({ outcome: 'restored' });
    const query = `select id, best from public.teams where tenant_id = 'doomed' order by id`;
    expect(await select(pool, query)).toEqual(
      [1, 2, 3, 4].map((id) => ({ id, best: id === 2 ? null : id })),
    );
  });

  test('a value that is taken under the collation of the index', async () => {
    await using restoring = await worldOf(`
      create collation public.caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      create table public.people (id int primary key, tenant_id text not null references public.tenants,
        name text);
      create unique index people_name on public.people (name collate public.caseless);
      insert into public.people values (1, 'doomed', 'Ada'), (2, 'doomed', 'Bob');`);
    const purge = await restoring.purge('doomed');
    await restoring.world.pool.query(`insert into public.people values (9, 'kept', 'ADA')`);
    expect(await refusal(restoring, purge)).toEqual([
      ['ROW_TAKEN', 'people_name', 1, expect.stringContaining('= Ada')],
    ]);
  });

  test('NOT NULL and CHECK of a table with many rows', async () => {
    await using restoring = await worldOf(
      `create table public.facts (id int primary key, tenant_id text not null references public.tenants,
         body text, amount int, grade int);
       insert into public.facts select n, 'doomed', nullif('x', case n when 7 then 'x' end), n, n % 5
         from generate_series(1, 50001) n;
       create index on public.facts (tenant_id);`,
      { batch: { smallPurgeRows: 100_000 } },
    );
    const { pool } = restoring.world;
    const purge = await restoring.purge('doomed');
    await pool.query(`alter table public.facts alter body set not null,
      add constraint facts_amount check (amount < 50001)`);
    expect(await refusal(restoring, purge)).toEqual([
      ['VALUE_REFUSED', 'body', 1, expect.stringMatching(/^line 6 of chunk \d+$/)],
      ['VALUE_REFUSED', 'facts_amount', 1, 'id = 50001'],
    ]);
    await pool.query(
      `alter table public.facts alter body drop not null, drop constraint facts_amount`,
    );
    expect(await restoring.restore(purge)).toMatchObject({ rowsRestored: 50_002 });
  }, 60_000);
});

describe('A restore that goes on', () => {
  const FAMILY = `
    create table public.people (id int primary key, tenant_id text not null references public.tenants,
      email text unique, boss_id int references public.people);
    create table public.posts (id int primary key, tenant_id text not null references public.tenants,
      person_id int references public.people);
    create table public.mentions (id int primary key, tenant_id text not null references public.tenants,
      person_id int references public.people);
    insert into public.people select n, 'doomed', 'p' || n, nullif(n - 1, 0) from generate_series(1, 4) n;
    insert into public.posts select n, 'doomed', n from generate_series(1, 4) n;
    insert into public.mentions values (1, 'kept', 1), (2, 'kept', 2);`;

  test('gives a stranger none of the children of the row whose key the stranger has', async () => {
    await using restoring = await worldOf(FAMILY, {
      ...BATCHES,
      foreignKeys: { 'public.mentions.mentions_person_id_fkey': 'set-null' },
    });
    const { world } = restoring;
    const { pool } = world;
    const purge = await restoring.purge('doomed');
    await pool.query(`insert into public.people values (1, 'kept', 'stranger', null)`);
    const rules = rulesOf({ settle: { ROW_TAKEN: 'skip', PARENT_GONE: 'skip' } });
    const stop = new AbortController();
    const stopped = restoring.restore(purge, {
      rules,
      signal: stop.signal,
      failpoint: async (name) => {
        if (name !== 'restore-committed' || stop.signal.aborted) return;
        const { rows } = await pool.query(`select 1 from public.people where tenant_id = 'doomed'`);
        if (rows.length > 0) stop.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: 'STOP_ASKED' });
    expect(await select(pool, 'select 1 from public.posts')).toEqual([]);
    // The rules of the restore that goes on.
    await restoring.restore(await world.find(purge.id));
    const state = {
      people: await select(pool, 'select id, tenant_id, boss_id from public.people order by id'),
      posts: await select(pool, 'select id, person_id from public.posts order by id'),
      mentions: await select(pool, 'select id, person_id from public.mentions order by id'),
    };
    expect(state).toEqual({
      people: [
        { id: 1, tenant_id: 'kept', boss_id: null },
        { id: 2, tenant_id: 'doomed', boss_id: null },
        { id: 3, tenant_id: 'doomed', boss_id: 2 },
        { id: 4, tenant_id: 'doomed', boss_id: 3 },
      ],
      posts: [
        { id: 2, person_id: 2 },
        { id: 3, person_id: 3 },
        { id: 4, person_id: 4 },
      ],
      mentions: [
        { id: 1, person_id: null },
        { id: 2, person_id: 2 },
      ],
    });
  });
});

describe('Rows that somebody has put back by hand', () => {
  test('are the very rows, also where the purge had cleared a reference before it deleted them', async () => {
    await using restoring = await worldOf(`
      create table public.teams (id int primary key, tenant_id text not null references public.tenants, best int);
      create table public.players (id int primary key, tenant_id text not null references public.tenants,
        team_id int not null references public.teams, note text);
      alter table public.teams add foreign key (best) references public.players;
      insert into public.teams select n, 'doomed' from generate_series(1, 9) n;
      insert into public.players select n, 'doomed', n from generate_series(1, 9) n;
      update public.teams set best = id;`);
    const { pool } = restoring.world;
    const before = await catalogueChecksum(pool, { except: [] });
    const purge = await restoring.purge('doomed');
    await pool.query(`insert into public.tenants values ('doomed', 'D');
      insert into public.teams values (1, 'doomed', null), (2, 'doomed', null), (3, 'doomed', null);
      insert into public.players values (1, 'doomed', 1), (2, 'doomed', 2), (3, 'doomed', 3);
      update public.teams set best = id where id < 3; update public.players set note = 'other' where id = 3`);
    expect(await refusal(restoring, purge)).toEqual([
      ['PARENT_GONE', 'public.teams.teams_best_fkey', 1, 'best was 3'],
      ['ROW_PRESENT', 'players_pkey', 2, 'id = 1', 'id = 2'],
      ['ROW_PRESENT', 'teams_pkey', 3, 'id = 1', 'id = 2', 'id = 3'],
      ['ROW_PRESENT', 'tenants_pkey', 1, 'id = doomed'],
      ['ROW_TAKEN', 'players_pkey', 1, 'id = 3'],
    ]);
    await pool.query('update public.players set note = null where id = 3');
    await restoring.restore(purge, { rules: rulesOf({ settle: { ROW_PRESENT: 'skip' } }) });
    expect(await catalogueChecksum(pool, { except: [] })).toEqual(before);
  });
});

describe('A column that was added while the purge ran', () => {
  test.each([
    ['with a default', `add column extra text not null default E'new\\tone'`],
    ['without one', 'add column extra text'],
  ])('%s comes back with what each row had', async (_how, change) => {
    await using restoring = await worldOf(`
      create table public.facts (id int primary key, tenant_id text not null references public.tenants, pad text);
      insert into public.facts select n, 'doomed', repeat('x', 1900) from generate_series(1, 40) n;
      insert into public.facts values (99, 'kept', 1);`);
    const { world } = restoring;
    const { pool } = world;
    const purge = await world.enqueueOne('doomed', { archive: true });
    let kept: unknown[] = [];
    const worker = world.startWorker(
      actAt('batch-committed', 4, async () => {
        await pool.query(`alter table public.facts ${change}`);
        await pool.query(`update public.facts set extra = 'own' where tenant_id = 'doomed'`);
        kept = await select(pool, `select id, extra from public.facts order by id`);
      }),
    );
    const ended = await world.untilStatus(purge.id, 'completed');
    await worker.stop();
    const report = await restoring.restore(ended);
    expect(report.rowsSkipped).toBe(0);
    expect(report.tables.map(({ verified }) => verified)).not.toContain('count');
    const back = await select(pool, `select id, extra from public.facts order by id`);
    expect(back).toHaveLength(41);
    expect(back).toEqual(expect.arrayContaining(kept));
    const missing = change.includes('default') ? 'new\tone' : null;
    const old = back.filter((row) => !kept.some((each) => sameId(each, row)));
    expect(old.length).toBeGreaterThan(0);
    expect(new Set(old.map((row) => (row as { extra: string | null }).extra))).toEqual(
      new Set([missing]),
    );
  });
});

const sameId = (left: unknown, right: unknown): boolean =>
  (left as { id: number }).id === (right as { id: number }).id;
