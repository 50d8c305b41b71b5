import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../../src/postgres/database.ts';
import { inReadTransaction } from '../../../src/postgres/diagnosis/read-transaction.ts';
import { PAGE_TENANTS } from '../../../src/postgres/diagnosis/tenant-facts.ts';
import { AS_OF } from '../../fixtures/diagnosis/tenants.ts';
import {
  createDiagnosisApplication,
  runDiagnosis,
  withClient,
} from '../../support/diagnosis-application.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';

let database: TestDatabase;
const others: TestDatabase[] = [];

beforeAll(async () => {
  database = await createDatabase({ name: 'diagnosis_sources' });
  await createDiagnosisApplication(database.url, []);
});
afterEach(() => Promise.all(others.splice(0).map((one) => one.drop())));
afterAll(() => database?.drop());

async function databaseOf(sql: string): Promise<string> {
  const made = await createDatabase({ name: 'diagnosis_case' });
  others.push(made);
  await withClient(made.url, (client) => client.query(sql));
  return made.url;
}

describe('What diagnosis looks at', () => {
  it('is found out from the catalogue where the configuration is silent, and said to be', async () => {
    const { summary } = await runDiagnosis(database.url);
    expect(
      Object.fromEntries(summary.sources.map(({ source, reads, by }) => [source, [by, reads]])),
    ).toEqual({
      testColumn: ['detected', 'is_test'],
      nameColumns: ['detected', 'name, subdomain'],
      emailColumns: ['detected', 'owner_email'],
      subdomainColumn: ['detected', 'subdomain'],
      createdAtColumn: ['detected', 'created_at'],
      addressColumn: ['detected', 'created_ip'],
      owner: ['detected', 'owner_email'],
      agentsTable: ['detected', 'public.agents'],
      activity: [
        'detected',
        'public.agents.created_at, public.api_usage.day, public.messages.sent_at, public.users.created_at',
      ],
      usage: ['none', null],
    });
    expect(summary.warnings).toEqual([]);
  });

  it('is what the configuration says, and nothing where it says so', async () => {
    const { summary } = await runDiagnosis(database.url, {
      diagnosis: {
        nameColumns: [],
        emailColumns: ['public.users.email'],
        subdomainColumn: false,
        owner: 'public.users',
        agentsTable: false,
        activity: [{ table: 'public.messages', column: 'sent_at', tenantColumn: 'account_id' }],
      },
    });
    expect(summary.sources.filter(({ by }) => by === 'configuration')).toEqual([
      { source: 'nameColumns', reads: null, by: 'configuration' },
      { source: 'emailColumns', reads: 'public.users.email', by: 'configuration' },
      { source: 'subdomainColumn', reads: null, by: 'configuration' },
      { source: 'owner', reads: 'public.users', by: 'configuration' },
      { source: 'agentsTable', reads: null, by: 'configuration' },
      { source: 'activity', reads: 'public.messages.sent_at', by: 'configuration' },
    ]);
    expect(summary.totals.withoutAgents).toBeNull();
  });

  it('is refused where it is not there, every mistake at once and with the near miss', async () => {
    const diagnosis = {
      nameColumns: ['nmae'],
      createdAtColumn: 'name',
      agentsTable: 'public.agent',
      activity: [{ table: 'public.messages', column: 'send_at' }],
      usage: { table: 'public.api_usage', requestsColumn: 'request' },
    };
    await expect(runDiagnosis(database.url, { diagnosis })).rejects.toMatchObject({
      code: 'COLUMN_MISSING',
      details: {
        problems: [
          expect.stringContaining(
            'there is no column nmae, public.accounts has none. Did you mean name?',
          ),
          expect.stringContaining(
            'diagnosis.createdAtColumn: name is of type text, not a date or time',
          ),
          expect.stringContaining(
            'there is no table public.agent in the database. Did you mean public.agents?',
          ),
          expect.stringContaining(
            'there is no column send_at, public.messages has none. Did you mean sent_at?',
          ),
          expect.stringContaining(
            'there is no column request, public.api_usage has none. Did you mean requests?',
          ),
        ],
      },
    });
  });

  it('is refused where a column is of a type that nothing can be told by, every one at once', async () => {
    const diagnosis = {
      activity: [{ table: 'public.messages', column: 'id' }],
      usage: { table: 'public.users', requestsColumn: 'email', atColumn: 'id' },
    };
    const tenant = { table: 'public.accounts', testColumn: 'name' };
    await expect(runDiagnosis(database.url, { tenant, diagnosis })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: {
        problems: [
          'tenant.testColumn: name is of type text, not boolean.',
          'diagnosis.activity: id is of type bigint, not a date or time.',
          'diagnosis.usage.requestsColumn: email is of type text, not a number.',
          'diagnosis.usage.atColumn: id is of type bigint, not a date or time.',
        ],
      },
    });
  });

  it('is refused where one id may be several tenants', async () => {
    const url = await databaseOf(
      'create table tenants (region text, id int, name text, primary key (region, id))',
    );
    const tenant = { table: 'public.tenants' };
    await expect(runDiagnosis(url, { tenant })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('a tenant must be named by one'),
    });
    await expect(runDiagnosis(url, { tenant: { ...tenant, key: 'id' } })).rejects.toMatchObject({
      message: expect.stringContaining('public.tenants.id is not unique'),
    });
  });
});

describe('A database of another shape', () => {
  it('may have text keys, reserved names, partitions, and dates without a zone', async () => {
    const url = await databaseOf(`
      create schema "App";
      create table "App"."Order" ("Key" varchar(36) primary key, "Name" text, "isTest" boolean,
        "ownerEmail" text, "createdAt" timestamp);
      create table "App"."select" ("OrderKey" varchar(36) not null references "App"."Order", "Day" date not null)
        partition by range ("Day");
      create table "App".p1 partition of "App"."select" for values from ('2020-01-01') to ('2026-01-01');
      create table "App".p2 partition of "App"."select" for values from ('2026-01-01') to ('2027-01-01');
      insert into "App"."Order" values
        ('it''s "odd"', E'Demo\\\\', true, 'a@example.com', '2020-01-01'),
        ('plain', null, null, null, 'infinity'),
        ('', 'Anna', false, 'a@machines.de', null);
      insert into "App"."select" values ('it''s "odd"', '2021-01-01'), ('plain', '2026-02-28');`);
    const { entries } = await runDiagnosis(url, { tenant: { table: 'App.Order' } });
    expect(
      entries.map(({ tenantId, label, recommendation, evidence }) => [
        tenantId,
        label,
        recommendation,
        evidence.map(({ rule }) => rule),
      ]),
    ).toEqual([
      ['', '', 'keep', ['never-active']],
      [
        'it\'s "odd"',
        'it\'s "odd"',
        'purge',
        ['test-flag', 'suspicious-word', 'reserved-email-domain', 'inactive'],
      ],
      ['plain', 'plain', 'keep', ['missing-owner']],
    ]);
  });

  it('may have nothing but a tenant table: then nobody is recommended for purge', async () => {
    const url = await databaseOf(
      "create table tenants (id int primary key, is_test boolean, email text); insert into tenants values (1, true, 'a@example.com'), (2, null, null)",
    );
    const { entries, summary } = await runDiagnosis(url, { tenant: { table: 'public.tenants' } });
    expect(entries.map(({ recommendation, reasons }) => [recommendation, reasons])).toEqual([
      ['review', ['activity-unknown', 'age-unknown']],
      ['keep', ['no-sign']],
    ]);
    expect(summary.redis).toEqual({ counted: false, why: expect.stringContaining('redis.keys') });
  });

  it('may have no tenant at all', async () => {
    const { entries, summary } = await runDiagnosis(database.url);
    expect(entries).toEqual([]);
    expect(summary.totals).toMatchObject({ tenants: 0, suspicious: 0 });
  });

  it('has its rows counted that refer to no tenant, and to no row', async () => {
    const url = await databaseOf(`
      create table tenants (id bigint primary key, name text);
      create table posts (id bigint primary key, tenant_id bigint not null references tenants);
      create table notes (tenant_id text);
      create table comments (tenant_id bigint not null references tenants, post_id bigint);
      create table visits (tenant_id bigint);
      create table likes (post_id bigint not null references posts, at timestamptz);
      insert into tenants values (1, 'One'), (2, 'Two');
      insert into posts values (10, 1);
      insert into notes values ('1'), ('7'), ('7'), ('8'), (null), ('one');
      insert into comments values (1, 10), (1, 11), (2, 12), (2, null);
      alter table comments add constraint to_post foreign key (post_id) references posts not valid;
      insert into visits values (9), (1), (null);
      alter table visits add constraint to_tenant foreign key (tenant_id) references tenants not valid;`);
    const { summary } = await runDiagnosis(url, {
      tenant: { table: 'public.tenants', columns: ['tenant_id'] },
    });
    expect(summary.warnings).toEqual([
      expect.stringMatching(
        /^Activity is not looked for in public\.comments, public\.posts, public\.visits: no date of their own/,
      ),
    ]);
    expect(summary.dangling).toEqual([
      {
        source: 'public.visits.tenant_id',
        kind: 'tenant-column',
        rows: 1,
        values: 1,
        samples: ['9'],
      },
      {
        source: 'public.comments.to_post',
        kind: 'foreign-key',
        rows: 2,
        values: null,
        samples: ['11', '12'],
      },
    ]);
  });

  it('may number everybody: that is no sequence of names, while one among others is', async () => {
    const url = await databaseOf(
      `create table tenants (id int primary key, name text, slug text);
       insert into tenants select n, case when n <= 12 then 'Signup ' || n else 'Acme' end, 'host-' || n from generate_series(1, 30) n`,
    );
    const { entries } = await runDiagnosis(url, { tenant: { table: 'public.tenants' } });
    const hits = entries.flatMap(({ evidence }) =>
      evidence.flatMap((one) => (one.rule === 'sequential-name' ? [one.column] : [])),
    );
    expect(hits).toEqual(Array.from({ length: 12 }, () => 'name'));
  });

  it('is read page by page, every tenant once and in order', async () => {
    const tenants = 2 * PAGE_TENANTS + 1;
    const url = await databaseOf(
      `create table tenants (id int primary key, name text); insert into tenants select n, 'Acme' from generate_series(1, ${tenants}) n`,
    );
    const { entries, summary } = await runDiagnosis(url, { tenant: { table: 'public.tenants' } });
    const ids = entries.map(({ tenantId }) => tenantId);
    expect(ids).toEqual(Array.from({ length: tenants }, (_, at) => String(at + 1)).sort());
    expect(summary.totals.tenants).toBe(tenants);
  });
});

describe('Reading', () => {
  it('cannot write, whatever is asked of it', async () => {
    await withTransaction(async (client) => {
      await expect(client.query('delete from accounts')).rejects.toMatchObject({ code: '25006' });
    });
  });

  it('ends with a remedy where a statement takes too long', async () => {
    await expect(
      withTransaction((client) => client.query('select pg_sleep(60)'), { statementTimeoutMs: 50 }),
    ).rejects.toMatchObject({
      code: 'TIMED_OUT',
      remedy: expect.stringContaining('diagnosis.statementTimeoutMs'),
    });
  });

  it('says which tables it was reading, and who cancelled it where it was somebody', async () => {
    await withClient(database.url, async (client) => {
      await client.query('begin; lock table messages in access exclusive mode');
      const diagnosis = { statementTimeoutMs: 1_000 };
      await expect(runDiagnosis(database.url, { diagnosis })).rejects.toMatchObject({
        code: 'TIMED_OUT',
        message: expect.stringMatching(
          /^Reading public\.accounts, .*public\.messages.* took longer than 1000 ms in one statement\. Nothing was changed\.$/,
        ),
        remedy: expect.stringContaining('pg_stat_activity'),
      });
    });
    await expect(
      withTransaction((client) =>
        client.query('select pg_cancel_backend(pg_backend_pid()), pg_sleep(60)'),
      ),
    ).rejects.toMatchObject({
      code: 'TIMED_OUT',
      message: expect.stringContaining('cancelled in PostgreSQL by somebody'),
    });
  });

  it('is cancelled on the server once it is stopped', async () => {
    const stop = new AbortController();
    const sleeping = withTransaction(
      (client) => {
        setImmediate(() => stop.abort());
        return client.query('select pg_sleep(60)');
      },
      { signal: stop.signal },
    );
    await expect(sleeping).rejects.toMatchObject({ code: 'STOP_ASKED' });
    await withClient(database.url, async (client) => {
      const { rows } = await client.query(
        "select from pg_stat_activity where query like 'select pg_sleep%' and state = 'active' and datname = current_database()",
      );
      expect(rows).toEqual([]);
    });
  });
});

describe('A moment that has not come', () => {
  it('is no activity, so that a tenant with appointments alone is not in use', async () => {
    const url = await databaseOf(`
      create table tenants (id int primary key, is_test boolean, created_at timestamptz);
      create table posts (tenant_id int not null references tenants, sent_at timestamptz);
      insert into tenants select n, true, '2020-01-01' from generate_series(1, 3) n;
      insert into posts values (1, timestamptz '${AS_OF.toISOString()}' + interval '1 day'), (2, 'infinity'), (3, '${AS_OF.toISOString()}');`);
    const { entries } = await runDiagnosis(url, { tenant: { table: 'public.tenants' } });
    expect(entries.map(({ recommendation, reasons }) => [recommendation, ...reasons])).toEqual([
      ['purge', 'flagged-and-unused'],
      ['purge', 'flagged-and-unused'],
      ['review', 'recent-activity', 'one-kind', 'score-low'],
    ]);
  });
});

async function withTransaction(
  work: Parameters<typeof inReadTransaction>[2],
  limits: Partial<Parameters<typeof inReadTransaction>[1]> = {},
): Promise<void> {
  const opened = await openDatabase({
    url: database.url,
    connectionsMax: 2,
    applicationName: 'test diagnosis',
  });
  try {
    await inReadTransaction(opened, { statementTimeoutMs: 60_000, ...limits }, work);
  } finally {
    await opened.close();
  }
}
