import { Client } from 'pg';

/**
 * A small application with one of everything a purge meets: a cycle of two tables, a self reference,
 * a cascade, a table without tenant column, a partitioned table in a schema of its own, a table of
 * nobody. Rows are wide, four to a block, so that a small tenant has many batches.
 */
const SCHEMA = `
create schema app;
create table public.tenants (id text primary key, name text not null);
create table public.countries (code text primary key);
create table public.workspaces (
  id bigint generated always as identity primary key,
  tenant_id text not null references public.tenants,
  default_agent_id bigint,
  pad text not null
);
create table public.agents (
  id bigint generated always as identity primary key,
  tenant_id text not null references public.tenants,
  workspace_id bigint not null references public.workspaces,
  pad text not null
);
alter table public.workspaces add foreign key (default_agent_id) references public.agents;
create table public.conversations (
  id bigint generated always as identity primary key,
  tenant_id text not null references public.tenants,
  agent_id bigint not null references public.agents on delete cascade,
  pad text not null
);
create table public.messages (
  id bigint generated always as identity primary key,
  conversation_id bigint not null references public.conversations on delete cascade,
  reply_to_id bigint references public.messages,
  pad text not null
);
create table public.settings (
  tenant_id text primary key references public.tenants on delete cascade,
  country text references public.countries
);
create table app.events (
  tenant_id text not null references public.tenants,
  day date not null,
  pad text not null
) partition by range (day);
create table app.events_2025 partition of app.events for values from ('2025-01-01') to ('2026-01-01');
create table app.events_2026 (pad text not null, day date not null, tenant_id text not null);
alter table app.events attach partition app.events_2026 for values from ('2026-01-01') to ('2027-01-01');
alter table public.workspaces alter pad set storage plain;
alter table public.agents alter pad set storage plain;
alter table public.conversations alter pad set storage plain;
alter table public.messages alter pad set storage plain;
alter table app.events_2025 alter pad set storage plain;
alter table app.events_2026 alter pad set storage plain;
create index on public.workspaces (tenant_id);
create index on public.workspaces (default_agent_id);
create index on public.agents (tenant_id);
create index on public.agents (workspace_id);
create index on public.conversations (tenant_id);
create index on public.conversations (agent_id);
create index on public.messages (conversation_id);
create index on public.messages (reply_to_id);
create index on app.events (tenant_id);
insert into public.countries values ('DE'), ('FR');
`;

/**
 * Creates the application's tables in an empty database.
 * @param tenants tenants to add, in this order, each with its rows as `addTenant` takes them
 */
export async function createSmallApplication(
  url: string,
  tenants: Readonly<Record<string, number>> = {},
): Promise<void> {
  await withClient(url, async (client) => {
    await client.query(SCHEMA);
    for (const [id, rows] of Object.entries(tenants)) await addTenant(client, id, rows);
  });
}

/** Adds a tenant: `rows` workspaces, agents, conversations and events, and twice as many messages. */
export async function addTenant(client: Client | string, id: string, rows: number): Promise<void> {
  if (typeof client === 'string') {
    await withClient(client, (connected) => addTenant(connected, id, rows));
    return;
  }
  const pad = "repeat('x', 1900)";
  await client.query('insert into public.tenants values ($1, $2)', [id, `Tenant ${id}`]);
  await client.query("insert into public.settings values ($1, 'DE')", [id]);
  await client.query(
    `with w as (
       insert into public.workspaces (tenant_id, pad) select $1, ${pad} from generate_series(1, $2::int)
       returning id),
     a as (
       insert into public.agents (tenant_id, workspace_id, pad) select $1, id, ${pad} from w returning id),
     c as (
       insert into public.conversations (tenant_id, agent_id, pad) select $1, id, ${pad} from a returning id)
     insert into public.messages (conversation_id, pad)
     select c.id, ${pad} from c cross join generate_series(1, 2)`,
    [id, rows],
  );
  await client.query(
    `update public.messages m set reply_to_id = m.id - 1 from public.conversations c
     where c.id = m.conversation_id and c.tenant_id = $1
       and exists (select from public.messages p where p.id = m.id - 1 and p.conversation_id = c.id)`,
    [id],
  );
  await client.query(
    `update public.workspaces w set default_agent_id = a.id from public.agents a
     where a.workspace_id = w.id and w.tenant_id = $1`,
    [id],
  );
  await client.query(
    `insert into app.events (tenant_id, day, pad)
     select $1, date '2025-12-01' + (n % 62), ${pad} from generate_series(1, $2::int) n`,
    [id, rows],
  );
}

async function withClient(url: string, work: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
