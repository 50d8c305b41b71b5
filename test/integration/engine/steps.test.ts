import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ClearStep, Plan, TenantPath } from '../../../src/domain/plan.ts';
import {
  clearStep,
  columnWay,
  deleteStep,
  parentWay,
  pathOf,
} from '../../support/hand-made-plan.ts';
import {
  addPurge,
  atOnce,
  carryOut,
  inLevels,
  type PurgeWay,
  WAYS,
} from '../../support/hand-made-purge.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate(() => Promise.resolve());
});
afterAll(() => template.drop());

let world: PurgeWorld;
afterEach(() => world.close());

const TENANTS = `create table public.tenants (id text primary key);
  insert into public.tenants values ('doomed'), ('kept');`;

async function start(sql: string, batch: object = {}): Promise<void> {
  world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 4, connections: 2, ...batch } },
  });
  await world.pool.query(TENANTS + sql);
}

/** One purge of the doomed tenant under this plan; the error is what the stages throw. */
async function purge(way: PurgeWay, plan: Plan): Promise<unknown> {
  const record = await addPurge(world, 'doomed');
  return carryOut(world, record, plan, { way }).then(
    () => null,
    (error: unknown) => error,
  );
}

const count = (table: string, where = 'true'): Promise<unknown> =>
  world.value(`select count(*)::int from ${table} where ${where}`);

const OURS = "tenant_id = 'doomed'";
const nodes = pathOf('nodes');
const tenants = deleteStep(pathOf('tenants', columnWay('id', 'tenant')));

const clearing = (
  path: TenantPath,
  reason: ClearStep['reason'],
  columns: readonly string[],
  values?: readonly (string | null)[],
): ClearStep =>
  clearStep(path, {
    reason,
    columns,
    foreignKey:
      reason === 'table' || reason === 'operator'
        ? path.table
        : `${path.table}.${columns.join('_')}_fkey`,
    ...(values === undefined ? {} : { values }),
  });

/** Ten rows a tenant, each of which refers to the one before, the first to itself. */
const NODES = (action: string): string => `
  create table public.nodes (id int primary key, tenant_id text not null references public.tenants,
    next_id int not null references public.nodes ${action});
  insert into public.nodes select n, t, case when n % 10 = 0 then n else n - 1 end
    from (values ('doomed', 0), ('kept', 100)) as v (t, base),
    lateral generate_series(base, base + 9) n;`;

/** Five rows a tenant in each of two tables that refer to each other. */
const CIRCLE = (there: string, back = there): string => `
  create table public.a (id int primary key, tenant_id text not null references public.tenants,
    b_id int not null);
  create table public.b (id int primary key, a_id int not null);
  insert into public.a select n, t, n from (values ('doomed', 0), ('kept', 100)) as v (t, base),
    lateral generate_series(base, base + 4) n;
  insert into public.b select id, id from public.a;
  alter table public.a add constraint a_b_fkey foreign key (b_id) references public.b ${there};
  alter table public.b add constraint b_a_fkey foreign key (a_id) references public.a ${back};`;

const a = pathOf('a');
const b = pathOf('b', parentWay('a_id', a));

describe.each(WAYS)('%s', (way) => {
  test.each(['', 'on delete restrict', 'on delete cascade'])(
    'rows that refer to each other inside a NOT NULL self reference %s go in one statement',
    async (action) => {
      await start(NODES(action));
      expect(await purge(way, inLevels([atOnce([deleteStep(nodes)])], [tenants]))).toBeNull();
      expect(await count('public.nodes')).toBe(10);
      expect(await count('public.nodes', OURS)).toBe(0);
    },
  );

  test.each([
    ['', ''],
    ['on delete restrict', 'on delete restrict'],
    ['on delete cascade', 'on delete cascade'],
    ['on delete restrict', ''],
  ])(
    'two tables that refer to each other, NOT NULL, %s and %s, go in one statement',
    async (there, back) => {
      await start(CIRCLE(there, back));
      const step = atOnce([
        deleteStep(a, acting('public.a', 'b_id', there)),
        deleteStep(b, acting('public.b', 'a_id', back)),
      ]);
      expect(await purge(way, inLevels([step], [tenants]))).toBeNull();
      expect([await count('public.a'), await count('public.b')]).toEqual([5, 5]);
      const { rows } = await world.pool.query(
        `select kind, table_name, rows::int from tenant_purge.batch order by table_name`,
      );
      expect(rows).toEqual([
        { kind: 'delete', table_name: 'public.a', rows: 5 },
        { kind: 'delete', table_name: 'public.b', rows: 5 },
        { kind: 'delete', table_name: 'public.tenants', rows: 1 },
      ]);
    },
  );

  const deferred = atOnce(
    [deleteStep(b), deleteStep(a)],
    ['public.a.a_b_fkey', '"public"."b"."b.a ""Key"""'],
  );
  const DEFERRABLE = `${CIRCLE('deferrable')}
    alter table public.b rename constraint b_a_fkey to "b.a ""Key""";`;

  test('a circle whose keys can be deferred goes table by table', async () => {
    await start(DEFERRABLE);
    expect(await purge(way, inLevels([deferred], [tenants]))).toBeNull();
    expect([await count('public.a'), await count('public.b')]).toEqual([5, 5]);
  });

  test("another tenant's row that refers into a deferred circle stops it", async () => {
    await start(DEFERRABLE);
    await world.pool.query('update public.a set b_id = 2 where id = 100');
    expect(await purge(way, inLevels([deferred], [tenants]))).toMatchObject({
      code: '23503',
      constraint: 'a_b_fkey',
    });
    expect([await count('public.a'), await count('public.b')]).toEqual([10, 10]);
  });

  test("another tenant's row that a cascade inside a circle would take stops it", async () => {
    await start(CIRCLE('on delete cascade'));
    await world.pool.query(
      'insert into public.b values (50, 0); update public.a set b_id = 50 where id = 100',
    );
    const step = atOnce([
      deleteStep(a, acting('public.a', 'b_id', 'on delete cascade')),
      deleteStep(b, acting('public.b', 'a_id', 'on delete cascade')),
    ]);
    expect(await purge(way, inLevels([step], [tenants]))).toMatchObject({ code: 'CASCADE_GUARD' });
    expect([await count('public.a'), await count('public.b')]).toEqual([10, 11]);
  });

  test('references of others are cleared, rows of others deleted, as rules say', async () => {
    await start(`${NODES('')}
      create table public.notes (id int primary key, tenant_id text, node_id int references public.nodes);
      create table public.marks (id int primary key, tenant_id text not null, node_id int not null references public.nodes);
      insert into public.notes values (1, 'kept', 1), (2, null, 2), (3, 'kept', 101), (4, 'kept', null);
      insert into public.marks values (1, 'kept', 1), (2, 'doomed', 101), (3, 'kept', 102);`);
    const unlink = clearing(pathOf('notes', parentWay('node_id', nodes)), 'rule', ['node_id']);
    const marks = deleteStep(pathOf('marks'), {
      also: [pathOf('marks', parentWay('node_id', nodes))],
    });
    expect(
      await purge(way, inLevels([unlink, marks], [atOnce([deleteStep(nodes)])], [tenants])),
    ).toBe(null);
    const { rows } = await world.pool.query('select id, node_id from public.notes order by id');
    expect(rows.map(({ id, node_id }) => [id, node_id])).toEqual([
      [1, null],
      [2, null],
      [3, 101],
      [4, null],
    ]);
    expect(await world.value('select array_agg(id) from public.marks')).toEqual([3]);
    expect(await world.ledgerRows(await lastPurge())).toMatchObject({ 'public.marks': 2 });
    expect(
      await world.value(
        `select sum(rows)::int from tenant_purge.batch where kind = 'clear' and table_name = 'public.notes'`,
      ),
    ).toBe(2);
  });

  test('one key may be cleared for a cycle and for a rule, and a table updated besides', async () => {
    await start(`
      create table public.notes (id int primary key, tenant_id text references public.tenants,
        next_id int references public.notes, state text not null default 'open', done boolean,
        n numeric, doc jsonb);
      insert into public.notes (id, tenant_id) select n, 'doomed' from generate_series(1, 9) n;
      insert into public.notes (id, tenant_id, next_id) values (101, 'kept', 3), (102, 'kept', null);
      update public.notes set next_id = 10 - id where tenant_id = 'doomed';`);
    const own = pathOf('notes');
    const plan = inLevels(
      [
        clearing(own, 'cycle', ['next_id']),
        clearing(pathOf('notes', parentWay('next_id', own)), 'rule', ['next_id']),
        clearing(
          own,
          'operator',
          ['state', 'done', 'n', 'doc'],
          ["it's gone", 'true', '1.50', '{"a": 1}'],
        ),
      ],
      [clearing(own, 'table', ['tenant_id'])],
      [tenants],
    );
    expect(await purge(way, plan)).toBeNull();
    expect(await count('public.notes', 'next_id is not null')).toBe(0);
    expect(await count('public.notes', "tenant_id is null and state = 'it''s gone' and done")).toBe(
      9,
    );
    expect(await count('public.notes', "tenant_id = 'kept' and state = 'open'")).toBe(2);
    if (way === 'by batches') {
      const { rows } = await world.pool.query(
        'select step from tenant_purge.checkpoint order by 1',
      );
      expect(rows.map(({ step }) => step)).toEqual([
        'clear public.notes.next_id_fkey',
        'delete public.tenants',
        'table public.notes',
        'unlink public.notes.next_id_fkey',
        'update public.notes',
      ]);
    }
  });

  test('a clear that NOT NULL or a CHECK forbids fails at once', async () => {
    await start(`${NODES('')}
      create table public.notes (id int primary key, node_id int references public.nodes,
        constraint somewhere check (node_id is not null));
      insert into public.notes values (1, 1);`);
    const unlink = clearing(pathOf('notes', parentWay('node_id', nodes)), 'rule', ['node_id']);
    const plan = inLevels([unlink], [atOnce([deleteStep(nodes)])], [tenants]);
    expect(await purge(way, plan)).toMatchObject({ code: '23514', constraint: 'somewhere' });
  });

  test('one-to-one parents are remembered and go after the rows that referred to them', async () => {
    await start(`
      create table public.meta (id int, part text, primary key (id, part));
      create table public.envelopes (id int primary key, tenant_id text not null,
        meta_id int, meta_part text, foreign key (meta_id, meta_part) references public.meta);
      create table public.drafts (id int primary key, meta_id int, meta_part text,
        foreign key (meta_id, meta_part) references public.meta);
      insert into public.meta select n, 'p,"' from generate_series(1, 20) n;
      insert into public.envelopes select n, 'doomed', n, 'p,"' from generate_series(1, 9) n;
      insert into public.envelopes values (10, 'doomed', null, null), (11, 'kept', 11, 'p,"');
      insert into public.drafts values (1, 9, 'p,"');`);
    const envelopes = pathOf('envelopes');
    const foreignKey = 'public.envelopes.envelopes_meta_id_meta_part_fkey';
    const columns = ['meta_id', 'meta_part'];
    const metaPath = {
      table: tenants.table,
      partitioned: false,
      ways: [
        {
          kind: 'child' as const,
          columns: ['id', 'part'],
          columnTypes: ['integer', 'text'],
          foreignKey,
          referencingColumns: columns,
          child: envelopes,
          via: 'configuration' as const,
          nullable: false,
        },
      ],
    };
    const meta = pathOf('meta').table;
    const plan = inLevels(
      [deleteStep(envelopes, { remembers: [{ foreignKey, columns, parent: meta }] })],
      [
        deleteStep(
          { ...metaPath, table: meta },
          {
            unlessReferenced: ['public.envelopes', 'public.drafts'].map((table) => ({
              relation: pathOf(table).table,
              partitioned: false,
              columns,
              referencedColumns: ['id', 'part'],
            })),
          },
        ),
      ],
      [tenants],
    );
    expect(await purge(way, plan)).toBeNull();
    expect(await world.value('select array_agg(id order by id) from public.meta')).toEqual([
      9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    ]);
    expect(await world.ledgerRows(await lastPurge())).toEqual({
      'public.envelopes': 10,
      'public.meta': 8,
      'public.tenants': 1,
    });
    expect(await count('tenant_purge.remembered')).toBe(9);
    await world.pool.query(`update tenant_purge.purge set status = 'completed'`);
    expect(await count('tenant_purge.remembered')).toBe(0);
  });

  test('a row that a trigger keeps is tried once more and named', async () => {
    await start(`${NODES('')}
      alter table public.nodes drop constraint nodes_next_id_fkey;
      create sequence public.asked;
      create function public.keep() returns trigger language plpgsql as
        $$ begin if old.id = 5 then perform nextval('public.asked'); return null; end if; return old; end $$;
      create trigger keep before delete on public.nodes for each row execute function public.keep();`);
    const plan = inLevels([deleteStep(nodes, { mayKeepRows: true })], [tenants]);
    const error = await purge(way, plan);
    expect(error).toMatchObject({
      code: 'ROWS_KEPT',
      details: { table: 'public.nodes', row: 'id = 5' },
      remedy: expect.stringContaining('trigger of public.nodes'),
    });
    expect((error as Error).message).toContain('id = 5');
    expect(await count('public.nodes', OURS)).toBe(10);
    expect(await world.value('select last_value::int from public.asked')).toBe(2);
  });

  test('a row that a trigger keeps in a circle is named by its address where it has no key', async () => {
    await start(`${NODES('')}
      create function public.keep() returns trigger language plpgsql as
        $$ begin if old.id = 9 then return null; end if; return old; end $$;
      create trigger keep before delete on public.nodes for each row execute function public.keep();
      update public.nodes set next_id = id;`);
    const step = atOnce([deleteStep(nodes, { mayKeepRows: true, primaryKey: [] })]);
    expect(await purge(way, inLevels([step], [tenants]))).toMatchObject({
      code: 'ROWS_KEPT',
      details: { row: expect.stringMatching(/^ctid = \(0,\d+\) of nodes$/) },
    });
    expect(await count('public.nodes')).toBe(20);
  });

  test('a row that a trigger keeps in a circle is noticed although a cascade would have taken it', async () => {
    await start(`${CIRCLE('', 'on delete cascade')}
      create function public.keep() returns trigger language plpgsql as
        $$ begin if old.id = 3 then return null; end if; return old; end $$;
      create trigger keep before delete on public.b for each row execute function public.keep();`);
    const step = atOnce([
      deleteStep(a, acting('public.a', 'b_id', 'on delete cascade')),
      deleteStep(b, { mayKeepRows: true }),
    ]);
    expect(await purge(way, inLevels([step], [tenants]))).toMatchObject({
      code: 'ROWS_KEPT',
      details: { table: 'public.b', row: 'id = 3' },
    });
    expect([await count('public.a'), await count('public.b')]).toEqual([10, 10]);
  });

  test('one-to-one parents of rows in a circle are remembered too', async () => {
    await start(`${CIRCLE('')}
      create table public.meta (id int primary key);
      insert into public.meta select n from generate_series(1, 200) n;
      alter table public.b add meta_id int references public.meta;
      update public.b set meta_id = id where id > 1;`);
    const foreignKey = 'public.b.b_meta_id_fkey';
    const columns = ['meta_id'];
    const remembers = [{ foreignKey, columns, parent: pathOf('meta').table }];
    const meta = pathOf('meta', {
      kind: 'child',
      columns: ['id'],
      columnTypes: ['integer'],
      foreignKey,
      referencingColumns: columns,
      child: b,
      via: 'configuration',
      nullable: false,
    });
    const plan = inLevels(
      [atOnce([deleteStep(a), deleteStep(b, { remembers, mayKeepRows: true })])],
      [deleteStep(meta, { unlessReferenced: [] })],
      [tenants],
    );
    expect(await purge(way, plan)).toBeNull();
    expect([await count('public.b'), await count('public.meta')]).toEqual([5, 197]);
  });

  test('a row that a trigger keeps once is gone at the next try', async () => {
    await start(`${NODES('')}
      create sequence public.asked;
      create function public.keep() returns trigger language plpgsql as
        $$ begin if old.id = 5 and nextval('public.asked') = 1 then return null; end if; return old; end $$;
      create trigger keep before delete on public.nodes for each row execute function public.keep();
      update public.nodes set next_id = id;`);
    const plan = inLevels([atOnce([deleteStep(nodes, { mayKeepRows: true })])], [tenants]);
    expect(await purge(way, plan)).toBeNull();
    expect(await count('public.nodes', OURS)).toBe(0);
  });

  test('tables that inherit are not touched with the one they inherit from', async () => {
    await start(`
      create table public.nodes (id int primary key, tenant_id text, peer text);
      create table public.copies () inherits (public.nodes);
      insert into public.nodes values (1, 'doomed', 'x');
      insert into public.copies values (2, 'doomed', 'x');`);
    const plan = inLevels([clearing(nodes, 'operator', ['peer']), deleteStep(nodes)]);
    expect(await purge(way, plan)).toBeNull();
    expect(await world.value('select array_agg(id || peer) from public.nodes')).toEqual(['2x']);
  });
});

test('a circle goes on after a death on either side of its commit, and counts its rows once', async () => {
  for (const failpoint of ['before-commit', 'batch-committed'] as const) {
    await start(CIRCLE(''));
    const record = await addPurge(world, 'doomed');
    const plan = inLevels([atOnce([deleteStep(a), deleteStep(b)])], [tenants]);
    const dies = actAt(failpoint, 1, () => {
      throw new Error('died');
    });
    await expect(
      carryOut(world, record, plan, { way: 'by batches', failpoint: dies }),
    ).rejects.toThrow('died');
    expect(await count('public.a')).toBe(failpoint === 'before-commit' ? 10 : 5);
    await carryOut(world, record, plan, { way: 'by batches' });
    expect([await count('public.a'), await count('public.b')]).toEqual([5, 5]);
    const { rows } = await world.pool.query(
      'select step, done, rows::int from tenant_purge.checkpoint order by step',
    );
    expect(rows).toEqual([
      { step: 'component public.a', done: true, rows: 10 },
      { step: 'delete public.tenants', done: true, rows: 1 },
    ]);
    expect(await world.ledgerRows(record.id)).toEqual({
      'public.a': 5,
      'public.b': 5,
      'public.tenants': 1,
    });
    if (failpoint === 'before-commit') await world.close();
  }
});

test('rows that arrive in a circle while it goes are found by another pass', async () => {
  await start(CIRCLE(''));
  const record = await addPurge(world, 'doomed');
  const arrives = actAt('batch-committed', 1, async () => {
    await world.pool.query(
      `with b as (insert into public.b values (50, 50)) insert into public.a values (50, 'doomed', 50)`,
    );
  });
  const plan = inLevels([atOnce([deleteStep(a), deleteStep(b)])], [tenants]);
  await carryOut(world, record, plan, { way: 'by batches', failpoint: arrives });
  expect(await count('public.a', OURS)).toBe(0);
  expect(
    await world.value(
      `select pass || ' ' || rows from tenant_purge.checkpoint where step = 'component public.a'`,
    ),
  ).toBe('2 12');
});

test('a circle too slow for one transaction fails once, and says what to raise', async () => {
  await start(
    `${CIRCLE('')}
    create function public.slow() returns trigger language plpgsql as
      $$ begin perform pg_sleep(0.2); return old; end $$;
    create trigger slow before delete on public.b for each row execute function public.slow();`,
    { statementTimeoutMs: 300 },
  );
  const plan = inLevels([atOnce([deleteStep(a), deleteStep(b)])], [tenants]);
  const error = await purge('by batches', plan);
  expect(error).toMatchObject({
    code: 'POISON_ROW',
    remedy: expect.stringContaining('batch.statementTimeoutMs above 300'),
  });
  expect((error as Error).message).toContain('public.a, public.b refer to each other in a circle');
});

test('what a purge remembered and did not delete is taken over by the next of its tenant', async () => {
  await start('');
  const first = await addPurge(world, 'doomed');
  const stranger = await addPurge(world, 'kept');
  for (const { id } of [first, stranger]) {
    await world.pool.query(
      `insert into tenant_purge.remembered values ($1, 'a.b.c', 'public.meta', '{1}')`,
      [id],
    );
  }
  await world.pool.query(`update tenant_purge.purge set status = 'cancelled' where id = $1`, [
    first.id,
  ]);
  const second = await addPurge(world, 'doomed');
  await carryOut(world, second, inLevels([tenants]), { way: 'by batches' });
  const { rows } = await world.pool.query('select purge_id from tenant_purge.remembered');
  expect(rows.map(({ purge_id }) => purge_id).sort()).toEqual([second.id, stranger.id].sort());
});

/** The acting key that refers to `table` from the other table of the circle. */
function acting(
  table: string,
  _column: string,
  action: string,
): Partial<Parameters<typeof deleteStep>[1]> {
  if (!action.includes('cascade')) return {};
  const child = table === 'public.a' ? 'public.b' : 'public.a';
  return {
    actingKeys: [
      {
        foreignKey: `${child}.key`,
        action: 'CASCADE',
        child: pathOf(child).table,
        childPartitioned: false,
        columns: [table === 'public.a' ? 'a_id' : 'b_id'],
        referencedColumns: ['id'],
      },
    ],
  };
}

async function lastPurge(): Promise<Parameters<PurgeWorld['ledgerRows']>[0]> {
  return (await world.value('select id from tenant_purge.purge')) as Parameters<
    PurgeWorld['ledgerRows']
  >[0];
}
