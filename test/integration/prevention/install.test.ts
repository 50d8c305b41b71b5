import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as fc from 'fast-check';
import { escapeIdentifier, Pool } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { suspiciousEmailDomain } from '../../../src/domain/test-data/email-domains.ts';
import {
  SUSPICIOUS_WORDS,
  suspiciousWords,
} from '../../../src/domain/test-data/suspicious-words.ts';
import { domainListsOf } from '../../../src/prevention/details.ts';
import { LOG_TABLE, PreventionGuard } from '../../../src/prevention/index.ts';
import { KNOWN_SIGN_UPS } from '../../fixtures/prevention/sign-ups.ts';
import { runForJson, runInProcess } from '../../support/cli.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';
import { HONEST, keepLog, NO_REDIS, production } from '../../support/prevention/clients.ts';
import { claimRedisDatabase } from '../../support/redis.ts';

let folder: string;
let database: TestDatabase;
let pool: Pool;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'prevention-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(async () => {
  database = await createDatabase({ name: 'prevention' });
  pool = new Pool({ connectionString: database.url, max: 4 });
  await pool.query(
    `create table public.tenants (id bigint generated always as identity primary key,
       name text, subdomain text, email text)`,
  );
  writeConfig({});
});
afterEach(async () => {
  await pool.end();
  await database.drop();
});

const writeConfig = (more: object): void =>
  writeFileSync(
    join(folder, 'purge.config.json'),
    JSON.stringify({
      tenant: { table: 'public.tenants' },
      prevention: { columns: { subdomain: 'subdomain', email: 'email' } },
      ...more,
    }),
  );

const cli = () => ({
  cwd: folder,
  env: { DATABASE_URL: database.url, REDIS_URL: 'redis://127.0.0.1:9', ENVIRONMENT: 'test' },
});
const prevention = (...argv: string[]) => runForJson(['prevention', ...argv], cli());

const insert = (name: string | null, subdomain: string | null, email: string | null) =>
  pool.query('insert into tenants (name, subdomain, email) values ($1, $2, $3)', [
    name,
    subdomain,
    email,
  ]);

async function copyIn(text: string): Promise<void> {
  const client = await pool.connect();
  try {
    await pipeline(Readable.from([text]), client.query(copyFrom('copy tenants (name) from stdin')));
  } finally {
    client.release();
  }
}

const tablesOfOurs = async (): Promise<string[]> => {
  const { rows } = await pool.query(
    `select tablename as name from pg_tables where schemaname = 'tenant_purge' order by 1`,
  );
  return rows.map(({ name }) => String(name));
};

describe('prevention install', () => {
  it('makes the log table, once, without a ledger and without Redis', async () => {
    expect(await prevention('install')).toEqual({
      exitCode: 0,
      document: {
        table: LOG_TABLE,
        version: 1,
        applied: ['prevention log'],
        grantedTo: null,
        trigger: null,
      },
    });
    expect((await prevention('install')).document).toMatchObject({ applied: [] });
    expect(await tablesOfOurs()).toEqual(['prevention_migration', 'test_data_prevention_logs']);
    // Off by default.
    await insert('Test', null, 'a@example.com');
  });

  it('at the same time by two operators makes it once', async () => {
    const both = await Promise.all([
      prevention('install', '--trigger'),
      prevention('install', '--trigger'),
    ]);
    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  });

  it('refuses a log table of a newer program', async () => {
    await prevention('install');
    await pool.query("insert into tenant_purge.prevention_migration values (99, 'later')");
    expect(await prevention('install')).toMatchObject({
      exitCode: 2,
      document: { error: { code: 'LEDGER_NEWER' } },
    });
  });

  it('lets the application’s role write rows and read none', async () => {
    const role = `app_${randomBytes(4).toString('hex')}`;
    expect(await prevention('install', '--grant-to', role)).toMatchObject({
      exitCode: 2,
      document: { error: { code: 'NOT_FOUND' } },
    });
    await pool.query(`create role ${escapeIdentifier(role)} login password 'secret'`);
    try {
      expect((await prevention('install', '--grant-to', role)).exitCode).toBe(0);
      const url = new URL(database.url);
      url.username = role;
      url.password = 'secret';
      const app = new Pool({ connectionString: url.href, max: 1 });
      try {
        const log = keepLog();
        const guard = new PreventionGuard(
          production(NO_REDIS, { log, query: (text, values) => app.query(text, values) }),
        );
        await guard.checkTenantCreation({ ...HONEST, name: 'Test' });
        await guard.settle();
        expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
        await expect(app.query(`select * from ${LOG_TABLE}`)).rejects.toThrow('permission denied');
        expect((await pool.query(`select rule from ${LOG_TABLE}`)).rows).toEqual([
          { rule: 'suspicious-word' },
        ]);
      } finally {
        await app.end();
      }
    } finally {
      await pool.query(
        `drop owned by ${escapeIdentifier(role)}; drop role ${escapeIdentifier(role)}`,
      );
    }
  });
});

const guardOf = (log = keepLog()): PreventionGuard =>
  new PreventionGuard(
    production(NO_REDIS, { log, query: (text, values) => pool.query(text, values) }),
  );

describe('The log', () => {
  it('has a row for each refusal: endpoint, reason, rule, address, domain and a redacted payload', async () => {
    await prevention('install');
    const guard = guardOf();
    const verdict = await guard.checkTenantCreation({
      ...HONEST,
      name: 'Test of jane@acme.com',
      email: 'jane.doe@mailinator.com',
      ip: '::ffff:192.0.2.7',
      endpoint: 'POST /signup',
      payload: { name: 'Test of jane@acme.com', subdomain: 'x\u0000\ud800', password: 'hunter2' },
    });
    await guard.settle();
    const { rows } = await pool.query(
      `select *, created_at > now() - interval '1 minute' as fresh from ${LOG_TABLE}`,
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      reference: verdict.reference,
      fresh: true,
      endpoint: 'POST /signup',
      outcome: 'refused',
      rule: 'suspicious-word',
      reason:
        'suspicious-word (field name, match test); listed-email-domain (field email, match mailinator.com)',
      ip: '192.0.2.7',
      email_domain: 'mailinator.com',
      payload: { name: 'Test of [redacted]', subdomain: 'x\ufffd', password: '[redacted]' },
    });
    expect(JSON.stringify(rows)).not.toMatch(/jane|hunter2/);
  });

  it('takes whatever is refused', async () => {
    await prevention('install');
    const log = keepLog();
    const guard = guardOf(log);
    const anything = fc.oneof(fc.string({ unit: 'binary' }), fc.anything());
    let asked = 0;
    await fc.assert(
      fc.asyncProperty(
        anything,
        anything,
        anything,
        anything,
        async (email, ip, endpoint, payload) => {
          asked += 1;
          await guard.checkTenantCreation({
            ...HONEST,
            name: 'Test',
            email,
            ip,
            endpoint,
            payload,
          } as never);
        },
      ),
      { numRuns: 300 },
    );
    await guard.settle();
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
    const { rows } = await pool.query(`select count(*)::int as count from ${LOG_TABLE}`);
    expect(rows).toEqual([{ count: asked }]);
  });

  it('that cannot be written keeps nobody waiting, and is said', async () => {
    const log = keepLog();
    const guard = guardOf(log);
    expect((await guard.checkTenantCreation({ ...HONEST, name: 'Test' })).allowed).toBe(false);
    await guard.settle();
    expect(log.lines.map(({ message }) => message)).toEqual([
      'tenant creation refused',
      `rows of ${LOG_TABLE} could not be written`,
    ]);
  });

  it('loses its oldest rows to `prevention expire`, and no others', async () => {
    expect(await prevention('expire', '--older-than', '30d')).toMatchObject({
      exitCode: 2,
      document: {
        error: { code: 'NOT_FOUND', remedy: expect.stringContaining('prevention install') },
      },
    });
    await prevention('install');
    await pool.query(
      `insert into ${LOG_TABLE} (created_at, reference, outcome, rule, reason, payload)
       select now() - n * interval '1 hour', gen_random_uuid(), 'refused', 'suspicious-word', '', '{}'
       from generate_series(1, 12000) n`,
    );
    const expired = await prevention('expire', '--older-than', '30d');
    expect(expired).toEqual({
      exitCode: 0,
      document: { rowsDeleted: 12_000 - 719, finished: true },
    });
    const { rows } = await pool.query(
      `select count(*)::int as count, min(created_at) > now() - interval '30 days' as young from ${LOG_TABLE}`,
    );
    expect(rows).toEqual([{ count: 719, young: true }]);
    expect((await prevention('expire', '--older-than', '30d')).document).toMatchObject({
      rowsDeleted: 0,
    });
  });

  it.each([
    [['expire']],
    [['expire', '--older-than', 'soon']],
    [['install', '--uninstall', '--grant-to', 'x']],
    [['token', '--subject', 'x']],
  ])('refuses %j with 2', async (argv) => {
    expect((await prevention(...argv)).exitCode).toBe(2);
  });
});

/** What cannot be read is the guard's business. */
const byTrigger = (truth: string | null): boolean => truth !== null && truth !== 'input-invalid';

describe('The trigger', () => {
  it('refuses what the guard refuses, and nothing else', async () => {
    expect((await prevention('install', '--trigger')).document).toMatchObject({
      trigger: 'public.tenants',
    });
    for (const { name, subdomain, email, truth } of KNOWN_SIGN_UPS) {
      const refused = await insert(name, subdomain, email).then(
        () => false,
        (error: { code?: string }) => (expect(error.code).toBe('TP010'), true),
      );
      expect([name, subdomain, email, refused]).toEqual([name, subdomain, email, byTrigger(truth)]);
    }
    await insert(null, null, null);
  });

  it('says what it refused and what to do', async () => {
    await prevention('install', '--trigger');
    await expect(insert('My Test', 'ok', 'a@example.com')).rejects.toMatchObject({
      code: 'TP010',
      message: 'tenant refused as test data: the word "test", the e-mail domain "example.com"',
      schema: 'public',
      table: 'tenants',
      detail: 'Refused by the trigger of tenant-purge prevention on public.tenants.',
      hint: expect.stringContaining('set_config'),
    });
  });

  it('ends words and domains where the guard does, whatever the text', async () => {
    await prevention('install', '--trigger');
    const piece = fc.oneof(
      fc.constantFrom(
        ...SUSPICIOUS_WORDS,
        'Test',
        'TEST',
        'contest',
        'testa',
        'é',
        'ß',
        'Ж',
        '株',
        'ﬁ',
        'Ｄｅｍｏ',
        '\u200b',
        '\u3164',
        '\uffa0',
        '\u{e0041}',
        '1',
        '42',
        ' ',
        '-',
        '_',
        '.',
        'A',
        'API',
      ),
      fc.string({ unit: 'grapheme-ascii', maxLength: 3 }),
    );
    const texts = fc.sample(
      fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join('')),
      2_000,
    );
    const { rows } = await pool.query(
      'select tenant_purge.prevention_word(t) is not null as hit from unnest($1::text[]) with ordinality as x(t, n) order by n',
      [texts],
    );
    const differ = texts.filter((text, at) => rows[at]?.hit !== suspiciousWords(text).length > 0);
    expect(differ).toEqual([]);
    const hits = rows.filter(({ hit }) => hit === true).length;
    expect(hits).toBeGreaterThan(200);
    expect(hits).toBeLessThan(1_800);

    const lists = domainListsOf({});
    const label = fc.constantFrom(
      'example',
      'com',
      'test',
      'mailinator',
      'acme',
      'org',
      'yopmail',
      'co',
      'uk',
      'EXAMPLE',
    );
    const emails = fc.sample(
      fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => `a@b@${labels.join('.')}`),
      1_000,
    );
    const judged = await pool.query(
      'select tenant_purge.prevention_domain(t) is not null as hit from unnest($1::text[]) with ordinality as x(t, n) order by n',
      [emails],
    );
    expect(
      emails.filter(
        (email, at) => judged.rows[at]?.hit !== (suspiciousEmailDomain(email, lists) !== null),
      ),
    ).toEqual([]);
  });

  it('takes the words and domains that diagnosis has', async () => {
    writeConfig({
      diagnosis: {
        words: ['Staging'],
        emailDomains: ['qa.acme.com'],
        allowedEmailDomains: ['mailinator.com'],
      },
    });
    await prevention('install', '--trigger');
    await expect(insert('staging 1', null, null)).rejects.toMatchObject({ code: 'TP010' });
    await expect(insert('x', null, 'a@qa.acme.com')).rejects.toMatchObject({ code: 'TP010' });
    await insert('x', null, 'a@mailinator.com');
    // A second call brings the lists up to date.
    writeConfig({});
    await prevention('install', '--trigger');
    await insert('staging 1', null, null);
    await expect(insert('x', null, 'a@mailinator.com')).rejects.toMatchObject({ code: 'TP010' });
  });

  it('lets in whom the guard has let in, in that transaction and no other', async () => {
    await prevention('install', '--trigger');
    const guard = new PreventionGuard(production(NO_REDIS));
    const client = await pool.connect();
    try {
      await client.query('begin');
      await guard.admit((text, values) => client.query(text, values), {
        name: 'Test',
        subdomain: 'Acme-Test',
      });
      await client.query(`insert into tenants (name, subdomain) values ('Test', 'acme-test')`);
      await client.query('savepoint other');
      await expect(
        client.query(`insert into tenants (name, subdomain) values ('Demo', 'demo')`),
      ).rejects.toMatchObject({ code: 'TP010' });
      await client.query('rollback to other');
      await client.query('commit');
      await expect(
        client.query(`insert into tenants (name, subdomain) values ('Test', 'acme-test')`),
      ).rejects.toMatchObject({ code: 'TP010' });
      // Imports and restores.
      await client.query(`begin; set local tenant_purge.allow_signup = '*'`);
      await client.query(`insert into tenants (name) values ('Test'), ('Demo')`);
      await client.query('commit');
    } finally {
      client.release();
    }
    const { rows } = await pool.query('select name from tenants order by id');
    expect(rows.map(({ name }) => name)).toEqual(['Test', 'Test', 'Demo']);
  });

  it('lets in whom the guard has let in without a subdomain, written as null or as nothing', async () => {
    await prevention('install', '--trigger');
    const guard = new PreventionGuard(production(NO_REDIS));
    const name = 'Test Equipment Ltd';
    for (const subdomain of [null, '']) {
      const client = await pool.connect();
      try {
        await client.query('begin');
        await guard.admit((text, values) => client.query(text, values), { name, subdomain });
        await client.query('insert into tenants (name, subdomain) values ($1, $2)', [
          name,
          subdomain,
        ]);
        await client.query('commit');
      } finally {
        client.release(true);
      }
    }
    expect((await pool.query('select count(*)::int as n from tenants')).rows).toEqual([{ n: 2 }]);
  });

  it('compares words with accents as the guard does', async () => {
    writeConfig({ diagnosis: { words: ['Übung', 'prüflauf'] } });
    await prevention('install', '--trigger');
    for (const name of ['Übung 1', 'ubung', 'PRÜFLAUF', 'pruflauf-2']) {
      await expect(insert(name, null, null)).rejects.toMatchObject({ code: 'TP010' });
    }
    await insert('Übungsplatz', null, null);
  });

  it('refuses a COPY as a whole, and is no obstacle to an upsert of a tenant who is there', async () => {
    await pool.query(`insert into tenants (name) values ('Test GmbH')`);
    await prevention('install', '--trigger');
    const upsert = (id: number, name: string, action: string) =>
      pool.query(
        `insert into tenants (id, name) overriding system value values (${id}, '${name}')
         on conflict (id) do ${action}`,
      );
    await upsert(1, 'Test AG', 'update set name = excluded.name');
    await upsert(1, 'Test SE', 'nothing');
    await expect(upsert(7, 'Test SE', 'update set name = excluded.name')).rejects.toMatchObject({
      code: 'TP010',
    });
    await expect(copyIn('Acme\nDemo 1\nMeyer\n')).rejects.toMatchObject({ code: 'TP010' });
    await copyIn('Acme\n\\N\nMeyer\n');
    const { rows } = await pool.query('select name from tenants order by id');
    expect(rows.map(({ name }) => name)).toEqual(['Test AG', 'Acme', null, 'Meyer']);
  });

  it('takes the place of an older one, and breaks none on a table that was configured before', async () => {
    await pool.query('create table old_tenants (name text, subdomain text, email text)');
    await prevention('install', '--trigger');
    for (const table of ['tenants', 'old_tenants']) {
      await pool.query(
        `create or replace trigger zz_tenant_purge_prevention before insert on ${table} for each row
           execute function tenant_purge.refuse_test_tenant('name', 'subdomain', 'email')`,
      );
    }
    await prevention('install', '--trigger');
    const { rows } = await pool.query(
      `select tgrelid::regclass::text as place, (tgtype & 2) <> 0 as before from pg_trigger
       where tgname = 'zz_tenant_purge_prevention' order by 1`,
    );
    expect(rows).toEqual([
      { place: 'old_tenants', before: true },
      { place: 'tenants', before: false },
    ]);
    await pool.query(`insert into old_tenants (name) values ('Acme')`);
    await expect(
      pool.query(`insert into old_tenants (name) values ('Test')`),
    ).rejects.toMatchObject({ code: 'TP010' });
    expect((await pool.query('select name from old_tenants')).rows).toEqual([{ name: 'Acme' }]);
    await prevention('install', '--uninstall');
    expect((await pool.query('select from pg_trigger where not tgisinternal')).rowCount).toBe(0);
  });

  it('stands on a table of any name, and judges generated columns', async () => {
    const table = `"Sales""EU"."Te'nants"`;
    await pool.query(`create schema "Sales""EU"; create table ${table} (
      id int primary key, "Company Name" text,
      slug text generated always as (lower("Company Name")) stored)`);
    writeConfig({
      tenant: { table: `Sales"EU.Te'nants` },
      prevention: { columns: { name: 'id', subdomain: 'slug' } },
    });
    expect(await prevention('install', '--trigger')).toMatchObject({ exitCode: 0 });
    const add = (id: number, name: string) =>
      pool.query(`insert into ${table} (id, "Company Name") values ($1, $2)`, [id, name]);
    await expect(add(1, 'Demo')).rejects.toMatchObject({ code: 'TP010' });
    await add(2, 'Acme');
    expect((await prevention('install', '--uninstall')).document).toEqual({ trigger: 'removed' });
    await add(3, 'Demo');
  });

  it('leaves updates alone, and judges a row as other triggers have left it', async () => {
    await prevention('install', '--trigger');
    await insert('Acme', null, null);
    await pool.query(`update tenants set name = 'Test'`);
    await pool.query(`create function rename() returns trigger language plpgsql as
      $$ begin new.name := 'Demo'; return new; end $$;
      create trigger tenants_rename before insert on tenants for each row execute function rename()`);
    await expect(insert('Acme', null, null)).rejects.toMatchObject({ code: 'TP010' });
  });

  it('holds for a role that may see nothing of ours, and for a partitioned table', async () => {
    await pool.query(`drop table tenants; create table tenants (id bigint generated always as identity,
      name text, subdomain text, email text) partition by range (id);
      create table tenants_1 partition of tenants for values from (1) to (1000)`);
    await prevention('install', '--trigger');
    const role = escapeIdentifier(`app_${randomBytes(4).toString('hex')}`);
    await pool.query(`create role ${role}; grant insert on tenants to ${role}`);
    const client = await pool.connect();
    try {
      await client.query(`set role ${role}`);
      await client.query(`insert into tenants (name) values ('Acme')`);
      await expect(
        client.query(`insert into tenants (name) values ('Test')`),
      ).rejects.toMatchObject({ code: 'TP010' });
      await expect(
        client.query(`select tenant_purge.prevention_word('Test')`),
      ).rejects.toMatchObject({ code: '42501' });
    } finally {
      await client.query('reset role');
      client.release();
      await pool.query(`drop owned by ${role}; drop role ${role}`);
    }
  });

  it('is nothing that a purge’s plan stumbles over', async () => {
    const redis = await claimRedisDatabase();
    try {
      const options = { ...cli(), env: { ...cli().env, REDIS_URL: redis.url } };
      const before = await runForJson(['plan'], options);
      await prevention('install', '--trigger');
      expect(before.exitCode).toBe(0);
      expect(await runForJson(['plan'], options)).toEqual(before);
    } finally {
      await redis.release();
    }
  });

  it('goes without a trace but the log', async () => {
    await prevention('install', '--trigger');
    expect((await prevention('install', '--trigger', '--uninstall')).document).toEqual({
      trigger: 'removed',
    });
    await insert('Test', 'test', 'a@example.com');
    expect(await tablesOfOurs()).toEqual(['prevention_migration', 'test_data_prevention_logs']);
    expect((await prevention('install', '--uninstall')).document).toEqual({ trigger: 'none' });
  });

  it('is refused for a table or columns that are not there', async () => {
    writeConfig({ prevention: { columns: { name: 'label', email: 'mail' } } });
    expect(await prevention('install', '--trigger')).toMatchObject({
      exitCode: 2,
      document: {
        error: {
          code: 'COLUMN_MISSING',
          message: expect.stringMatching(/name: "label".*email: "mail"/),
        },
      },
    });
    writeConfig({ tenant: { table: 'public.customers' } });
    expect((await prevention('install', '--trigger')).document).toMatchObject({
      error: { code: 'TABLE_MISSING' },
    });
    expect(
      (await pool.query(`select from pg_trigger where tgname like '%prevention'`)).rowCount,
    ).toBe(0);
  });

  it('is refused to a role that does not own the table, with who should do it', async () => {
    const role = `app_${randomBytes(4).toString('hex')}`;
    await prevention('install', '--trigger');
    await prevention('install', '--uninstall');
    await pool.query(`create role ${role} login password 'secret';
      grant all on schema tenant_purge to ${role}; grant all on all tables in schema tenant_purge to ${role}`);
    try {
      const url = new URL(database.url);
      url.username = role;
      url.password = 'secret';
      const options = { ...cli(), env: { ...cli().env, DATABASE_URL: url.href } };
      const refused = await runForJson(['prevention', 'install', '--trigger'], options);
      expect(refused).toMatchObject({
        exitCode: 2,
        document: {
          error: {
            code: 'PRIVILEGE_MISSING',
            remedy: expect.stringContaining('owns the tenant table'),
          },
        },
      });
    } finally {
      await pool.query(`drop owned by ${role}; drop role ${role}`);
    }
  });

  it('waits for an application that holds the table no longer than it may, and changes nothing then', async () => {
    const client = await pool.connect();
    try {
      await client.query(`begin; insert into tenants (name) values ('Acme')`);
      expect(await prevention('install', '--trigger')).toMatchObject({
        exitCode: 1,
        document: { error: { code: 'TIMED_OUT', remedy: expect.stringContaining('Run it again') } },
      });
      await client.query('commit');
    } finally {
      client.release();
    }
    await insert('Test', null, null);
  });
});

describe('prevention token', () => {
  it('prints a token that the guard takes, and nothing else on stdout', async () => {
    writeFileSync(join(folder, 'secret'), 'x'.repeat(40));
    const argv = [
      'prevention',
      'token',
      '--subject',
      'acme-test',
      '--audience',
      'signup',
      '--key-file',
      'secret',
    ];
    const { stdout, stderr, exitCode } = await runInProcess(argv, cli());
    expect({ exitCode, lines: stdout.trim().split('\n').length }).toEqual({
      exitCode: 0,
      lines: 1,
    });
    expect(stdout.trim().split('.')).toHaveLength(3);
    expect(stderr).toContain('For "acme-test" at signup, once, until ');
    const missing = await prevention(
      'token',
      '--subject',
      'x',
      '--audience',
      'y',
      '--key-file',
      'nowhere',
    );
    expect(missing).toMatchObject({ exitCode: 2, document: { error: { code: 'CONFIG_INVALID' } } });
    const long = await prevention(
      'token',
      '--subject',
      'x',
      '--audience',
      'y',
      '--key-file',
      'secret',
      '--for',
      '8d',
    );
    expect(long.exitCode).toBe(2);
  });
});
