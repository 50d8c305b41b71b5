import { disposableEmailBlocklist } from 'disposable-email-domains-js';
import { Client } from 'pg';
import type { ConfigInput } from '../../src/config/schema.ts';
import { configSchema } from '../../src/config/schema.ts';
import {
  type DiagnoseParts,
  type DiagnosisSummary,
  diagnose,
} from '../../src/diagnosis/diagnose.ts';
import type { TenantEntry } from '../../src/diagnosis/tally.ts';
import { KeepList } from '../../src/domain/keep-list.ts';
import type { PlanRules } from '../../src/planner/rules.ts';
import { type Database, openDatabase } from '../../src/postgres/database.ts';
import { AS_OF, type TenantTruth } from '../fixtures/diagnosis/tenants.ts';

const SCHEMA = `
create table public.accounts (
  id bigint primary key,
  name text not null,
  subdomain text not null,
  owner_email text,
  is_test boolean,
  legal_hold boolean not null default false,
  created_at timestamptz,
  created_ip inet,
  parent_id bigint references public.accounts
);
create table public.users (
  id bigint generated always as identity primary key,
  account_id bigint not null references public.accounts,
  email text not null,
  created_at timestamptz not null default '2020-01-01'
);
create table public.agents (
  id bigint generated always as identity primary key,
  account_id bigint not null references public.accounts,
  created_at timestamptz not null default '2020-01-01'
);
create table public.messages (
  id bigint generated always as identity primary key,
  account_id bigint not null references public.accounts,
  sent_at timestamptz not null,
  expires_at timestamptz not null default '2999-01-01'
);
create table public.api_usage (
  account_id bigint not null references public.accounts,
  day date not null,
  requests bigint not null
);
`;

/** An application in which tenants are accounts, with these tenants; ids in their order, from 1. */
export async function createDiagnosisApplication(
  url: string,
  tenants: readonly TenantTruth[],
): Promise<void> {
  await withClient(url, async (client) => {
    await client.query(SCHEMA);
    for (const [index, tenant] of tenants.entries()) await insertTenant(client, index + 1, tenant);
    for (const [index, { below }] of tenants.entries()) {
      if (below === null) continue;
      await client.query(
        'update accounts set parent_id = (select id from accounts where name = $2) where id = $1',
        [index + 1, below],
      );
    }
    await client.query('analyze');
  });
}

async function insertTenant(client: Client, id: number, tenant: TenantTruth): Promise<void> {
  await client.query('insert into accounts values ($1, $2, $3, $4, $5, $6, $7, $8)', [
    id,
    tenant.name,
    tenant.subdomain,
    tenant.ownerEmail,
    tenant.isTest,
    tenant.hold,
    ago(tenant.createdAgo),
    tenant.address,
  ]);
  for (const email of tenant.users) {
    await client.query('insert into users (account_id, email) values ($1, $2)', [id, email]);
  }
  await client.query('insert into agents (account_id) select $1 from generate_series(1, $2::int)', [
    id,
    tenant.agents,
  ]);
  for (const minutes of tenant.messagesAgo) {
    await client.query('insert into messages (account_id, sent_at) values ($1, $2)', [
      id,
      ago(minutes),
    ]);
  }
  for (const [requests, days] of tenant.usage) {
    await client.query('insert into api_usage values ($1, $2, $3)', [
      id,
      ago(days * 1_440),
      requests,
    ]);
  }
}

const ago = (minutes: number): string => new Date(AS_OF.getTime() - minutes * 60_000).toISOString();

export interface DiagnosisRun {
  readonly entries: readonly TenantEntry[];
  readonly summary: DiagnosisSummary;
}

export interface DiagnosisSetup {
  readonly tenant?: Partial<PlanRules['tenant']>;
  readonly hold?: string;
  readonly tables?: PlanRules['tables'];
  readonly diagnosis?: ConfigInput['diagnosis'];
  readonly keep?: readonly string[];
  readonly parts?: Partial<DiagnoseParts>;
}

/** Diagnoses a database as the configuration would have it, at the fixtures' moment. */
export async function runDiagnosis(url: string, setup: DiagnosisSetup = {}): Promise<DiagnosisRun> {
  const applicationName = 'test diagnosis';
  const database = await openDatabase({ url, connectionsMax: 2, applicationName });
  try {
    return await diagnoseDatabase(database, setup);
  } finally {
    await database.close();
  }
}

async function diagnoseDatabase(database: Database, setup: DiagnosisSetup): Promise<DiagnosisRun> {
  const table = setup.tenant?.table ?? 'public.accounts';
  const { diagnosis } = configSchema.parse({
    tenant: { table },
    diagnosis: setup.diagnosis,
  });
  const tenant = { table, key: null, label: null, testColumn: null, columns: [], ...setup.tenant };
  const entries: TenantEntry[] = [];
  const { summary } = await diagnose(
    {
      database,
      rules: { tenant, core: [], tables: setup.tables ?? {}, hold: setup.hold ?? null },
      settings: diagnosis,
      keep: new KeepList(setup.keep ?? []),
      disposableDomains: disposableEmailBlocklist(),
      asOf: AS_OF,
      orphanKeys: null,
      ...setup.parts,
    },
    {
      begin: () => Promise.resolve(),
      tenants: async (page) => {
        entries.push(...page);
      },
    },
  );
  return { entries, summary };
}

export async function withClient<Result>(
  url: string,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
