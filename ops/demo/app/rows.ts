import { DEMO } from './identities.ts';

/** How one table is filled: one statement, run once the tables in `after` are full. */
export interface TableFill {
  readonly table: string;
  readonly after: readonly string[];
  readonly sql: string;
}

/** Data begins here and runs for about 400 days; the clock is never read. */
const EPOCH = "timestamptz '2025-01-06 08:00:00+00'";

/**
 * The statements that fill the application, parents first, big tables early. Every value is derived
 * from the seed: ids are `md5(seed:kind:parent:ordinal)`, so a child computes the ids it refers to
 * without a join; numbers are digits of such ids. Rows lie tenant by tenant. Long, because it is one
 * list of 29 statements.
 */
export function listTableFills({
  seed,
  testTenants,
}: {
  seed: number;
  testTenants: number;
}): TableFill[] {
  const id = (kind: string, parent: string, ordinal: number | string) =>
    `md5('${seed}:${kind}:' || ${parent} || ':' || ${ordinal})::uuid`;
  // Every ninth tenant has 2 agents, every ninth 3, … so that the total hardly depends on the seed.
  const agentCount = `CASE WHEN n <= 0 THEN 6 ELSE 2 + (n * 5 + ${Math.abs(seed % 9)}) % 9 END`;
  const kept = DEMO.kept.map(
    (tenant, index) =>
      `(${index + 1 - DEMO.kept.length}, '${tenant.id}'::uuid, '${tenant.name}', '${tenant.subdomain}',
        '${tenant.contactEmail}', 'enterprise', false, ${tenant.system})`,
  );
  const people = `
    (SELECT t.id, t.subdomain, t.created_at, n, ${agentCount} AS agent_count
     FROM public.tenants t
     CROSS JOIN LATERAL (SELECT (extract(epoch FROM t.created_at - ${EPOCH}) / 18000)::int AS n) ordinal)`;

  return [
    {
      table: 'schema_migrations',
      after: [],
      sql: `
        SELECT to_char(${EPOCH} + i * interval '9 days', 'YYYYMMDDHH24MISS'), ${EPOCH} + i * interval '9 days'
        FROM generate_series(1, 40) i`,
    },
    {
      table: 'plans',
      after: [],
      sql: `
        VALUES ('free', 'Free', 0, array['1 workspace']),
               ('team', 'Team', 49.00, array['3 workspaces', 'integrations']),
               ('enterprise', 'Enterprise', 499.00, array['unlimited', 'integrations', 'audit'])`,
    },
    {
      table: 'tenants',
      after: [],
      sql: `
        SELECT id, name, subdomain, contact_email, plan, test_tenant, system, ${EPOCH} + n * interval '5 hours'
        FROM (
          VALUES ${kept.join(', ')}
          UNION ALL
          SELECT n, md5('${seed}:tenant:' || n)::uuid,
            (array['E2E Signup ', 'QA Regression ', 'Load Test ', 'Demo Sandbox '])[1 + n % 4] || n,
            (array['e2e-', 'qa-', 'load-', 'sandbox-'])[1 + n % 4] || n,
            (array['e2e+', 'qa+', 'load+', 'sandbox+'])[1 + n % 4] || n || '@test.example',
            (array['free', 'free', 'team'])[1 + n % 3], true, false
          FROM generate_series(1, ${testTenants}) n
        ) AS t (n, id, name, subdomain, contact_email, plan, test_tenant, system)
        ORDER BY n`,
    },
    {
      table: 'workspaces',
      after: ['tenants'],
      sql: `
        SELECT ${id('workspace', 't.id', 'i')}, t.id,
          (array['General', 'Support', 'Research'])[i],
          CASE WHEN i < 3 THEN ${id('agent', 't.id', 'i')} END,
          t.created_at + i * interval '2 minutes'
        FROM ${people} t, generate_series(1, ${workspaceCount('t.agent_count')}) i`,
    },
    {
      table: 'agents',
      after: ['tenants'],
      sql: `
        SELECT ${id('agent', 't.id', 'i')}, t.id,
          ${id('workspace', 't.id', `(1 + (i - 1) % (${workspaceCount('t.agent_count')}))`)},
          (array['Scout', 'Clerk', 'Planner', 'Analyst', 'Concierge'])[1 + i % 5] || ' ' || i,
          (array['small-2', 'medium-2', 'large-1'])[1 + i % 3],
          (i % 10) / 10.0,
          jsonb_build_object('tools', jsonb_build_array('search', 'mail'), 'memory', i * 128, 'tone', 'calm'),
          t.created_at + i * interval '11 minutes'
        FROM ${people} t, generate_series(1, t.agent_count) i`,
    },
    {
      table: 'conversations',
      after: ['agents'],
      sql: `
        SELECT ${id('conversation', 'a.id', 'i')}, a.tenant_id, a.workspace_id, a.id,
          (array['Order status', 'Refund', 'Spare parts', 'Opening hours', 'Invoice copy'])[1 + i % 5],
          CASE WHEN i % 3 > 0 THEN '{"channel": "web", "language": "en"}'::jsonb END,
          a.created_at + i * interval '31 hours'
        FROM public.agents a, generate_series(1, 3 + ${number('a.id')} % 3) i`,
    },
    {
      table: 'messages',
      after: ['conversations'],
      sql: `
        SELECT ${id('message', 'c.id', 'i')}, c.tenant_id, c.id,
          CASE WHEN i > 1 AND i % 3 > 0 THEN ${id('message', 'c.id', '(i - 1)')} END,
          (array['agent', 'person'])[1 + i % 2],
          (array['I need a copy of the invoice for my last order, please.',
                 'Certainly. I have found three orders; which of them do you mean?',
                 'The one of Tuesday, with the two hydraulic couplings.',
                 'Here it is. Is there anything else that I can do for you today?'])[1 + i % 4],
          20 + i * 7, c.started_at + i * interval '40 seconds'
        FROM public.conversations c, generate_series(1, 4 + ${number('c.id')} % 3) i`,
    },
    {
      table: 'agent_episodes',
      after: ['agents'],
      sql: `
        SELECT ${id('episode', 'a.id', 'i')}, a.tenant_id, a.id,
          (array['Answer a question', 'Book a visit', 'Draft an offer'])[1 + i % 3],
          (array['reached', 'reached', 'handed over', 'abandoned'])[1 + i % 4],
          3 + i % 11, jsonb_build_object('tokens', i * 211, 'tools', jsonb_build_array('search')),
          a.created_at + i * interval '13 hours'
        FROM public.agents a, generate_series(1, 8 + ${number('a.id')} % 5) i`,
    },
    {
      table: 'agent_metrics',
      after: ['agents'],
      sql: `
        SELECT a.tenant_id, a.id, (array['latency_ms', 'success_rate', 'cost'])[1 + i % 3],
          (${number('a.id')} % 10000) / 7.0 + i, a.created_at + i * interval '6 hours'
        FROM public.agents a, generate_series(1, 8 + ${number('a.id')} % 5) i
        ORDER BY a.created_at, a.id, i`,
    },
    {
      table: 'agent_usage',
      after: ['agents'],
      sql: `
        SELECT a.tenant_id, a.id, a.created_at::date + i, ${number('a.id')} % 90000 + i,
          ${number('a.id')} % 7000 + i, (${number('a.id')} % 9000) / 1000.0
        FROM public.agents a, generate_series(1, 8 + ${number('a.id')} % 5) i
        ORDER BY a.created_at, a.id, i`,
    },
    {
      table: 'usage_records',
      after: ['agents'],
      sql: `
        SELECT a.tenant_id, CASE WHEN i % 4 > 0 THEN a.id END,
          (array['tokens', 'storage', 'requests'])[1 + i % 3],
          (${number('a.id')} % 100000) / 16.0 + i, a.created_at + i * interval '5 hours'
        FROM public.agents a, generate_series(1, 8 + ${number('a.id')} % 5) i
        ORDER BY a.created_at, a.id, i`,
    },
    {
      table: 'agent_feedback',
      after: ['agents'],
      sql: `
        SELECT ${id('feedback', 'a.id', 'i')}, a.tenant_id, a.id, ${id('episode', 'a.id', 'i')}, 1 + i % 5,
          CASE WHEN i % 2 = 0 THEN 'Quick and to the point, but it asked for the order number twice.' END,
          a.created_at + i * interval '13 hours 20 minutes'
        FROM public.agents a, generate_series(1, 5 + ${number('a.id')} % 3) i`,
    },
    {
      table: 'canvas_audits',
      after: ['agents'],
      sql: `
        SELECT ${id('audit', 'a.id', 'i')}, a.tenant_id, a.id, (array['passed', 'warned'])[1 + i % 2],
          jsonb_build_array(jsonb_build_object('rule', 'contrast', 'nodes', i)),
          a.created_at + i * interval '3 days'
        FROM public.agents a, generate_series(1, 1 + ${number('a.id')} % 3) i`,
    },
    {
      table: 'canvas_snapshots',
      after: ['canvas_audits'],
      sql: `
        SELECT c.id, i, decode(repeat(md5(c.id::text || i), 4), 'hex'), c.audited_at + i * interval '1 minute'
        FROM public.canvas_audits c, generate_series(1, 1 + ${number('c.id')} % 3) i
        ORDER BY c.audited_at, c.id, i`,
    },
    {
      table: 'agent_skills',
      after: ['agents'],
      sql: `
        SELECT ${id('skill', 'a.id', 'i')}, a.tenant_id, a.id,
          (array['Summarise', 'Translate', 'Classify', 'Schedule'])[1 + i % 4], 1 + i % 5,
          array['v' || i, 'core']
        FROM public.agents a, generate_series(1, 2 + ${number('a.id')} % 3) i`,
    },
    {
      table: 'canvas_skills',
      after: ['agents'],
      sql: `
        SELECT ${id('canvas-skill', 'a.id', 'i')}, a.tenant_id, ${id('skill', 'a.id', 'i')},
          (array['box', 'diamond'])[i], jsonb_build_object('x', i * 40, 'y', 80, 'w', 160)
        FROM public.agents a, generate_series(1, 1 + ${number('a.id')} % 2) i`,
    },
    {
      table: 'agent_capabilities',
      after: ['agents'],
      sql: `
        SELECT a.tenant_id, a.id, (array['browse', 'mail', 'calendar', 'files'])[i], i % 3 > 0,
          jsonb_build_object('perDay', i * 50)
        FROM public.agents a, generate_series(1, 2 + ${number('a.id')} % 3) i
        ORDER BY a.created_at, a.id, i`,
    },
    {
      table: 'proposals',
      after: ['agents'],
      sql: `
        SELECT ${id('proposal', 'a.id', 1)}, a.tenant_id, a.id, 'Give ' || a.name || ' more memory',
          '{"memory": {"from": 128, "to": 512}}'::jsonb, (array['open', 'accepted'])[1 + ${number('a.id')} % 2],
          a.created_at + interval '8 days'
        FROM public.agents a`,
    },
    {
      table: 'supervisor_assignments',
      after: ['agents'],
      sql: `
        SELECT ${id('supervision', 'a.id', 1)}, a.tenant_id, ${id('agent', 'a.tenant_id', 1)}, a.id,
          a.created_at + interval '1 hour'
        FROM public.agents a WHERE a.id <> ${id('agent', 'a.tenant_id', 1)}`,
    },
    {
      table: 'marketplace_submissions',
      after: ['workspaces'],
      sql: `
        SELECT ${id('submission', 'w.id', 1)}, w.tenant_id, w.default_agent_id, w.name || ' assistant',
          (array['draft', 'listed'])[1 + ${number('w.id')} % 2], 19.90, w.created_at + interval '20 days'
        FROM public.workspaces w WHERE w.default_agent_id IS NOT NULL`,
    },
    {
      table: 'marketplace_reviews',
      after: ['marketplace_submissions'],
      sql: `
        SELECT s.tenant_id, s.id, 2 + i % 4, 'Set up in an afternoon; the second week it paid for itself.',
          s.submitted_at + i * interval '2 days'
        FROM public.marketplace_submissions s, generate_series(1, 1 + ${number('s.id')} % 3) i
        ORDER BY s.submitted_at, s.id, i`,
    },
    {
      table: 'integration_connections',
      after: ['workspaces'],
      sql: `
        SELECT ${id('connection', 'w.id', 'i')}, w.tenant_id, w.id, (array['mail', 'chat', 'crm'])[1 + i % 3],
          array['read', 'write'], w.created_at + i * interval '1 day'
        FROM public.workspaces w, generate_series(1, 1 + ${number('w.id')} % 2) i`,
    },
    {
      table: 'integration_webhooks',
      after: ['integration_connections'],
      sql: `
        SELECT ${id('webhook', 'c.id', 'i')}, c.tenant_id, c.id, 'https://hooks.example/' || md5(c.id::text || i),
          array['created', 'closed'], i = 1
        FROM public.integration_connections c, generate_series(1, 1 + ${number('c.id')} % 3) i`,
    },
    {
      table: 'integration_credentials',
      after: ['integration_connections'],
      sql: `
        SELECT ${id('credential', 'c.id', 1)}, c.tenant_id, c.id, 'oauth2',
          decode(repeat(md5('${seed}:sealed:' || c.id), 2), 'hex'),
          CASE WHEN ${number('c.id')} % 2 = 0 THEN c.connected_at + interval '30 days' END
        FROM public.integration_connections c`,
    },
    {
      table: 'workspace_members',
      after: ['workspaces'],
      sql: `
        SELECT ${id('member', 'w.id', 'i')}, w.tenant_id, w.id, 'person' || i || '@' || left(w.id::text, 8) || '.example',
          (array['owner', 'editor', 'viewer'])[1 + i % 3], w.created_at + i * interval '1 hour'
        FROM public.workspaces w, generate_series(1, 2 + ${number('w.id')} % 3) i`,
    },
    {
      table: 'workspace_invitations',
      after: ['workspaces'],
      sql: `
        SELECT ${id('invitation', 'w.id', 'i')}, w.tenant_id, w.id,
          CASE WHEN i = 1 THEN ${id('member', 'w.id', 1)} END, 'guest' || i || '@' || left(w.id::text, 8) || '.example',
          decode(md5('${seed}:token:' || w.id || i), 'hex'), w.created_at + interval '14 days'
        FROM public.workspaces w, generate_series(1, 1 + ${number('w.id')} % 3) i`,
    },
    {
      table: 'sessions',
      after: ['workspace_members'],
      sql: `
        SELECT ${id('session', 'm.id', 'i')}, m.tenant_id, m.id, '192.0.2.1'::inet + (${number('m.id')} % 200),
          'Mozilla/5.0 (X11; Linux x86_64)', m.joined_at + i * interval '1 day', m.joined_at + i * interval '2 days'
        FROM public.workspace_members m, generate_series(1, 1 + ${number('m.id')} % 3) i`,
    },
    {
      table: 'usage_quotas',
      after: ['tenants'],
      sql: `
        SELECT t.id, (array['tokens', 'storage', 'requests', 'seats'])[i], i * 100000,
          daterange(t.created_at::date, t.created_at::date + 365)
        FROM public.tenants t, generate_series(1, 4) i
        ORDER BY t.created_at, i`,
    },
    {
      table: 'tenant_settings',
      after: ['tenants'],
      sql: `
        SELECT t.id, (array['en', 'de', 'fr'])[1 + ${number('t.id')} % 3], 'Europe/Dublin',
          jsonb_build_object('theme', 'light', 'subdomain', t.subdomain), t.created_at + interval '1 minute'
        FROM public.tenants t`,
    },
  ];
}

/** Two agents fit in one or two workspaces, ten in three; a workspace's default agent always exists. */
function workspaceCount(agentCount: string): string {
  return `CASE WHEN ${agentCount} < 4 THEN 1 WHEN ${agentCount} < 8 THEN 2 ELSE 3 END`;
}

/** A number of 28 bits that only depends on an id, as SQL. */
function number(uuid: string): string {
  return `('x' || left(${uuid}::text, 7))::bit(28)::int`;
}
