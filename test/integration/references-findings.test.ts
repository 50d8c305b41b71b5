import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Hazard } from '../../src/domain/hazard.ts';
import { asTenantId, type TenantId } from '../../src/domain/ids.ts';
import { deleteSteps, type Plan } from '../../src/domain/plan.ts';
import { dataHazards } from '../../src/planner/hazards/data-hazards.ts';
import { makePlan } from '../../src/planner/make-plan.ts';
import type { PlanRules } from '../../src/planner/rules.ts';
import { readCatalogue } from '../../src/postgres/catalogue/catalogue-reader.ts';
import { readReferences } from '../../src/postgres/rows/reference-reader.ts';
import { countPerTenant } from '../../src/postgres/rows/row-counts.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';

/**
 * Tenants t1 … t30, each with the same few rows of its own; what crosses between them is put in by
 * each test.
 */
const SCHEMA = `
create table tenants (id text primary key);
create table agents (
  id int primary key, tenant_id text not null references tenants, unique (tenant_id, id));
create table notes (
  id int primary key, tenant_id text not null references tenants,
  agent_id int not null references agents);
create table parts (
  id int primary key, tenant_id text not null references tenants, agent_id int,
  foreign key (tenant_id, agent_id) references agents (tenant_id, id));
create table lines (note_id int not null references notes on delete cascade, text text);
create table "Logs" (id int primary key, agent_id int references agents on delete set null);
create table labels (
  id int primary key, kind text, meta json, agent_id int references agents,
  constraint bound_has_agent check (kind <> 'bound' or agent_id is not null));
create table pins (id int primary key, agent_id int references agents on delete cascade);
create table pin_notes (id int primary key, pin_id int references pins);
create table files (
  id int primary key, tenant_id text references tenants, agent_id int references agents,
  copy_of int references files);
create table comments (id int primary key, "on" text, subject int);
create table replies (
  id int primary key, comment_id int not null references comments, agent_id int references agents);
create table imports (
  id int primary key, source text, agent_id int references agents, of_import int references imports);
create table events (
  id int, day int, tenant_id text not null references tenants, agent_id int references agents
) partition by list (day);
create table events_1 partition of events for values in (1);
create table events_2 partition of events for values in (2) partition by hash (id);
create table events_2a partition of events_2 for values with (modulus 1, remainder 0);
create table rooms (id int primary key);
create table doors (
  id int primary key, tenant_id text not null references tenants, room_id int unique references rooms);

insert into tenants select 't' || n from generate_series(1, 30) n;
insert into agents select n, 't' || n from generate_series(1, 30) n;
insert into notes select n, 't' || n, n from generate_series(1, 30) n;
insert into parts select n, 't' || n, n from generate_series(1, 30) n;
insert into lines select n, 'x' from generate_series(1, 30) n, generate_series(1, 2);
insert into files select n, 't' || n, null from generate_series(1, 30) n;
insert into files select 100 + n, null, n, n from generate_series(1, 30) n;
insert into files values (200), (201);
insert into comments select n, 'agent', n from generate_series(1, 30) n;
insert into comments select 100 + n, 'note', n from generate_series(1, 30) n;
insert into comments values (200, 'planet', 1);
insert into replies select id, id, null from comments;
insert into imports select n, 't' || n, n from generate_series(1, 30) n;
insert into imports values (200, 'elsewhere');
insert into events select n, 1 + n % 2, 't' || n, n from generate_series(1, 30) n;
insert into rooms select n from generate_series(1, 31) n;
insert into doors select n, 't' || n, n from generate_series(1, 30) n;
create table inherited () inherits (agents);
insert into inherited values (1, 't1');
analyze`;

const RULES: PlanRules = {
  tenant: { table: 'public.tenants', key: null, label: null, testColumn: null, columns: [] },
  core: [],
  tables: {
    'public.files': { ownedBy: ['tenant_id', 'agent_id'] },
    'public.comments': {
      ownedBy: [
        { column: 'subject', when: { on: 'agent' }, to: 'public.agents' },
        { column: 'subject', when: { on: 'note' }, to: 'public.notes' },
      ],
    },
    'public.imports': { where: 'source = {tenantId}' },
  },
  foreignKeys: {
    'public.labels.labels_agent_id_fkey': 'set-null',
    'public.pins.pins_agent_id_fkey': 'delete',
  },
  follow: ['public.doors.room_id'],
};

const EVERYONE = Array.from({ length: 30 }, (_, at) => asTenantId(`t${at + 1}`));
const [T1, T2] = [asTenantId('t1'), asTenantId('t2')];

let database: TestDatabase;
let client: Client;
let plan: Plan;
beforeAll(async () => {
  database = await createDatabase({ name: 'references' });
  client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query(SCHEMA);
  plan = makePlan(await readCatalogue(client), RULES);
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

const hazardsOf = async (ids: readonly TenantId[], of: Plan = plan): Promise<Hazard[]> =>
  dataHazards(await readReferences(client, of, ids, { crossings: true }));

/** What the changes make of the findings, rolled back afterwards. */
async function given<Result>(sql: string, look: () => Promise<Result>): Promise<Result> {
  await client.query('begin');
  try {
    await client.query(sql);
    return await look();
  } finally {
    await client.query('rollback');
  }
}

describe('References between tenants', () => {
  it('are none where every row refers to rows of its own tenant, by whatever way it is owned', async () => {
    expect(plan.hazards.filter(({ severity }) => severity === 'blocks')).toEqual([]);
    expect(await hazardsOf([T1])).toEqual([]);
    expect(await hazardsOf([T1, T2])).toEqual([]);
    expect(await hazardsOf(EVERYONE)).toEqual([]);
  });

  it.each([
    [
      'a row with a tenant of its own',
      "insert into notes values (900, 't2', 1)",
      'notes',
      'id = 900 (of tenant t2, to tenant t1)',
    ],
    [
      'a row of nobody',
      'insert into files values (900, null, null, 1)',
      'files',
      'id = 900 (of nobody, to tenant t1)',
    ],
    [
      'a row whose second way decides',
      'insert into files values (900, null, 2, 1)',
      'files',
      'id = 900 (of tenant t2, to tenant t1)',
    ],
    [
      'a row in a partition of a partition',
      "insert into events values (900, 2, 't2', 1)",
      'events',
      'of public.events_2a',
      'of events_2a',
    ],
    [
      'a row owned by other columns where they say so',
      'insert into replies values (900, 102, 1)',
      'replies',
      'id = 900 (of tenant t2, to tenant t1)',
    ],
    [
      'a row that a condition gives to somebody else',
      "insert into imports values (900, 't2', 1)",
      'imports',
      'id = 900 (to tenant t1)',
    ],
    [
      'a row of a table with a condition that refers to its own table',
      "insert into imports values (900, 't2', null, 1)",
      'imports',
      'id = 900 (to tenant t1)',
    ],
  ])('refuse a purge for %s', async (_, sql, table, ...rows) => {
    const found = await given(sql, async () => [
      await hazardsOf([T1]),
      await hazardsOf([T1, asTenantId('t3')]),
      await hazardsOf(EVERYONE),
    ]);
    for (const hazards of found) {
      const blocking = hazards.filter(({ severity }) => severity === 'blocks');
      expect(blocking).toHaveLength(1);
      expect(blocking[0]).toMatchObject({
        type: 'OUTSIDE_REFERENCE',
        table: `public.${table}`,
        count: 1,
      });
      expect(rows.some((row) => blocking[0]?.message.includes(row))).toBe(true);
    }
  });

  it('tell the tenant whose row refers to another’s, where that one stays', async () => {
    const hazards = await given("insert into notes values (900, 't2', 1)", () => hazardsOf([T2]));
    expect(hazards).toEqual([
      expect.objectContaining({
        type: 'CROSS_TENANT_REFERENCE',
        severity: 'info',
        foreignKey: 'public.notes.notes_agent_id_fkey',
        count: 1,
        message: expect.stringContaining('id = 900 (of tenant t2, to tenant t1)'),
      }),
    ]);
  });

  it('between two tenants of one campaign stand in the way as well: each purge stands alone', async () => {
    const hazards = await given("insert into notes values (900, 't2', 1)", () =>
      hazardsOf([T1, T2]),
    );
    expect(hazards.map(({ type }) => type)).toEqual([
      'OUTSIDE_REFERENCE',
      'CROSS_TENANT_REFERENCE',
    ]);
  });

  it('are counted, and the first five named by key', async () => {
    const sql = `insert into "Logs" select n, 1 from generate_series(901, 912) n`;
    const [hazard] = await given(sql, () => hazardsOf([T1]));
    expect(hazard).toMatchObject({ type: 'ACTION_OUTSIDE_SET', count: 12 });
    expect(hazard?.message).toContain('id = 901 (of nobody, to tenant t1); id = 902');
    expect(hazard?.message).toContain('and 7 more');
  });

  it('of a table of nobody that would be set to NULL can also become its owner', async () => {
    const [hazard] = await given('insert into "Logs" values (900, 1)', () => hazardsOf([T1]));
    expect(hazard?.remedy).toContain('"public.\\"Logs\\".\\"Logs_agent_id_fkey\\"": "own"');
    expect(hazard?.remedy).toContain('"set-null" }');
  });

  it('that cannot be cleared are to be deleted or repaired', async () => {
    const sql = "insert into notes values (900, 't2', 1)";
    const [hazard] = await given(sql, () => hazardsOf([T1]));
    expect(hazard?.remedy).toContain('"public.notes.notes_agent_id_fkey": "delete"');
    expect(hazard?.remedy).not.toContain('set-null');
  });

  it('of rows without a primary key are named by address', async () => {
    const sql = "insert into events values (900, 1, 't2', 1)";
    const [hazard] = await given(sql, () => hazardsOf([T1]));
    expect(hazard?.message).toMatch(/ctid = \(\d+,\d+\) of .*events_1/);
  });

  it('never count what plain inheritance shows besides', async () => {
    // The row of `inherited` is one more agent 1 of t1 wherever ONLY is missing.
    const sql = "insert into notes values (900, 't2', 1)";
    const [hazard] = await given(sql, () => hazardsOf([T1]));
    expect(hazard).toMatchObject({ count: 1 });
  });
});

it('A reference to several periods of a row of another tenant counts once', async ({ skip }) => {
  const { rows } = await client.query(
    "select current_setting('server_version_num')::int as version",
  );
  skip(rows[0].version < 180_000, 'PostgreSQL 18 brought foreign keys over periods');
  const sql = `
    create extension btree_gist;
    create table spans (
      id int, tenant_id text not null references tenants, valid daterange,
      primary key (id, valid without overlaps));
    create table uses (
      id int primary key, tenant_id text not null references tenants, span_id int, valid daterange,
      foreign key (span_id, period valid) references spans (id, period valid));
    insert into spans values (1, 't1', '[2020-01-01,2021-01-01)'), (1, 't1', '[2021-01-01,2022-01-01)');
    insert into uses values
      (1, 't1', 1, '[2020-06-01,2021-06-01)'), (900, 't2', 1, '[2020-06-01,2021-06-01)')`;
  const hazards = await given(sql, async () =>
    hazardsOf([T1], makePlan(await readCatalogue(client), RULES)),
  );
  expect(hazards).toEqual([
    expect.objectContaining({
      type: 'OUTSIDE_REFERENCE',
      table: 'public.uses',
      count: 1,
      message: expect.stringContaining('id = 900 (of tenant t2, to tenant t1)'),
    }),
  ]);
});

describe('A rule for references of others', () => {
  it('clears them, and says how many', async () => {
    const hazards = await given("insert into labels values (900, 'loose', null, 1)", () =>
      hazardsOf([T1]),
    );
    expect(hazards).toEqual([
      expect.objectContaining({ type: 'CLEARED_REFERENCE', severity: 'info', count: 1 }),
    ]);
  });

  it('that would break a CHECK is refused with the number of rows', async () => {
    const sql = `insert into labels values
      (900, 'bound', '{"a": 1}', 1), (901, 'bound', null, 1), (902, 'loose', null, 1), (903, null, null, 1)`;
    const found = await given(sql, async () => [await hazardsOf([T1]), await hazardsOf(EVERYONE)]);
    for (const hazards of found) {
      expect(hazards).toEqual([
        expect.objectContaining({ type: 'CLEARED_REFERENCE', count: 4 }),
        expect.objectContaining({
          type: 'CLEAR_BREAKS_CHECK',
          severity: 'blocks',
          count: 2,
          message: expect.stringContaining('bound_has_agent'),
        }),
      ]);
    }
  });

  it('deletes them, and says how many', async () => {
    const hazards = await given('insert into pins values (900, 1), (901, 2)', () =>
      hazardsOf([T1]),
    );
    expect(hazards).toEqual([
      expect.objectContaining({ type: 'DELETED_REFERENCE', severity: 'info', count: 1 }),
    ]);
  });

  it('that deletes rows is refused where these are referred to', async () => {
    const sql = 'insert into pins values (900, 1), (901, 2); insert into pin_notes values (1, 900)';
    const found = await given(sql, async () => [
      await hazardsOf([T1]),
      await hazardsOf([T1, T2]),
      await hazardsOf(EVERYONE),
    ]);
    for (const hazards of found) {
      expect(hazards).toContainEqual(
        expect.objectContaining({
          type: 'OUTSIDE_REFERENCE',
          severity: 'blocks',
          table: 'public.pin_notes',
          count: 1,
        }),
      );
    }
  });
});

describe('Rows of many tenants', () => {
  it('are counted together as they are one by one', async () => {
    const sql = 'insert into pins values (900, 1), (901, 2), (902, 2)';
    await given(sql, async () => {
      for (const step of deleteSteps(plan)) {
        const together = new Map<string, number>();
        for (const { tenantId, rows } of await countPerTenant(
          client,
          step,
          plan.tenant,
          EVERYONE,
        )) {
          together.set(tenantId, (together.get(tenantId) ?? 0) + rows);
        }
        const alone = new Map<string, number>();
        for (const id of EVERYONE) {
          for (const { tenantId, rows } of await countPerTenant(client, step, plan.tenant, [id])) {
            alone.set(tenantId, (alone.get(tenantId) ?? 0) + rows);
          }
        }
        expect([step.table, together]).toEqual([step.table, alone]);
      }
    });
  });

  it('are those that each table has, whatever the ways by which they are owned', async () => {
    const counts: Record<string, number> = {};
    for (const step of deleteSteps(plan)) {
      const found = await countPerTenant(client, step, plan.tenant, [T1, T2]);
      counts[step.table] = found.reduce((sum, { rows }) => sum + rows, 0);
    }
    expect(counts).toEqual({
      'public.tenants': 2,
      'public.agents': 2,
      'public.notes': 2,
      'public.parts': 2,
      'public.lines': 4,
      'public.files': 4,
      'public.comments': 4,
      'public.replies': 4,
      'public.imports': 2,
      'public.events': 2,
      'public.rooms': 2,
      'public.doors': 2,
      'public.pins': 0,
      'public.inherited': 1,
    });
  });
});
