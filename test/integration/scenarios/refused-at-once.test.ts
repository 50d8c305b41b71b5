import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, expect, test } from 'vitest';
import { findObstacles } from '../../../src/engine/campaign/guards.ts';
import { prepareCampaign } from '../../../src/engine/campaign/prepare.ts';
import type { Actor } from '../../../src/runtime/actor.ts';
import { databaseUrlOf } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { PAIRS, type Scenario, useScenarios } from '../../support/scenario.ts';

const roles: string[] = [];
// Hooks run last first: the databases in which the roles have privileges go before them.
afterAll(dropRoles);
const open = useScenarios();

const codesOf = async (actor: Actor, ids: readonly string[]) => {
  const prepared = await prepareCampaign(actor.prepare, { kind: 'tenants', ids });
  const obstacles = findObstacles(prepared, []);
  return {
    prepared,
    codes: obstacles.map(({ code }) => code),
    text: obstacles.map(({ message }) => message).join('\n'),
  };
};

/** Two tables that a role may not read, a column that does not compare, a circle to be allowed. */
const TROUBLED = `
  create table public.secrets (id int primary key, tenant_id text not null references public.tenants);
  create table public.salaries (id int primary key, tenant_id text not null references public.tenants);
  create table public.numbers (id int primary key, tenant_id int);
  create table public.nodes (id int primary key, tenant_id text not null references public.tenants,
    parent_id int not null references public.nodes);
  insert into public.secrets select n, t from ${PAIRS};
  insert into public.numbers values (1, 1);`;
const BY_NUMBER = { config: { tables: { 'public.numbers': { ownedBy: ['tenant_id'] } } } };

test('what cannot be compared or read is refused with every hazard, and with the unknown tenants', async () => {
  const scenario = await open(TROUBLED, BY_NUMBER);
  const actor = await actAsRole(scenario.world, (role) => [
    `revoke all on public.secrets, public.salaries from ${role}`,
  ]);
  const { prepared, codes, text } = await codesOf(actor, ['doomed', 'nobody']);
  expect(prepared).toMatchObject({ isCounted: false, tenants: [{ id: 'doomed', rowsTotal: 0 }] });
  expect(codes).toEqual(['TARGETS_REFUSED', 'HAZARD_BLOCKS', 'HAZARD_NOT_ALLOWED']);
  expect(text).toContain('TENANT_UNKNOWN  No tenant has the id nobody.');
  expect(text).toMatch(/MISSING_PRIVILEGE .*public\.secrets/);
  expect(text).toMatch(/MISSING_PRIVILEGE .*public\.salaries/);
  expect(text).toMatch(/public\.numbers\.tenant_id .* cannot be compared/);
  expect(text).toContain('CYCLE_IN_ONE_STATEMENT');
});

test('a role that may not read the tenants is told of every table, not that no tenant is left', async () => {
  const scenario = await open(TROUBLED);
  const actor = await actAsRole(scenario.world, (role) => [
    `revoke all on all tables in schema public from ${role}`,
  ]);
  const { prepared, codes, text } = await codesOf(actor, ['doomed']);
  expect(prepared).toMatchObject({ isCounted: false, tenants: [], refused: [] });
  expect(codes).toEqual(['HAZARD_BLOCKS', 'HAZARD_NOT_ALLOWED']);
  for (const table of ['tenants', 'secrets', 'salaries', 'nodes']) {
    expect(text).toMatch(new RegExp(`MISSING_PRIVILEGE .*public\\.${table}`));
  }
});

test('what blocks and can be counted is counted all the same', async () => {
  const scenario = await open(
    `create table public.notes (id int primary key, tenant_id text not null references public.tenants);
     create table public.pins (id int primary key, note_id int references public.notes);
     insert into public.notes select n, t from ${PAIRS};`,
  );
  const prepared = await scenario.prepare();
  expect(prepared.hazards.filter(({ severity }) => severity === 'blocks')).not.toEqual([]);
  expect(prepared).toMatchObject({ isCounted: true, tenants: [{ rowsTotal: 6 }] });
});

const OTHERS = `
  create table public.agents (id uuid primary key, tenant_id text not null references public.tenants);
  create table public.workspaces (id text primary key, tenant_id text not null references public.tenants);
  create table public.runs (id bigint primary key, agent_id uuid not null references public.agents);
  create table public.marks (a int, b int, tenant_id text not null references public.tenants, primary key (a, b));
  create table public.events (id bigint primary key, tenant_id text not null references public.tenants) partition by range (id);
  create table public.events_1 partition of public.events for values from (0) to (1000);
  insert into public.agents values ('31c06fc4-db22-4740-83ea-48ac14f25810', 'doomed');
  insert into public.workspaces values ('42', 'doomed'), ('O''Neill "x"', 'kept');
  insert into public.runs values (42, '31c06fc4-db22-4740-83ea-48ac14f25810');
  insert into public.events values (42, 'kept'), (43, 'kept');`;
const CORE = { config: { levels: { core: ['public.agents', 'public.workspaces'] } } };
const UUID = '31C06FC4-DB22-4740-83EA-48AC14F25810';

const messagesOf = (scenario: Scenario, ids: readonly string[]) =>
  messagesFor(scenario.world.actor, ids);
const messagesFor = async (actor: Actor, ids: readonly string[]): Promise<string[]> =>
  (await prepareCampaign(actor.prepare, { kind: 'tenants', ids })).refused.map(
    ({ message }) => message,
  );

test('an unknown id that is the key of other rows is said to be that, core tables first', async () => {
  const scenario = await open(OTHERS, CORE);
  expect(
    await messagesOf(scenario, [UUID, '42', '43', `O'Neill "x"`, '99999999999999999999', '-']),
  ).toEqual([
    `No tenant has the id ${UUID}. ${UUID} is an id of public.agents.`,
    expect.stringMatching(
      /^No tenant has the id 42\. 42 is an id of public\.workspaces, public\.(events, public\.runs|runs, public\.events)\.$/,
    ),
    'No tenant has the id 43. 43 is an id of public.events.',
    `No tenant has the id O'Neill "x". O'Neill "x" is an id of public.workspaces.`,
    'No tenant has the id 99999999999999999999.',
    'No tenant has the id -.',
  ]);
});

test('of many unknown ids only the first are looked up', async () => {
  const scenario = await open(OTHERS, CORE);
  const ids = [...Array.from({ length: 20 }, (_, index) => `nobody ${index}`), '43'];
  expect((await messagesOf(scenario, ids)).at(-1)).toBe('No tenant has the id 43.');
});

test('a look that takes too long says nothing, and the campaign is prepared all the same', async () => {
  const scenario = await open(
    `${OTHERS} alter table public.events enable row level security;
     create policy slow on public.events using (pg_sleep(30) is not null);`,
    CORE,
  );
  const actor = await actAsRole(scenario.world, () => []);
  const { prepared, codes } = await codesOf(actor, ['43']);
  expect(prepared).toMatchObject({
    isCounted: true,
    refused: [{ message: 'No tenant has the id 43.' }],
  });
  expect(codes).toContain('TARGETS_REFUSED');
});

test('of a table that the role may not read nothing is said', async () => {
  const scenario = await open(OTHERS, CORE);
  const actor = await actAsRole(scenario.world, (role) => [
    `revoke all on public.workspaces, public.runs from ${role}`,
    `grant delete on public.runs to ${role}`,
  ]);
  expect(await messagesFor(actor, ['42', UUID])).toEqual([
    'No tenant has the id 42. 42 is an id of public.events.',
    `No tenant has the id ${UUID}. ${UUID} is an id of public.agents.`,
  ]);
});

async function actAsRole(
  world: PurgeWorld,
  more: (role: string) => readonly string[],
): Promise<Actor> {
  const role = `refused_${randomBytes(4).toString('hex')}`;
  roles.push(role);
  for (const sql of [
    `create role ${role} login password 'of-the-test'`,
    `grant usage on schema tenant_purge, public to ${role}`,
    `grant select, insert, update on all tables in schema tenant_purge to ${role}`,
    `grant select, update, delete on all tables in schema public to ${role}`,
    ...more(role),
  ]) {
    await world.pool.query(sql);
  }
  const url = new URL(world.config.databaseUrl);
  url.username = role;
  url.password = 'of-the-test';
  return world.composeOther({ environment: { DATABASE_URL: url.href } });
}

async function dropRoles(): Promise<void> {
  const client = new Client({ connectionString: databaseUrlOf('postgres') });
  await client.connect();
  try {
    for (const role of roles.splice(0)) await client.query(`drop role if exists ${role}`);
  } finally {
    await client.end();
  }
}
