import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import type { Draw } from '../draw.ts';
import type { Stage } from '../stage.ts';

const WRITERS = 2;

/**
 * The application goes on writing. Each transaction books in `chaos.written` what it has written, so
 * that the audit knows it also where a COMMIT was cut.
 */
const ROWS: readonly string[] = [
  `with r as (
     insert into app.events (tenant_id, day, pad)
     select $1, date '2025-12-20' + $2::int, 'late ' || $3 || repeat('e', 900)
     returning tableoid::regclass::text as relation)
   insert into chaos.written (relation, owner, rows) select relation, $1, count(*) from r group by 1`,
  `with a as (
     select id from public.agents where tenant_id = $1 order by id desc limit 1),
   c as (
     insert into public.conversations (tenant_id, agent_id, pad)
     select $1, id, 'late ' || $2 || $3 from a returning id),
   m as (
     insert into public.messages (conversation_id, pad) select id, 'late ' || $3 from c returning id)
   insert into chaos.written (relation, owner, rows)
   select 'public.conversations', $1, count(*) from c
   union all select 'public.messages', $1, count(*) from m`,
  `with w as (
     insert into public.workspaces (tenant_id, pad) values ($1, 'late ' || $2 || $3) returning id),
   a as (
     insert into public.agents (tenant_id, workspace_id, pad)
     select $1, id, 'late ' || $3 from w returning id)
   insert into chaos.written (relation, owner, rows)
   select 'public.workspaces', $1, count(*) from w
   union all select 'public.agents', $1, count(*) from a`,
];

/** Writes rows of every tenant, doomed or kept, for some seconds. */
export async function writeRows(stage: Stage, draw: Draw): Promise<void> {
  const forMs = draw.whole(1_000, 3_000);
  const pauseMs = draw.whole(15, 60);
  stage.note(`${WRITERS} writers for ${forMs} ms, a row every ${pauseMs} ms each`);
  const until = performance.now() + forMs;
  const written = await Promise.all(
    Array.from({ length: WRITERS }, () => write(stage, draw, { until, pauseMs })),
  );
  stage.note(`writers end: ${written.reduce((sum, one) => sum + one, 0)} transactions`);
}

async function write(
  stage: Stage,
  draw: Draw,
  limits: { readonly until: number; readonly pauseMs: number },
): Promise<number> {
  const [first, ...rest] = stage.plan.tenants;
  const [firstRow, ...otherRows] = ROWS;
  if (first === undefined || firstRow === undefined) return 0;
  let client: Client | null = null;
  let written = 0;
  while (performance.now() < limits.until) {
    try {
      client ??= await connect(stage.databaseUrl);
      const { id } = draw.pick([first, ...rest]);
      await client.query(draw.pick([firstRow, ...otherRows]), [id, draw.whole(0, 60), 'x']);
      written += 1;
    } catch (error) {
      // The tenant is gone (23503), or a lock or the server was: the application shrugs.
      if (!/^(23|40|55)/.test(String((error as { code?: unknown }).code))) {
        await client?.end().catch(() => undefined);
        client = null;
      }
    }
    await pause(limits.pauseMs);
  }
  await client?.end().catch(() => undefined);
  return written;
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: 'the application' });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
