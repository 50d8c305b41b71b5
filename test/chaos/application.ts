import type { Redis } from 'ioredis';
import { Client } from 'pg';
import { addTenant, createSmallApplication } from '../support/small-application.ts';

/** A tenant of a round's application. */
export interface ChaosTenant {
  readonly id: string;
  /** Of each of the larger tables; six times as many in all. */
  readonly rows: number;
  readonly kept: boolean;
}

/** A table of the application, and whose its rows are: what the audit knows by itself. */
export interface ChaosTable {
  /** Where the rows lie: a table or a leaf. */
  readonly relation: string;
  /** The table that the ledger names. */
  readonly ledgerName: string;
  /** SQL over `t`; null for rows of nobody. */
  readonly owner: string | null;
  /** SQL over `t`: true for a row that was written while the round ran. */
  readonly isLate: string;
}

const LATE = "left(t.pad, 5) = 'late '";
const table = (relation: string, owner: string | null, options: Partial<ChaosTable> = {}) => ({
  relation,
  ledgerName: relation,
  owner,
  isLate: 'false',
  ...options,
});

export const CHAOS_TABLES: readonly ChaosTable[] = [
  table('public.tenants', 't.id'),
  table('public.countries', null),
  table('public.workspaces', 't.tenant_id', { isLate: LATE }),
  table('public.agents', 't.tenant_id', { isLate: LATE }),
  table('public.conversations', 't.tenant_id', { isLate: LATE }),
  table(
    'public.messages',
    '(select c.tenant_id from public.conversations c where c.id = t.conversation_id)',
    { isLate: LATE },
  ),
  table('public.settings', 't.tenant_id'),
  table('app.events_2025', 't.tenant_id', { ledgerName: 'app.events', isLate: LATE }),
  table('app.events_2026', 't.tenant_id', { ledgerName: 'app.events', isLate: LATE }),
  table('public.documents', 't.tenant_id'),
  table('public.document_versions', 't.tenant_id'),
  table('public.audit_log', 't.tenant_id'),
  table('public.notices', null),
];

/** What the small application lacks: a composite key, a tenant column without key, rows of nobody. */
const MORE = `
create table public.documents (
  tenant_id text not null references public.tenants,
  number int not null,
  title text not null,
  primary key (tenant_id, number)
);
create table public.document_versions (
  tenant_id text not null,
  document int not null,
  version int not null,
  body text not null,
  primary key (tenant_id, document, version),
  foreign key (tenant_id, document) references public.documents
);
create table public.audit_log (
  id bigint generated always as identity primary key,
  tenant_id text,
  line text not null
);
create index on public.audit_log (tenant_id);
create table public.notices (id int primary key, line text not null);
insert into public.notices select n, repeat('n', n) from generate_series(1, 50) n;
insert into public.audit_log (tenant_id, line) select null, 'of nobody' from generate_series(1, 20);

-- What the writers of a round say they committed, in the same transaction as the rows.
create schema chaos;
create table chaos.written (
  at timestamptz not null default clock_timestamp(),
  relation text not null,
  owner text not null,
  rows int not null
);
`;

/** Whether the key is one of this tenant's. */
export const isKeyOf = (tenantId: string, key: string): boolean =>
  key === `ratelimit:${tenantId}` || key.startsWith(`tenant:${tenantId}:`);

/** Builds the application in an empty database: one of everything that a purge meets. */
export async function buildApplication(
  url: string,
  tenants: readonly ChaosTenant[],
): Promise<void> {
  await createSmallApplication(url);
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(MORE);
    for (const { id, rows } of tenants) {
      await addTenant(client, id, rows);
      // Each conversation's second message answers the first: rows that refer to their own table.
      await client.query(
        `update public.messages m set reply_to_id = p.id
         from public.messages p join public.conversations c on c.id = p.conversation_id
         where c.tenant_id = $1 and m.conversation_id = c.id and p.id < m.id`,
        [id],
      );
      await client.query(
        `with d as (
           insert into public.documents select $1, n, 'a document' from generate_series(1, $2::int) n
           returning number),
         a as (
           insert into public.audit_log (tenant_id, line)
           select $1, 'line ' || n from generate_series(1, $2::int) n)
         insert into public.document_versions select $1, number, v, repeat('b', 90)
         from d cross join generate_series(1, 2) v`,
        [id, Math.ceil(rows / 3)],
      );
    }
    await client.query('analyze');
  } finally {
    await client.end();
  }
}

/** Keys of each tenant, and of nobody; those of kept tenants can be written again, byte by byte. */
export async function writeKeys(redis: Redis, tenants: readonly ChaosTenant[]): Promise<void> {
  const pipeline = redis.pipeline();
  for (const { id, rows } of tenants) {
    for (let key = 0; key < 5 + rows / 4; key += 1) {
      pipeline.set(`tenant:${id}:thing:${key}`, `value ${key} of ${id}`);
    }
    pipeline.del(`tenant:${id}:set`).sadd(`tenant:${id}:set`, '1');
    pipeline.set(`ratelimit:${id}`, '17');
  }
  for (const key of ['session:abc', 'tenant:', 'tenants:count', 'tenant:nobody:x', 'ratelimit:']) {
    pipeline.set(key, `of nobody: ${key}`);
  }
  await pipeline.exec();
}
