import { describe, expect, test } from 'vitest';
import { actAt } from '../../support/purge-world.ts';
import {
  AT_ONCE,
  BY_BATCHES,
  KEPT,
  PAIRS,
  SIZES,
  storePlain,
  useScenarios,
  WIDE,
} from '../../support/scenario.ts';

const open = useScenarios();

const TREE = `
  create table public.agents (id int primary key,
    tenant_id text not null references public.tenants, ${WIDE});
  create table public.conversations (id int primary key,
    agent_id int not null references public.agents, ${WIDE});
  create table public.messages (id int primary key,
    conversation_id int not null references public.conversations, ${WIDE});
  ${storePlain('public.agents', 'public.conversations', 'public.messages')}
  insert into public.agents select n, t from ${PAIRS};
  insert into public.conversations select n * 4 + c, n from ${PAIRS}, generate_series(0, 3) c;
  insert into public.messages select n * 20 + m, n * 4 + m % 4 from ${PAIRS}, generate_series(0, 19) m;`;

describe.each(SIZES)('%s', (_, smallPurgeRows) => {
  test('1. a tree of three levels with more children than a batch holds loses children first', async () => {
    const { world, purgeCleanly } = await open(TREE, { smallPurgeRows });
    expect(await purgeCleanly()).toEqual({
      'public.messages': 100,
      'public.conversations': 20,
      'public.agents': 5,
      'public.tenants': 1,
    });
    const { rows } = await world.pool.query(
      `select table_name, count(*)::int as batches from tenant_purge.batch
       where kind = 'delete' group by 1 order by min(id)`,
    );
    expect(rows.map(({ table_name }) => table_name)).toEqual([
      'public.messages',
      'public.conversations',
      'public.agents',
      'public.tenants',
    ]);
    const ofMessages: number = rows[0].batches;
    if (smallPurgeRows === 0) expect(ofMessages).toBeGreaterThan(10);
    // One level is empty before the next begins: the ranges of ids in the ledger do not overlap.
    expect(
      await world.value(`select bool_and(low > before) from (
        select min(id) as low, lag(max(id)) over (order by min(id)) as before
        from tenant_purge.batch group by table_name) as spans where before is not null`),
    ).toBe(true);
  });

  test('4. a tenant column without a key and a link table without a tenant column are emptied', async () => {
    const scenario = await open(
      `create table public.notes (id int primary key, tenant_id text not null references public.tenants);
       create table public.tags (id int primary key, name text not null);
       create table public.visits (id int primary key, tenant_id text not null, path text);
       create table public.note_tags (note_id int not null references public.notes,
         tag_id int not null references public.tags, primary key (note_id, tag_id));
       insert into public.notes select n, t from ${PAIRS};
       insert into public.tags values (1, 'a'), (2, 'b');
       insert into public.visits select n, t, '/' from ${PAIRS};
       insert into public.note_tags select n, 1 + n % 2 from ${PAIRS};`,
      { smallPurgeRows },
    );
    expect(await scenario.hazards('TENANT_COLUMN_WITHOUT_KEY')).toMatchObject([
      { severity: 'info', table: 'public.visits' },
    ]);
    expect(await scenario.purgeCleanly()).toEqual({
      'public.note_tags': 5,
      'public.notes': 5,
      'public.tenants': 1,
      'public.visits': 5,
    });
    expect(await scenario.ids('public.tags')).toEqual([1, 2]);
  });

  test("4. a link between two of a tenant's tables goes by the side that the configuration names", async () => {
    const sql = `
      create table public.notes (id int primary key, tenant_id text not null references public.tenants);
      create table public.tags (id int primary key, tenant_id text not null references public.tenants);
      create table public."_NoteToTag" ("A" int not null references public.notes on delete cascade,
        "B" int not null references public.tags on delete cascade);
      create unique index on public."_NoteToTag" ("A", "B");
      create index on public."_NoteToTag" ("B");
      insert into public.notes select n, t from ${PAIRS};
      insert into public.tags select n, t from ${PAIRS};
      insert into public."_NoteToTag" select n, n from ${PAIRS};`;
    const scenario = await open(sql, {
      smallPurgeRows,
      config: { tables: { 'public._NoteToTag': { ownedBy: ['A'] } } },
    });
    expect(await scenario.purgeCleanly()).toMatchObject({ 'public."_NoteToTag"': 5 });
    expect(await scenario.ids('public."_NoteToTag"', '"A"')).toEqual(KEPT);
  });

  test('6. in a circle with one nullable side that side is cleared first', async () => {
    const scenario = await open(CIRCLE('', '', ''), { smallPurgeRows });
    const { levels } = (await scenario.prepare()).plan;
    expect(levels[0]?.steps).toMatchObject([
      { kind: 'clear', table: 'public.teams', columns: ['lead_id'], reason: 'cycle' },
    ]);
    expect(await scenario.purgeCleanly()).toMatchObject({ 'public.agents': 5, 'public.teams': 5 });
    const cleared = await scenario.world.value(
      `select sum(rows)::int from tenant_purge.batch where kind = 'clear'`,
    );
    expect(cleared).toBe(5);
  });

  test('6. a NOT NULL circle goes in one statement, once that is accepted', async () => {
    const scenario = await open(CIRCLE('not null', '', ''), { smallPurgeRows });
    const before = await scenario.everything();
    await expect(scenario.enqueue()).rejects.toMatchObject({
      code: 'HAZARD_NOT_ALLOWED',
      message: expect.stringContaining('CYCLE_IN_ONE_STATEMENT'),
      remedy: expect.stringContaining('--allow CYCLE_IN_ONE_STATEMENT'),
    });
    expect(await scenario.everything()).toEqual(before);
    const [hazard] = await scenario.hazards('CYCLE_IN_ONE_STATEMENT');
    expect(hazard).toMatchObject({ severity: 'allow', count: 10 });
    expect(hazard?.message).toContain('public.agents → public.teams → public.agents');
    const rows = await scenario.purgeCleanly({ allow: ['CYCLE_IN_ONE_STATEMENT'] });
    expect(rows).toMatchObject({ 'public.agents': 5, 'public.teams': 5 });
  });

  test('6. a NOT NULL circle with a deferrable key goes in one transaction, without leave', async () => {
    const scenario = await open(CIRCLE('not null', 'deferrable initially deferred', 'deferrable'), {
      smallPurgeRows,
    });
    expect(await scenario.hazards('CYCLE_DEFERRED')).toMatchObject([{ severity: 'info' }]);
    expect(await scenario.purgeCleanly()).toMatchObject({ 'public.agents': 5, 'public.teams': 5 });
  });

  test('7. a reference to the same table that cannot be NULL goes in one statement, once accepted', async () => {
    const scenario = await open(NODES('not null', FORWARD), { smallPurgeRows });
    await expect(scenario.enqueue()).rejects.toMatchObject({ code: 'HAZARD_NOT_ALLOWED' });
    const rows = await scenario.purgeCleanly({ allow: ['CYCLE_IN_ONE_STATEMENT'] });
    expect(rows).toMatchObject({ 'public.nodes': 30 });
  });

  test.each([
    ['forwards', FORWARD],
    ['backwards', BACKWARD],
    ['criss-cross', CRISS_CROSS],
  ])('7. a chain that refers %s over the bounds of batches goes', async (__, next) => {
    for (const action of ['', 'on delete restrict', 'on delete cascade']) {
      const scenario = await open(NODES(action, next), { smallPurgeRows });
      expect(await scenario.purgeCleanly()).toMatchObject({ 'public.nodes': 30 });
      const batches = await scenario.world.value(
        `select count(*)::int from tenant_purge.batch
         where table_name = 'public.nodes' and kind = 'delete'`,
      );
      if (smallPurgeRows === 0) expect(batches).toBeGreaterThan(5);
    }
  });

  test.each(['', 'on delete restrict', 'on delete cascade', 'on delete set null'])(
    "7. another tenant's row that refers to a doomed row of its table (%s) keeps the purge from starting",
    async (action) => {
      const scenario = await open(NODES(action, FORWARD), { smallPurgeRows });
      await scenario.world.pool.query('update public.nodes set next_id = 3 where id = 101');
      const before = await scenario.everything();
      await expect(scenario.enqueue()).rejects.toMatchObject({
        code: 'HAZARD_BLOCKS',
        message: expect.stringContaining('id = 101 (of tenant kept, to tenant doomed)'),
      });
      expect(await scenario.everything()).toEqual(before);
    },
  );
});

/** Thirty nodes of each tenant, four to a block; `next` says to which one node n of a tenant refers. */
const NODES = (keyOrNull: string, next: string): string => {
  const isHeld = keyOrNull === 'not null';
  return `
  create table public.nodes (id int primary key, tenant_id text not null references public.tenants,
    next_id int ${isHeld ? 'not null' : ''} references public.nodes ${isHeld ? '' : keyOrNull}, ${WIDE});
  ${storePlain('public.nodes')}
  create index on public.nodes (next_id);
  insert into public.nodes select base + n, t, base + ${next}
  from (values ('doomed', 0), ('kept', 100)) as v (t, base), generate_series(0, 29) n;`;
};
const FORWARD = 'least(n + 1, 29)';
const BACKWARD = 'greatest(n - 1, 0)';
const CRISS_CROSS = '(n * 7 + 3) % 30';

/** Agents always have a team; a team has a lead, `leads` or else maybe. */
const CIRCLE = (leads: string, there: string, back: string): string => `
  create table public.agents (id int primary key, tenant_id text not null references public.tenants,
    team_id int not null);
  create table public.teams (id int primary key, tenant_id text not null references public.tenants,
    lead_id int ${leads});
  insert into public.agents select n, t, n from ${PAIRS};
  insert into public.teams select n, t, n from ${PAIRS};
  alter table public.agents add constraint in_team foreign key (team_id) references public.teams ${there};
  alter table public.teams add constraint led_by foreign key (lead_id) references public.agents ${back};
  create index on public.agents (team_id);
  create index on public.teams (lead_id);`;

/** A table of nobody whose rows may refer to agents; it is still empty. */
const OUTSIDE = `${TREE}
  create schema crm;
  create table crm.leads (id int primary key, agent_id int references public.agents);
  create index on crm.leads (agent_id);`;
const LEADS = 'crm.leads.leads_agent_id_fkey';
const addLead = 'insert into crm.leads values (1, 2)';

test('3. a NO ACTION key from a table outside the plan blocks until the operator says what it means', async () => {
  const { enqueue, hazards } = await open(OUTSIDE);
  expect(await hazards('OWNER_UNCLEAR')).toMatchObject([
    { severity: 'blocks', table: 'crm.leads', foreignKey: LEADS },
  ]);
  await expect(enqueue()).rejects.toMatchObject({ code: 'HAZARD_BLOCKS' });
});

const SETTLED = [
  ['is to be refused', { foreignKeys: { [LEADS]: 'refuse' } }],
  ['is kept', { tables: { 'crm.leads': { onPurge: 'keep' } } }],
] as const;

describe.each(SETTLED)(
  '3. a NO ACTION key from a table outside the plan that %s',
  (how, config) => {
    test('is in the way of nothing while the table is empty', async () => {
      const scenario = await open(OUTSIDE, { config });
      const flagged = (await scenario.hazards('UNKNOWN_REFERENCE')).map(({ table }) => table);
      expect(flagged).toEqual(how === 'is kept' ? ['crm.leads'] : []);
      expect(await scenario.purgeCleanly()).toMatchObject({ 'public.agents': 5 });
    });

    test('refuses the purge where its first row was there before it was enqueued', async () => {
      const { world, enqueue, everything } = await open(OUTSIDE, { config });
      await world.pool.query(addLead);
      const before = await everything();
      await expect(enqueue()).rejects.toMatchObject({
        code: 'HAZARD_BLOCKS',
        message: expect.stringMatching(/OUTSIDE_REFERENCE.*crm\.leads.*id = 1/),
      });
      expect(await everything()).toEqual(before);
    });

    test.each([
      ['by batches', BY_BATCHES, { kind: 'refused', error: { code: 'HAZARD_BLOCKS' } }],
      ['in one transaction', AT_ONCE, { kind: 'failed', error: { code: 'FOREIGN_REFERENCE' } }],
    ] as const)(
      'stops the purge %s where its first row appeared after that, and nothing is gone',
      async (_, smallPurgeRows, expected) => {
        const { world, enqueue, run, everything } = await open(OUTSIDE, { config, smallPurgeRows });
        const id = await enqueue();
        await world.pool.query(addLead);
        const before = await everything();
        expect(await run(id)).toMatchObject(expected);
        expect((await world.find(id)).error?.message).toContain('crm.leads');
        expect(await everything()).toEqual(before);
      },
    );

    test('stops the purge where its first row appears between two batches, and names it', async () => {
      const { world, enqueue, run, others } = await open(OUTSIDE, { config });
      const before = await others();
      const id = await enqueue();
      const failpoint = actAt('batch-committed', 2, async () => {
        await world.pool.query(addLead);
      });
      expect(await run(id, { failpoint })).toMatchObject({
        kind: 'failed',
        error: { code: 'FOREIGN_REFERENCE', message: expect.stringContaining('id = 1') },
      });
      await world.pool.query('delete from crm.leads');
      expect(await others()).toEqual(before);
      // Asked again once the row is gone, it goes on to the end.
      expect(await run(await enqueue())).toMatchObject({ kind: 'completed' });
      expect(await world.value('select count(*)::int from public.agents')).toBe(5);
    });
  },
);
