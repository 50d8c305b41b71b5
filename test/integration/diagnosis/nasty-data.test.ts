import { afterEach, describe, expect, it } from 'vitest';
import type { TenantEntry } from '../../../src/diagnosis/tally.ts';
import {
  type DiagnosisRun,
  type DiagnosisSetup,
  runDiagnosis,
  withClient,
} from '../../support/diagnosis-application.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';

const databases: TestDatabase[] = [];
afterEach(() => Promise.all(databases.splice(0).map((one) => one.drop())));

/** Diagnoses a database made by this SQL; the moment is 2026-03-01 12:00 UTC. */
async function diagnosisOf(sql: string, setup: DiagnosisSetup = {}): Promise<DiagnosisRun> {
  const made = await createDatabase({ name: 'diagnosis_nasty' });
  databases.push(made);
  await withClient(made.url, (client) => client.query(sql));
  return runDiagnosis(made.url, { tenant: { table: 'public.tenants' }, ...setup });
}

const verdicts = ({ entries }: DiagnosisRun) =>
  entries.map(({ tenantId, recommendation, reasons }) => [tenantId, recommendation, ...reasons]);
const rulesOf = ({ evidence }: TenantEntry): string[] => evidence.map(({ rule }) => rule);

/** Ids, and for each a row of `is_test`, an e-mail nobody can have, and an age of years. */
const testTenants = (type: string, ...ids: string[]): string => `
  create table tenants (id ${type} primary key, is_test boolean, email text, created_at timestamptz);
  insert into tenants select id::${type}, true, 'a@acme.example', '2020-01-01'
  from unnest(array[${ids.map((id) => `'${id}'`).join(', ')}]) id;`;

describe('Activity that a tenant shows', () => {
  it('is found over the keys of tables without a tenant column, and over each nullable one', async () => {
    const run = await diagnosisOf(
      `${testTenants('int', '1', '2', '3', '4')}
      create table spaces (id int primary key, tenant_id int not null references tenants);
      create table chats (id int primary key, space_id int not null references spaces);
      create table messages (chat_id int references chats, space_id int references spaces, sent_at timestamptz);
      insert into spaces select n, n from generate_series(1, 4) n;
      insert into chats select n, n from generate_series(1, 4) n;
      insert into messages values (1, null, '2026-02-28'), (2, null, '2021-01-01'), (null, 3, '2026-02-28');`,
      {
        tables: { 'public.messages': { ownedBy: ['chat_id', 'space_id'] } },
      },
    );
    expect(
      verdicts(run).map(([id, recommendation, reason]) => [id, recommendation, reason]),
    ).toEqual([
      ['1', 'review', 'recent-activity'],
      ['2', 'purge', 'independent-signs'],
      ['3', 'review', 'recent-activity'],
      ['4', 'purge', 'independent-signs'],
    ]);
    expect(run.summary.sources).toContainEqual({
      source: 'activity',
      reads: 'public.messages.sent_at',
      by: 'detected',
    });
  });

  it('may be told of any such table in the configuration, as may agents, owners and their addresses', async () => {
    const run = await diagnosisOf(
      `create table tenants (id int primary key);
       create table spaces (id int primary key, tenant_id int not null references tenants);
       create table agents (space_id int not null references spaces, email text, requests int, at timestamptz);
       insert into tenants values (1), (2);
       insert into spaces select n, n from generate_series(1, 2) n;
       insert into agents values (1, 'a@yopmail.com', 5000, '2025-01-01'), (1, 'b@yopmail.com', 5, '2026-02-28');`,
      {
        diagnosis: {
          owner: 'public.agents',
          emailColumns: ['public.agents.email'],
          activity: [{ table: 'public.agents', column: 'at' }],
          usage: { table: 'public.agents', requestsColumn: 'requests', atColumn: 'at' },
        },
      },
    );
    expect(run.entries.map(rulesOf)).toEqual([
      ['disposable-email-domain'],
      ['no-agents', 'never-active', 'missing-owner'],
    ]);
    expect(run.summary.totals.withoutAgents).toBe(1);
  });

  it('may stand in the tenant table itself, where a change of the row is none', async () => {
    const run = await diagnosisOf(`${testTenants('int', '1', '2')}
      alter table tenants add last_login_at timestamp, add updated_at timestamptz default '2026-02-28';
      update tenants set last_login_at = '2026-02-20' where id = 1;`);
    expect(verdicts(run)).toEqual([
      ['1', 'review', 'recent-activity'],
      ['2', 'purge', 'independent-signs', 'flagged-and-unused'],
    ]);
    const configured = await diagnosisOf(
      `${testTenants('int', '1')} alter table tenants add seen date default '2026-02-28';`,
      { diagnosis: { activity: [{ table: 'public.tenants', column: 'seen' }] } },
    );
    expect(verdicts(configured)).toEqual([['1', 'review', 'recent-activity']]);
  });

  it('is a person who was invited lately and has not logged in', async () => {
    const run = await diagnosisOf(`${testTenants('int', '1')}
      create table users (tenant_id int not null references tenants, last_login_at timestamptz, created_at timestamptz);
      insert into users values (1, '2021-01-01', '2020-01-01'), (1, null, '2026-02-27');`);
    expect(verdicts(run)).toEqual([['1', 'review', 'recent-activity']]);
  });

  it("counts where the application writes another zone's time without the zone", async () => {
    const run = await diagnosisOf(`${testTenants('int', '1', '2', '3')}
      create table seen (tenant_id int not null references tenants, last_seen_at timestamp);
      create table days (tenant_id int not null references tenants, day date);
      insert into seen values (1, '2026-03-02 01:59'), (3, '2026-03-02 12:00');
      insert into days values (2, '2026-03-02');`);
    expect(verdicts(run)).toEqual([
      ['1', 'review', 'recent-activity'],
      ['2', 'review', 'recent-activity'],
      ['3', 'purge', 'independent-signs', 'flagged-and-unused'],
    ]);
  });

  it("counts where the application's clock is a little ahead of the database's", async () => {
    const run = await diagnosisOf(`${testTenants('int', '1', '2')}
      create table seen (tenant_id int not null references tenants, last_seen_at timestamptz);
      insert into seen values (1, '2026-03-01 12:10Z'), (2, '2026-03-01 13:00Z');`);
    expect(verdicts(run).map(([, recommendation]) => recommendation)).toEqual(['review', 'purge']);
  });

  it('counts where it is older than the row of a tenant that was moved here', async () => {
    const run = await diagnosisOf(`
      create table tenants (id int primary key, is_test boolean, email text, created_at timestamptz);
      create table posts (tenant_id int not null references tenants, sent_at timestamptz);
      insert into tenants select n, true, 'a@acme.example', '2026-02-20' from generate_series(1, 2) n;
      insert into posts values (1, '2026-01-20'), (2, '2026-02-20 00:30');`);
    expect(verdicts(run).map(([, recommendation]) => recommendation)).toEqual(['review', 'purge']);
  });

  it('is told by ids that are equal, however they are spelled', async () => {
    const uuid = 'aaaaaaaa-0000-4000-8000-00000000000a';
    const texts = await diagnosisOf(
      `${testTenants('uuid', uuid)}
       create table events (org text, at timestamptz);
       insert into events values ('${uuid.toUpperCase()}', '2026-02-28'), ('${uuid}', '2026-02-27');`,
      {
        diagnosis: { activity: [{ table: 'public.events', column: 'at', tenantColumn: 'org' }] },
      },
    );
    expect(verdicts(texts)).toEqual([[uuid, 'review', 'recent-activity']]);
    const citext =
      await diagnosisOf(`create extension citext; ${testTenants('citext', 'Acme', 'Beta')}
      create table posts (tenant_id citext not null references tenants, sent_at timestamptz);
      insert into posts values ('ACME', '2026-02-28'), ('acme', '2021-01-01');`);
    expect(verdicts(citext).map(([id, recommendation]) => [id, recommendation])).toEqual([
      ['Acme', 'review'],
      ['Beta', 'purge'],
    ]);
  });
});

describe('The age of a tenant', () => {
  it('is not known without a date of creation and without activity: then it is never purged', async () => {
    const run = await diagnosisOf(`
      create table tenants (id int primary key, is_test boolean, email text, created_at timestamptz);
      create table posts (tenant_id int not null references tenants, sent_at timestamptz);
      insert into tenants values (1, true, 'a@acme.example', null), (2, true, 'a@acme.example', 'infinity'),
        (3, true, 'a@acme.example', null), (4, true, 'a@acme.example', '2020-01-01');
      insert into posts values (3, '2021-01-01');`);
    expect(verdicts(run).map((verdict) => verdict.slice(0, 3))).toEqual([
      ['1', 'review', 'age-unknown'],
      ['2', 'review', 'age-unknown'],
      ['3', 'purge', 'independent-signs'],
      ['4', 'purge', 'independent-signs'],
    ]);
  });

  it('may be known by the day: then no hour and no burst is told, and today and yesterday are just now', async () => {
    const run = await diagnosisOf(
      `create table tenants (id int primary key, name text, is_test boolean, email text, created_on date, created_ip inet);
       create table posts (tenant_id int not null references tenants, sent_at timestamptz);
       insert into tenants select n, 'Shop', false, null, '2025-01-01', '192.0.2.1' from generate_series(10, 40) n;
       insert into tenants values (1, null, true, 'a@acme.example', '2026-03-01', null), (2, null, true, 'a@acme.example', '2026-02-28', null),
         (3, null, true, 'a@acme.example', '2026-02-27', null);`,
    );
    expect(
      verdicts(run)
        .filter(([id]) => Number(id) < 10)
        .map((verdict) => verdict.slice(0, 3)),
    ).toEqual([
      ['1', 'review', 'just-created'],
      ['2', 'review', 'just-created'],
      ['3', 'purge', 'independent-signs'],
    ]);
    const rules = run.entries.flatMap(rulesOf);
    expect(rules).not.toContain('bulk-address');
    expect(rules).not.toContain('burst');
    expect(run.summary.warnings).toContainEqual(
      expect.stringContaining('public.tenants.created_on has days without a time'),
    );
  });
});

const created = (together: number, apart: number): string => `
create table tenants (id int primary key, created_at timestamptz, created_ip inet);
insert into tenants select n, '2025-01-01', '192.0.2.1' from generate_series(1, ${together}) n;
insert into tenants select 1000 + n, timestamptz '2020-01-01' + n * interval '1 day', null from generate_series(1, ${apart}) n;`;
const hit = ({ entries }: DiagnosisRun): number =>
  entries.filter((entry) => rulesOf(entry).includes('burst')).length;

describe('One and the same moment of creation', () => {
  it('of more than half of all tenants was an import, of fewer it is a burst', async () => {
    const imported = await diagnosisOf(created(150, 100));
    expect(hit(imported)).toBe(0);
    expect(imported.summary.totals.suspicious).toBe(0);
    expect(hit(await diagnosisOf(created(150, 200)))).toBe(150);
    expect(hit(await diagnosisOf(created(90, 10)))).toBe(90);
  });
});

describe('Addresses that tenants signed up from', () => {
  it.each(['inet', 'text'])(
    'are themselves where a socket shows them as IPv6: %s',
    async (type) => {
      const run = await diagnosisOf(`
      create table tenants (id int primary key, created_at timestamptz, created_ip ${type});
      insert into tenants select n, timestamptz '2025-01-01' + n * interval '1 minute', ('::ffff:192.0.2.' || n)::${type}
      from generate_series(1, 5) n;
      insert into tenants select 10 + n, timestamptz '2025-02-01' + n * interval '1 minute',
        (array['::ffff:203.0.113.7', '203.0.113.7', '::FFFF:203.0.113.7'])[n]::${type} from generate_series(1, 3) n;`);
      const hit = run.entries.flatMap(({ tenantId, evidence }) =>
        evidence.flatMap((one) => (one.rule === 'bulk-address' ? [[tenantId, one.address]] : [])),
      );
      expect(hit).toEqual(['11', '12', '13'].map((id) => [id, '203.0.113.7']));
    },
  );
});

describe('Requests out of line', () => {
  it('are seen among a handful of tenants, and of one tenant there is no line', async () => {
    const usage = { table: 'public.usage', requestsColumn: 'requests', atColumn: 'day' } as const;
    const tables = `create table tenants (id int primary key);
      create table usage (tenant_id int not null references tenants, day date, requests numeric);`;
    const outOf = async (...requests: string[]) => {
      const { entries } = await diagnosisOf(
        `${tables} insert into tenants select n from generate_series(1, ${requests.length}) n;
         insert into usage values ${requests.map((count, at) => `(${at + 1}, '2026-02-20', '${count}')`).join(', ')};`,
        { diagnosis: { usage } },
      );
      return entries.flatMap((entry) =>
        rulesOf(entry).includes('usage-out-of-line') ? [entry.tenantId] : [],
      );
    };
    expect(await outOf('100', '110', '1000000')).toEqual(['3']);
    expect(
      await outOf('100', '110', '90', '100', '95', '105', '100', '100', '100', '1000000'),
    ).toEqual(['10']);
    expect(await outOf('1000000')).toEqual([]);
    expect(await outOf('90000', '100000')).toEqual([]);
    expect(await outOf('100', 'NaN', '110', '1000000')).toEqual(['4']);
  });
});

describe('Collations of columns', () => {
  it('may differ from each other, and know no upper and lower case', async () => {
    const run = await diagnosisOf(
      `create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
       create table tenants (id text collate "C" primary key, name text collate ci, subdomain text collate ci, is_test boolean,
         email text collate ci, created_ip text collate ci, created_at timestamptz, owner text collate ci);
       create table posts (tenant_id text collate "und-x-icu", author text collate ci, sent_at timestamptz);
       create table notes (tenant_id text collate ci, at timestamptz);
       insert into tenants values ('a', 'DEMO Shop', 'Eins', null, 'a@ACME.example', 'x', '2020-01-01', 'o'),
         ('b', 'متجر ٣', 'zwei', null, 'b@machines.de', 'y', '2020-02-01', 'o'), ('c', 'متجر ٤', 'EINS', null, 'c@machines.de', 'z', '2020-03-01', ''),
         ('d', 'Кафе 1', 'vier', null, null, null, '2020-04-01', 'o'), ('e', 'Кафе 2', 'fünf', null, null, null, '2020-05-01', 'o'), ('f', 'Кафе 3', 'sechs', null, null, null, '2020-06-01', 'o');
       insert into posts values ('a', 'x@YOPMAIL.com', '2026-02-28'), ('gone', 'y', '2026-02-28');
       insert into notes values ('b', '2026-02-28');`,
      {
        tenant: { table: 'public.tenants', columns: ['tenant_id'] },
        diagnosis: { emailColumns: ['email', 'public.posts.author'] },
      },
    );
    expect(run.entries.map((entry) => [entry.tenantId, ...rulesOf(entry)])).toEqual([
      [
        'a',
        'suspicious-word',
        'reserved-email-domain',
        'disposable-email-domain',
        'duplicate-subdomain',
      ],
      ['b'],
      ['c', 'never-active', 'missing-owner', 'duplicate-subdomain'],
      ['d', 'sequential-name', 'never-active'],
      ['e', 'sequential-name', 'never-active'],
      ['f', 'sequential-name', 'never-active'],
    ]);
    expect(run.summary.dangling).toEqual([
      {
        source: 'public.posts.tenant_id',
        kind: 'tenant-column',
        rows: 1,
        values: 1,
        samples: ['gone'],
      },
    ]);
  });
});

describe('A Redis that goes away while its keys are counted', () => {
  it('leaves them uncounted, and everything else said', async () => {
    const run = await diagnosisOf('create table tenants (id int primary key)', {
      parts: { orphanKeys: () => Promise.reject(new Error('Connection is closed.')) },
    });
    expect(run.summary.redis).toEqual({ counted: false, why: 'Connection is closed.' });
  });
});
