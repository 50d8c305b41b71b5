import { Client } from 'pg';
import { it } from 'vitest';
import { asTenantId } from '../../src/domain/ids.ts';
import { deleteSteps } from '../../src/domain/plan.ts';
import { makePlan } from '../../src/planner/make-plan.ts';
import { readCatalogue } from '../../src/postgres/catalogue-reader.ts';
import { readReferences } from '../../src/postgres/reference-reader.ts';
import { countPerTenant } from '../../src/postgres/row-counts.ts';
import { createDatabase } from '../support/postgres.ts';

it('perf', async () => {
  const db = await createDatabase({ name: 'perf' });
  const client = new Client({ connectionString: db.url });
  await client.connect();
  await client.query(`
  create table tenants (id uuid primary key default gen_random_uuid(), n int);
  insert into tenants (n) select n from generate_series(1,2000) n;
  create table agents (id bigint primary key, tenant_id uuid not null references tenants, pad text);
  insert into agents select g, t.id, repeat('x', 100) from generate_series(1,200000) g join tenants t on t.n = 1 + case when g % 2 = 0 then 0 else g % 2000 end;
  create index on agents (tenant_id);
  create table conversations (id bigint primary key, tenant_id uuid not null references tenants, agent_id bigint not null references agents on delete cascade, pad text);
  insert into conversations select g, a.tenant_id, a.id, repeat('y', 100) from generate_series(1,1000000) g join agents a on a.id = 1 + g % 200000;
  create index on conversations (tenant_id); create index on conversations (agent_id);
  create table files (id bigint primary key, tenant_id uuid references tenants, agent_id bigint references agents, pad text);
  insert into files select g, case when g % 10 = 0 then null else a.tenant_id end, a.id, repeat('y', 100) from generate_series(1,1000000) g join agents a on a.id = 1 + g % 200000;
  create index on files (tenant_id); create index on files (agent_id);
  `);
  await client.query('vacuum analyze');
  const rules = { tenant: { table: 'public.tenants', key: null, label: null, testColumn: null, columns: [] }, core: [], tables: {'public.files': {ownedBy: ['tenant_id','agent_id']}} };
  const plan = makePlan(await readCatalogue(client), rules);
  const ids = (await client.query('select id from tenants order by n')).rows.map((r) => asTenantId(r.id));
  const real = client.query.bind(client);
  const spy = { query: async (sql: string, values?: unknown[]) => {
    const t = performance.now(); const r = await real(sql, values as never); const ms = performance.now() - t;
    if (sql.includes('total') || sql.includes('count(')) {
      const e = (await real('explain (costs off) ' + sql)).rows.map((x) => x['QUERY PLAN']).join('\n').replaceAll(/'\{[^']{100,}'/g, "'…'").replaceAll(/\{[0-9a-f-]{36},[^}]*\}/g,'{…}');
      console.log(ms.toFixed(1) + ' ms  ' + sql.replaceAll(/\s+/g, ' ').slice(0, 500) + '\n' + e.split('\n').slice(0,22).join('\n'));
    }
    return r; } } as unknown as Client;
  for (const [name, who] of [['small', ids.slice(8, 9)], ['whale', ids.slice(0, 1)], ['1845', ids.slice(100, 1945)]] as const) {
    for (const crossings of [false, true]) {
      const t = performance.now();
      await readReferences(name === 'whale' || crossings ? (client as never) : spy, plan, who, { crossings });
      console.log(`### ${name} references crossings=${crossings}: ${(performance.now() - t).toFixed(0)} ms (with explain output unless crossings)`);
    }
    for (const step of deleteSteps(plan)) {
      const t = performance.now();
      await countPerTenant(client, step, who);
      console.log(`### ${name} count ${step.table}: ${(performance.now() - t).toFixed(0)} ms`);
    }
  }
  await client.end(); await db.drop();
}, 300000);
