import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type DiagnosisSetup,
  runDiagnosis,
  withClient,
} from '../../support/diagnosis-application.ts';
import { createDatabase, type TestDatabase } from '../../support/postgres.ts';

const ROLE = `diagnosis_${randomBytes(6).toString('hex')}`;
const SETUP: DiagnosisSetup = {
  tenant: { table: 'public.tenants' },
  diagnosis: {
    owner: 'public.users',
    emailColumns: ['public.users.email'],
    usage: { table: 'public.api_usage', atColumn: 'at' },
  },
};

describe('A role that may not read everything', () => {
  let database: TestDatabase;
  let url: string;

  beforeAll(async () => {
    database = await createDatabase({ name: 'diagnosis_role' });
    await withClient(database.url, (client) =>
      client.query(`
        create table tenants (id int primary key, is_test boolean, email text, created_at timestamptz);
        create table spaces (id int primary key, tenant_id int not null references tenants);
        create table users (tenant_id int not null references tenants, email text);
        create table agents (tenant_id int not null references tenants);
        create table api_usage (tenant_id int not null references tenants, at timestamptz);
        create table posts (tenant_id int not null references tenants, sent_at timestamptz);
        create table messages (space_id int not null references spaces, sent_at timestamptz);
        insert into tenants values (1, true, 'a@acme.example', '2020-01-01');
        create role ${ROLE} login password 'of-the-test';
        grant select on tenants, posts, messages to ${ROLE};`),
    );
    const asRole = new URL(database.url);
    asRole.username = ROLE;
    asRole.password = 'of-the-test';
    url = asRole.href;
  });

  afterAll(async () => {
    if (database === undefined) return;
    await withClient(database.url, (client) =>
      client.query(`drop owned by ${ROLE}; drop role ${ROLE}`),
    );
    await database.drop();
  });

  it('is told what it does not see, and nobody is purged who may be in use there', async () => {
    const { entries, summary } = await runDiagnosis(url, SETUP);
    expect(entries.map(({ recommendation, reasons }) => [recommendation, ...reasons])).toEqual([
      ['review', 'activity-unknown'],
    ]);
    expect(summary.totals.withoutAgents).toBeNull();
    expect(summary.warnings).toEqual(
      expect.arrayContaining([
        'public.users cannot be read: the role lacks SELECT.',
        'public.agents cannot be read: the role lacks SELECT.',
        'public.api_usage cannot be read: the role lacks SELECT.',
        'public.spaces cannot be read: the role lacks SELECT, and public.messages is reached over it.',
      ]),
    );
  });

  it('is refused with a remedy where it may not read the tenants', async () => {
    await withClient(database.url, (client) =>
      client.query(`revoke select on tenants from ${ROLE}`),
    );
    await expect(runDiagnosis(url, SETUP)).rejects.toMatchObject({
      code: 'PRIVILEGE_MISSING',
      message: expect.stringContaining('tenants'),
    });
  });
});
