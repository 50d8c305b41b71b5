import { Client } from 'pg';

export const TENANTS = 8;
const MESSAGES = 250_000;
/** Messages of one conversation. */
const MESSAGES_EACH = 50;

export const STOP_CONFIG = {
  tenant: { table: 'public.tenants', key: 'id', label: 'name' },
} as const;

export const tenantId = (index: number): string =>
  `5f3c8a52-0d0e-4a8e-9c55-${String(index + 1).padStart(12, '0')}`;

export async function createTenants(url: string): Promise<void> {
  await withClient(url, [
    `create table tenants (id uuid primary key, name text not null);
     create table conversations (id bigint not null, tenant_id uuid not null, title text not null);
     create table messages (id bigint not null, conversation_id bigint not null, body text not null)`,
  ]);
}

/** Eight tenants of one size, each large enough to be stopped in mid-run. Everything follows from numbers. */
export async function fillTenants(url: string, scale: number): Promise<void> {
  const messages = Math.max(1_000, Math.round(MESSAGES * scale));
  const conversations = Math.ceil(messages / MESSAGES_EACH);
  const ids = Array.from(
    { length: TENANTS },
    (_, index) => `('${tenantId(index)}'::uuid, ${index})`,
  );
  await withClient(url, [
    `set synchronous_commit = off`,
    `insert into tenants select id, 'Tenant ' || n from (values ${ids.join(', ')}) t (id, n)`,
    `insert into conversations select t.n * ${conversations} + c, t.id, 'Conversation ' || c
     from (values ${ids.join(', ')}) t (id, n), generate_series(0, ${conversations - 1}) c`,
    `insert into messages select m, m / ${MESSAGES_EACH}, repeat(md5(m::text), 5)
     from generate_series(0, ${conversations * MESSAGES_EACH * TENANTS - 1}::bigint) m`,
    `alter table conversations add primary key (id),
       add foreign key (tenant_id) references tenants`,
    `create index on conversations (tenant_id)`,
    `alter table messages add primary key (id),
       add foreign key (conversation_id) references conversations`,
    `create index on messages (conversation_id)`,
  ]);
}

async function withClient(url: string, statements: readonly string[]): Promise<void> {
  const client = new Client(url);
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}
