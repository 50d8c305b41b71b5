import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CatalogueChecksum, catalogueChecksum } from '../support/catalogue-checksum.ts';
import { runForJson } from '../support/cli.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../support/redis.ts';

const APPLICATION = `
  create schema app;
  create table public.tenants (id text primary key, name text not null);
  create view public.active_tenants as select * from public.tenants;
  create table public.keyless (name text not null);
  create table public.pairs (a text, b text, primary key (a, b));
  create table public.agents (id int primary key, tenant_id text not null references public.tenants);
  create table public.notes (id int primary key, tenant_id text not null references public.tenants,
    agent_id int references public.agents, state text not null default 'open',
    size int generated always as (id * 2) stored);
  create table public.orders (id int primary key, payload jsonb not null);
  create table app.events (id int primary key, tenant_id text not null references public.tenants);
  insert into public.tenants values ('doomed', 'D'), ('kept', 'K');
  insert into public.keyless values ('doomed');
  insert into public.pairs values ('doomed', 'x');
  insert into public.agents values (1, 'doomed'), (2, 'kept');
  insert into public.notes values (1, 'doomed', 1), (2, 'kept', 2);
  insert into public.orders values (1, '{"tenant": "doomed"}'), (2, '{"tenant": "kept"}');
  insert into app.events values (1, 'doomed'), (2, 'kept');`;

let database: TestDatabase;
let redis: TestRedisDatabase;
let pool: Pool;
let folder: string;
let before: CatalogueChecksum;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bad-input-'));
  database = await createDatabase({ name: 'bad_input' });
  redis = await claimRedisDatabase();
  pool = new Pool({ connectionString: database.url, max: 1 });
  await pool.query(APPLICATION);
  before = await catalogueChecksum(pool, { except: [] });
});

afterAll(async () => {
  await pool?.end();
  await database?.drop();
  await redis?.release();
  rmSync(folder, { recursive: true, force: true });
});

type Command = 'plan' | 'enqueue';
const ARGUMENTS: Readonly<Record<Command, readonly string[]>> = {
  plan: ['plan'],
  enqueue: ['enqueue', '--tenant', 'doomed', '--no-archive', '--confirm', 'DELETE doomed FOREVER'],
};

interface Answer {
  readonly exitCode: number | null;
  readonly codes: readonly string[];
  readonly text: string;
}

/** Runs a command with this configuration, and expects that it changed nothing anywhere. */
async function refuse(
  command: Command,
  config: object,
  options: { readonly url?: string; readonly more?: readonly string[] } = {},
): Promise<Answer> {
  const file = join(folder, `${randomUUID()}.json`);
  writeFileSync(file, JSON.stringify({ tenant: { table: 'public.tenants' }, ...config }));
  const { exitCode, document } = await runForJson(
    [...ARGUMENTS[command], '--config', file, ...(options.more ?? [])],
    {
      env: {
        DATABASE_URL: options.url ?? database.url,
        REDIS_URL: redis.url,
        ENVIRONMENT: 'test',
      },
    },
  );
  const errors = (document['errors'] ?? [document['error']]) as { code: string; message: string }[];
  await expectUntouched();
  return {
    exitCode,
    codes: errors.map((error) => error?.code),
    text: errors.map((error) => error?.message).join('\n'),
  };
}

async function expectUntouched(): Promise<void> {
  const { rows } = await pool.query("select to_regnamespace('tenant_purge') is null as clean");
  expect(rows).toEqual([{ clean: true }]);
  expect(await catalogueChecksum(pool, { except: [] })).toEqual(before);
  const client = new Redis(redis.url);
  try {
    expect(await client.dbsize()).toBe(0);
  } finally {
    client.disconnect();
  }
}

const COMMANDS = ['plan', 'enqueue'] as const;
const notes = (rule: object): object => ({ tables: { 'public.notes': rule } });
const orders = (where: string): object => ({ tables: { 'public.orders': { where } } });

/** What is wrong, the configuration, the code, and what the message must say. */
const MISTAKES: readonly (readonly [string, object, string, readonly (string | RegExp)[]])[] = [
  [
    'a tenant table that does not exist',
    { tenant: { table: 'public.tenant' } },
    'TABLE_MISSING',
    ['tenant.table: there is no table public.tenant', 'Did you mean public.tenants?'],
  ],
  [
    'a tenant table without its schema',
    { tenant: { table: 'tenants' } },
    'CONFIG_INVALID',
    ['tenant.table: must be "schema.table"'],
  ],
  [
    'a tenant table that is a view',
    { tenant: { table: 'public.active_tenants' } },
    'TABLE_MISSING',
    ['public.active_tenants is a view: name the table that holds the rows'],
  ],
  [
    'a tenant table without a key',
    { tenant: { table: 'public.keyless' } },
    'COLUMN_MISSING',
    ['public.keyless has no primary key: name the column that identifies a tenant as tenant.key'],
  ],
  [
    'a key column that does not exist',
    { tenant: { table: 'public.tenants', key: 'ids' } },
    'COLUMN_MISSING',
    ['tenant.key: there is no column ids', 'Did you mean id?'],
  ],
  [
    'a rule for a table that does not exist',
    { tables: { 'public.note': { onPurge: 'keep' } } },
    'TABLE_MISSING',
    ['there is no table public.note ', 'Did you mean public.notes?'],
  ],
  [
    'an owner column that does not exist',
    notes({ ownedBy: ['tenat_id'] }),
    'COLUMN_MISSING',
    ['tables["public.notes"].ownedBy: there is no column tenat_id', 'Did you mean tenant_id?'],
  ],
  [
    'a polymorphic owner of a column and a table that do not exist',
    notes({ ownedBy: [{ column: 'id', when: { stat: 'x' }, to: 'public.agent' }] }),
    'COLUMN_MISSING',
    ['there is no column stat', 'Did you mean state?', 'Did you mean public.agents?'],
  ],
  [
    'a rule for a foreign key that does not exist',
    { foreignKeys: { 'public.notes.notes_agent_fkey': 'set-null' } },
    'CONFIG_INVALID',
    [
      'foreignKeys: there is no foreign key public.notes.notes_agent_fkey',
      'Did you mean public.notes.notes_agent_id_fkey?',
    ],
  ],
  [
    'a followed column that does not exist',
    { follow: ['public.notes.agents_id'] },
    'CONFIG_INVALID',
    ['follow: no foreign key starts at public.notes.agents_id', 'public.notes.agent_id?'],
  ],
  [
    'an unknown rule for a foreign key',
    { foreignKeys: { 'public.notes.notes_agent_id_fkey': 'set_null' } },
    'CONFIG_INVALID',
    ['must be one of own, set-null, delete, refuse', 'did you mean "set-null"?'],
  ],
  [
    'a table that is owned and kept',
    notes({ ownedBy: ['tenant_id'], onPurge: 'keep' }),
    'CONFIG_INVALID',
    ['public.notes has both "ownedBy" and "onPurge": "keep": take one away'],
  ],
  [
    'a table with a condition and an owner',
    notes({ ownedBy: ['tenant_id'], where: 'tenant_id = {tenantId}' }),
    'CONFIG_INVALID',
    ['public.notes has both "ownedBy" and "where": take one away'],
  ],
  [
    'a key that is cleared and owns',
    {
      ...notes({ ownedBy: ['agent_id'] }),
      foreignKeys: { 'public.notes.notes_agent_id_fkey': 'set-null' },
    },
    'CONFIG_INVALID',
    ['is "set-null", but "tables" says that agent_id owns the rows of public.notes'],
  ],
  [
    'new values without an update',
    notes({ set: { state: 'gone' } }),
    'CONFIG_INVALID',
    ['public.notes has "set", which only "onPurge": "update" reads'],
  ],
  [
    'an update without new values',
    notes({ onPurge: 'update' }),
    'CONFIG_INVALID',
    ['public.notes is to be updated: name the new values in "set"'],
  ],
  [
    'new values that the columns cannot take',
    notes({ onPurge: 'update', set: { state: null, size: '1', stat: 'x' } }),
    'CONFIG_INVALID',
    ['public.notes.state is NOT NULL', 'public.notes.size is generated', 'Did you mean state?'],
  ],
  [
    'a new value of another type',
    notes({ onPurge: 'update', set: { agent_id: 'nobody' } }),
    'CONFIG_INVALID',
    ['tables["public.notes"].set: invalid input syntax for type integer: "nobody"'],
  ],
  [
    'a condition without {tenantId}',
    orders("payload->>'tenant' = 'doomed'"),
    'CONFIG_INVALID',
    ['"where" of public.orders must contain {tenantId}'],
  ],
  [
    'a condition with a syntax error',
    orders("payload->>'tenant' == = {tenantId}"),
    'CONFIG_INVALID',
    [/tables\["public\.orders"\]\.where: (syntax error|operator)/],
  ],
  [
    'a condition over a column that does not exist',
    orders('tenant = {tenantId}'),
    'CONFIG_INVALID',
    ['tables["public.orders"].where: column "tenant" does not exist'],
  ],
  [
    'a condition that is no truth value',
    orders('{tenantId} || payload'),
    'CONFIG_INVALID',
    ['tables["public.orders"].where: '],
  ],
  [
    'a condition with the key in quotes',
    orders("payload->>'tenant' = '{tenantId}'"),
    'CONFIG_INVALID',
    ['tables["public.orders"].where: a {tenantId} stands in quotes or in a comment'],
  ],
  [
    'a condition with the key in quotes here and bare there',
    orders("payload->>'tenant' in ({tenantId}, 'tenant:{tenantId}')"),
    'CONFIG_INVALID',
    ['tables["public.orders"].where: a {tenantId} stands in quotes or in a comment'],
  ],
  [
    'a condition that names the tenant only in a comment, and so fits the rows of all',
    orders("payload ? 'tenant' /* of {tenantId} */"),
    'CONFIG_INVALID',
    ['tables["public.orders"].where: a {tenantId} stands in quotes or in a comment'],
  ],
  [
    'a condition of two statements',
    orders(
      "payload->>'tenant' = {tenantId} then true end; delete from public.orders; select case when true",
    ),
    'CONFIG_INVALID',
    ['tables["public.orders"].where: cannot insert multiple commands into a prepared statement'],
  ],
  [
    'a condition with an unbalanced parenthesis',
    orders("payload->>'tenant' = {tenantId}) or (true"),
    'CONFIG_INVALID',
    ['tables["public.orders"].where: syntax error at or near ")"'],
  ],
  [
    'a condition that hides its end in a comment',
    orders("payload->>'tenant' = {tenantId} /*"),
    'CONFIG_INVALID',
    ['tables["public.orders"].where: unterminated /* comment'],
  ],
];

describe.each(COMMANDS)('%s', (command) => {
  test.each(MISTAKES)(
    'refuses %s, in words, and changes nothing',
    async (_, config, code, said) => {
      const { exitCode, codes, text } = await refuse(command, config);
      expect({ exitCode, codes, text }).toMatchObject({ exitCode: 2, codes: [code] });
      for (const words of said)
        expect(text).toMatch(words instanceof RegExp ? words : literal(words));
    },
  );

  test('names all mistakes of the rules at once', async () => {
    const { exitCode, text } = await refuse(command, {
      tenant: { table: 'public.tenants', key: 'ids' },
      levels: { core: ['public.agent'] },
      tables: {
        'public.note': { onPurge: 'keep' },
        'public.orders': { where: 'true' },
        'public.notes': { ownedBy: ['tenat_id'], onPurge: 'keep', set: { stat: 'x' } },
      },
      foreignKeys: { 'public.notes.notes_agent_fkey': 'delete' },
      follow: ['public.notes.agents_id'],
    });
    expect(exitCode).toBe(2);
    expect(text.split('\n').map((line) => line.replace(/[:;,].*/, ''))).toHaveLength(10);
    for (const words of [
      'ids',
      'public.agent ',
      'public.note ',
      '{tenantId}',
      'tenat_id',
      'stat',
      'notes_agent_fkey',
      'agents_id',
      '"keep"',
      '"set"',
    ]) {
      expect(text).toContain(words);
    }
  });

  test('names the mistakes of all conditions and values at once', async () => {
    const { exitCode, codes, text } = await refuse(command, {
      tables: {
        'public.orders': { where: 'tenant = {tenantId}' },
        'public.keyless': { where: 'label = {tenantId}' },
        'public.notes': { onPurge: 'update', set: { agent_id: 'nobody' } },
      },
    });
    expect({ exitCode, codes }).toEqual({ exitCode: 2, codes: ['CONFIG_INVALID'] });
    expect(text.split('\n')).toHaveLength(3);
    for (const words of ['public.orders', 'public.keyless', 'public.notes']) {
      expect(text).toContain(words);
    }
  });
});

test('a tenant table with a key of several columns is refused with the setting that would name one', async () => {
  const config = { tenant: { table: 'public.pairs' } };
  const { exitCode, codes, text } = await refuse('enqueue', config);
  expect({ exitCode, codes }).toMatchObject({ exitCode: 3 });
  expect(codes).toContain('HAZARD_BLOCKS');
  expect(text).toContain('The primary key of public.pairs has several columns (a, b)');
  expect(text).toContain('"tenant": { "key": "<column>" }');
});

test('a drawing in a format that nobody knows is a mistake of usage', async () => {
  const { exitCode, codes, text } = await refuse('plan', {}, { more: ['--graph', 'svg'] });
  expect({ exitCode, codes, text }).toEqual({
    exitCode: 2,
    codes: ['USAGE'],
    text: '--graph: It must be mermaid or dot.',
  });
});

const GRANTS = [
  'grant create on database "$database" to $role',
  'grant usage on schema public, app to $role',
  'grant select, update, delete on all tables in schema public, app to $role',
];

describe('a role', () => {
  test.each([
    [
      'USAGE on a schema',
      'revoke usage on schema app from $role',
      /USAGE on app\.events|schema app/,
    ],
    [
      'SELECT on a planned table',
      'revoke select on public.notes from $role',
      /public\.notes|table notes/,
    ],
    [
      'DELETE on a planned table',
      'revoke delete on public.notes from $role',
      /DELETE on public\.notes/,
    ],
    ['SELECT on the tenant table', 'revoke select on public.tenants from $role', /tenants/],
  ])('without %s is told what it lacks, and changes nothing', async (_, revoke, said) => {
    const role = `bad_input_${randomUUID().slice(0, 8)}`;
    const run = (sql: string): Promise<unknown> =>
      pool.query(sql.replaceAll('$role', role).replaceAll('$database', database.name));
    await run(`create role $role login password 'of-the-test'`);
    try {
      for (const sql of [...GRANTS, revoke]) await run(sql);
      const url = new URL(database.url);
      url.username = role;
      url.password = 'of-the-test';
      const { exitCode, codes, text } = await refuse(
        'enqueue',
        { tables: { 'public.orders': { onPurge: 'keep' } } },
        { url: url.href },
      );
      expect([2, 3]).toContain(exitCode);
      expect(['HAZARD_BLOCKS', 'PRIVILEGE_MISSING']).toContain(codes[0]);
      expect(text).toMatch(said);
    } finally {
      await run('drop owned by $role');
      await run('drop role $role');
    }
  });
});

const literal = (words: string): RegExp =>
  new RegExp(words.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
