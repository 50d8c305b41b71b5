import { describe, expect, test } from 'vitest';
import { actAt } from '../../support/purge-world.ts';
import { AT_ONCE, BY_BATCHES, KEPT, PAIRS, SIZES, useScenarios } from '../../support/scenario.ts';

const open = useScenarios();

const AGENTS = `
  create table public.agents (id int primary key, kind text not null default 'bot',
    tenant_id text not null references public.tenants, unique (tenant_id, id), unique (kind, id));
  insert into public.agents select n, 'bot', t from ${PAIRS};`;

/** Rows of nobody that refer to agents by a composite key of which one part cannot be NULL. */
const LABELS = (action: string): string => `${AGENTS}
  create table public.labels (id int primary key, kind text not null default 'bot', agent_id int,
    foreign key (kind, agent_id) references public.agents (kind, id) ${action});
  create index on public.labels (kind, agent_id);
  insert into public.labels (id, agent_id) values (101, 101), (900, null);`;
const LABELS_KEY = 'public.labels.labels_kind_agent_id_fkey';
const addLabel = 'insert into public.labels (id, agent_id) values (1, 1)';

describe.each(SIZES)('%s', (_, smallPurgeRows) => {
  test("8. a composite key's SET NULL over a NOT NULL column of the tenant's own rows is named, and never fires", async () => {
    const scenario = await open(
      `${AGENTS}
       create table public.notes (id int primary key, tenant_id text not null references public.tenants,
         agent_id int,
         foreign key (tenant_id, agent_id) references public.agents (tenant_id, id) on delete set null);
       insert into public.notes select n, t, n from ${PAIRS};
       insert into public.notes values (50, 'doomed', null);`,
      { smallPurgeRows },
    );
    // So it goes without the purge:
    await expect(
      scenario.world.pool.query('delete from public.agents where id = 1'),
    ).rejects.toMatchObject({ code: '23502', column: 'tenant_id' });
    const hazards = await scenario.hazards('SET_NULL_OVER_NOT_NULL');
    expect(hazards).toMatchObject([
      {
        severity: 'info',
        foreignKey: 'public.notes.notes_tenant_id_agent_id_fkey',
        message: expect.stringMatching(/tenant_id of public\.notes.*23502/),
        remedy: expect.stringContaining('ON DELETE SET NULL (agent_id)'),
      },
    ]);
    expect(await scenario.purgeCleanly()).toMatchObject({ 'public.agents': 5, 'public.notes': 6 });
  });

  test('8. where such a key would fire for a row outside the purge, the row is listed and nothing goes', async () => {
    const scenario = await open(LABELS('on delete set null'), { smallPurgeRows });
    expect(await scenario.hazards('SET_NULL_OVER_NOT_NULL')).toMatchObject([
      { foreignKey: LABELS_KEY, message: expect.stringContaining('kind of public.labels') },
    ]);
    await scenario.world.pool.query(addLabel);
    const before = await scenario.everything();
    await expect(scenario.enqueue()).rejects.toMatchObject({
      code: 'HAZARD_BLOCKS',
      message: expect.stringMatching(/ACTION_OUTSIDE_SET.*id = 1 \(of nobody, to tenant doomed\)/),
    });
    expect(await scenario.everything()).toEqual(before);
  });

  test.each(['on delete set null', 'on delete set null (agent_id)', ''])(
    '8. a rule clears the nullable part of such a key (%s) by a statement of ours',
    async (action) => {
      const scenario = await open(LABELS(action), {
        smallPurgeRows,
        config: { foreignKeys: { [LABELS_KEY]: 'set-null' } },
      });
      const named = await scenario.hazards('SET_NULL_OVER_NOT_NULL');
      expect(named).toHaveLength(action === 'on delete set null' ? 1 : 0);
      const before = await scenario.others();
      await scenario.world.pool.query(addLabel);
      expect(await scenario.hazards('CLEARED_REFERENCE')).toMatchObject([
        { severity: 'info', count: 1, message: expect.stringContaining('id = 1') },
      ]);
      const id = await scenario.enqueue();
      expect(await scenario.run(id)).toMatchObject({ kind: 'completed' });
      expect(await scenario.ids('public.labels', 'array[id, agent_id]')).toEqual([
        [1, null],
        [101, 101],
        [900, null],
      ]);
      await scenario.world.pool.query('delete from public.labels where id = 1');
      expect(await scenario.everything()).toEqual(before);
      expect(await scenario.ids('tenant_purge.batch', 'rows')).toContain('1');
    },
  );

  test('9. a rule that sets a reference to NULL against a CHECK is refused with the number of rows', async () => {
    const scenario = await open(BOUND, { smallPurgeRows, config: CLEARS_BOUND });
    await scenario.world.pool.query(`insert into public.notes values
      (201, 'kept', 1, 'bound'), (202, 'kept', 2, 'bound'), (203, 'kept', 3, 'loose')`);
    const before = await scenario.everything();
    await expect(scenario.enqueue()).rejects.toMatchObject({
      code: 'HAZARD_BLOCKS',
      message: expect.stringMatching(
        /CLEAR_BREAKS_CHECK +2 rows .*CHECK bound_has_agent \(23514\)/,
      ),
    });
    expect(await scenario.everything()).toEqual(before);
    await scenario.world.pool.query("update public.notes set state = 'loose' where id > 200");
    await scenario.run(await scenario.enqueue());
    expect(await scenario.ids('public.notes', "concat_ws(' ', id, agent_id, state)")).toEqual(
      ['201 loose', '202 loose', '203 loose', ...KEPT.map((n) => `${n} ${n} bound`)].sort(),
    );
  });

  test('9. a clear that a CHECK refuses at run fails the purge at the first try, with the remedy', async () => {
    const scenario = await open(`${BOUND} ${COUNT_TRIES('public.notes')}`, {
      smallPurgeRows,
      config: CLEARS_BOUND,
    });
    const id = await scenario.enqueue();
    const before = await scenario.everything();
    const arrives = actAt('before-batch', 1, async () => {
      await scenario.world.pool.query(`insert into public.notes values (201, 'kept', 1, 'bound')`);
    });
    expect(await scenario.run(id, { failpoint: arrives })).toMatchObject({
      kind: 'failed',
      error: {
        code: 'ROW_REFUSED',
        details: { sqlState: '23514', constraint: 'bound_has_agent', table: 'public.notes' },
        remedy: expect.stringContaining('breaks CHECK bound_has_agent'),
      },
    });
    expect(await scenario.world.value('select last_value::int from public.tries')).toBe(1);
    expect((await scenario.world.find(id)).status).toBe('failed');
    await scenario.world.pool.query('delete from public.notes where id = 201');
    expect((await scenario.everything())['public.agents']).toBe(before['public.agents']);
  });

  test('9. a circle that only a clear against a CHECK could open asks, and when it fails it fails once', async () => {
    const scenario = await open(
      `create table public.agents (id int primary key, tenant_id text not null references public.tenants,
         team_id int not null);
       create table public.teams (id int primary key, tenant_id text not null references public.tenants,
         lead_id int, constraint has_lead check (lead_id is not null));
       insert into public.agents select n, t, n from ${PAIRS};
       insert into public.teams select n, t, n from ${PAIRS};
       alter table public.agents add foreign key (team_id) references public.teams;
       alter table public.teams add foreign key (lead_id) references public.agents;
       ${COUNT_TRIES('public.teams')}`,
      { smallPurgeRows },
    );
    await expect(scenario.enqueue()).rejects.toMatchObject({
      code: 'HAZARD_NOT_ALLOWED',
      message: expect.stringMatching(/CLEAR_BREAKS_CHECK.*has_lead/),
    });
    const before = await scenario.everything();
    const id = await scenario.enqueue({ allow: ['CLEAR_BREAKS_CHECK'] });
    expect(await scenario.run(id)).toMatchObject({
      kind: 'failed',
      error: { code: 'ROW_REFUSED', details: { sqlState: '23514', constraint: 'has_lead' } },
    });
    expect(await scenario.world.value('select last_value::int from public.tries')).toBe(1);
    expect(await scenario.everything()).toEqual(before);
  });

  test('12. a row that moves to another tenant with what belongs to it between plan and run survives', async () => {
    const scenario = await open(
      `${AGENTS}
       create table public.conversations (id int primary key, agent_id int not null references public.agents);
       create table public.messages (id int primary key,
         conversation_id int not null references public.conversations on delete cascade);
       insert into public.conversations select n, n from ${PAIRS};
       insert into public.messages select n, n from ${PAIRS};`,
      { smallPurgeRows },
    );
    const id = await scenario.enqueue();
    await scenario.world.pool.query(`update public.agents set tenant_id = 'kept' where id = 2;
      update public.conversations set agent_id = 103 where id = 3;
      update public.messages set conversation_id = 104 where id = 4;`);
    const before = await scenario.others();
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed' });
    expect(await scenario.everything()).toEqual(before);
    expect(await scenario.ids('public.agents')).toEqual([2, ...KEPT]);
    expect(await scenario.ids('public.conversations')).toEqual([2, 3, ...KEPT]);
    expect(await scenario.ids('public.messages')).toEqual([2, 3, 4, ...KEPT]);
  });

  test('12. a row that moves to the doomed tenant between plan and run goes with it', async () => {
    const scenario = await open(AGENTS, { smallPurgeRows });
    const id = await scenario.enqueue();
    await scenario.world.pool.query(`update public.agents set tenant_id = 'doomed' where id = 104`);
    const before = await scenario.others();
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed' });
    expect(await scenario.everything()).toEqual(before);
    expect(await scenario.world.ledgerRows(id)).toMatchObject({ 'public.agents': 6 });
  });

  test('13. parents without a tenant column go after what they scope, and leave no orphans', async () => {
    const scenario = await open(
      `create table public.document_meta (id int primary key, title text);
       create table public.documents (id int primary key, tenant_id text not null references public.tenants,
         meta_id int not null unique references public.document_meta);
       create table public.pages (id int primary key,
         meta_id int not null references public.document_meta on delete cascade);
       create table public.lines (page_id int not null references public.pages, text text);
       create index on public.pages (meta_id);
       create index on public.lines (page_id);
       insert into public.document_meta select n, 'x' from generate_series(0, 110) n;
       insert into public.documents select n, t, n from ${PAIRS};
       insert into public.pages select n, n from generate_series(0, 110) n;
       insert into public.lines select n, 'y' from generate_series(0, 110) n;`,
      {
        smallPurgeRows,
        config: {
          follow: ['public.documents.meta_id'],
          tables: { 'public.pages': { ownedBy: ['meta_id'] } },
        },
      },
    );
    const id = await scenario.enqueue();
    expect(await scenario.run(id)).toMatchObject({ kind: 'completed', report: { residue: [] } });
    expect(await scenario.world.ledgerRows(id)).toEqual({
      'public.document_meta': 5,
      'public.documents': 5,
      'public.lines': 5,
      'public.pages': 5,
      'public.tenants': 1,
    });
    const counts = `(select count(*) from public.document_meta) || ' ' || (select count(*) from public.pages)
      || ' ' || (select count(*) from public.lines) || ' ' || (select min(id) from public.document_meta)`;
    expect(await scenario.world.value(`select ${counts}`)).toBe('106 106 106 5');
  });
});

/** Counts UPDATE statements over the table, rolled back ones too. */
const COUNT_TRIES = (table: string): string => `
  create sequence public.tries;
  create function public.count_try() returns trigger language plpgsql as
    $$ begin perform nextval('public.tries'); return null; end $$;
  create trigger count_try before update on ${table} execute function public.count_try();`;

const BOUND = `${AGENTS}
  create table public.notes (id int primary key, tenant_id text not null references public.tenants,
    agent_id int references public.agents, state text not null,
    constraint bound_has_agent check (state <> 'bound' or agent_id is not null));
  create index on public.notes (agent_id);
  insert into public.notes select n, t, n, 'bound' from ${PAIRS};`;
const CLEARS_BOUND = { foreignKeys: { 'public.notes.notes_agent_id_fkey': 'set-null' } } as const;

const INDEXED = (index: string): string => `${AGENTS}
  create table public.visits (id bigint generated always as identity primary key,
    tenant_id text not null references public.tenants, agent_id int references public.agents,
    day int not null default 1, done boolean not null default false);
  ${index};
  insert into public.visits (tenant_id, agent_id)
  select t, base + n % 5 from (values ('doomed', 0), ('kept', 100)) as v (t, base), generate_series(1, 1000) n;
  analyze;`;

test.each([
  ['missing', 'select 1'],
  ['partial', 'create index on public.visits (agent_id) where not done'],
  ['of another column first', 'create index on public.visits (day, agent_id)'],
  ['over an expression', 'create index on public.visits (abs(agent_id))'],
  ['of a kind that knows no equality', 'create index on public.visits using brin (agent_id)'],
])('10. an index for a key into the plan that is %s is named with its cost', async (_, index) => {
  const scenario = await open(INDEXED(index));
  expect(await scenario.hazards('FK_WITHOUT_INDEX')).toContainEqual(
    expect.objectContaining({
      severity: 'allow',
      table: 'public.visits',
      foreignKey: 'public.visits.visits_agent_id_fkey',
      message: expect.stringMatching(
        /each deleted row of public\.agents \(about 10 in all\) reads all of public\.visits, about 2000 rows/,
      ),
      remedy: 'CREATE INDEX CONCURRENTLY ON public.visits (agent_id);',
    }),
  );
  await expect(scenario.enqueue()).rejects.toMatchObject({ code: 'HAZARD_NOT_ALLOWED' });
  expect(await scenario.purgeCleanly({ allow: ['FK_WITHOUT_INDEX'] })).toMatchObject({
    'public.visits': 1000,
  });
});

test.each([
  'create index on public.visits (agent_id)',
  'create index on public.visits (agent_id, day)',
  'create index on public.visits using hash (agent_id)',
  'create index on public.visits (agent_id) where agent_id is not null',
])('10. an index that serves every look-up is enough: %s', async (index) => {
  const scenario = await open(INDEXED(`${index}; create index on public.visits (tenant_id)`));
  expect(await scenario.hazards('FK_WITHOUT_INDEX')).not.toContainEqual(
    expect.objectContaining({ foreignKey: 'public.visits.visits_agent_id_fkey' }),
  );
});

test.each([
  ['by batches', BY_BATCHES],
  ['in one transaction', AT_ONCE],
])(
  "11. a cascade that would begin in mid-run, two keys deep, into another tenant's rows undoes it %s",
  async (_, smallPurgeRows) => {
    const scenario = await open(
      `${AGENTS}
     create table public.teams (id int primary key, tenant_id text not null references public.tenants,
       agent_id int not null references public.agents on delete cascade);
     create table public.seats (id int primary key, tenant_id text not null references public.tenants,
       team_id int not null references public.teams on delete cascade);
     insert into public.teams select n, t, n from ${PAIRS};
     insert into public.seats select n, t, n from ${PAIRS};`,
      { smallPurgeRows },
    );
    const { world } = scenario;
    const before = await scenario.others();
    const id = await scenario.enqueue();
    const failpoint = actAt('before-batch', 1, async () => {
      await world.pool.query(`insert into public.teams values (200, 'kept', 1);
      insert into public.seats values (200, 'kept', 200)`);
    });
    expect(await scenario.run(id, { failpoint })).toMatchObject({
      kind: 'failed',
      error: {
        code: 'CASCADE_GUARD',
        message: expect.stringContaining('id = 200 (of tenant kept, to tenant doomed)'),
      },
    });
    await world.pool.query(
      `delete from public.seats where id = 200; delete from public.teams where id = 200`,
    );
    expect(await scenario.others()).toEqual(before);
    expect(
      await world.value(`select count(*)::int from public.agents where tenant_id = 'doomed'`),
    ).toBe(5);
  },
);
