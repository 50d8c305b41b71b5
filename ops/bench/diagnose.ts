import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import type { ConfigInput } from '../../src/config/schema.ts';
import type { DiagnoseFigures } from './diagnose-process.ts';
import { median, round } from './measure.ts';
import { count, say } from './progress.ts';
import type { Servers } from './servers.ts';

const RUNS = 3;
/** At scale 1: 100,000 tenants and 10 million rows. */
const TENANTS = 100_000;
/** Every tenth tenant is a test; these are what diagnosis must find. */
const TEST_EVERY = 10;
const SECONDS_WANTED = 30;
/** Twice the tenants may take so much more memory: pages, not tenants, are what it holds. */
const GROWTH_MIB_WANTED = 32;
const SMALL = 0.5;
/** What is held must fit; without a bound the heap grows with garbage, by as much as it is let. */
const HEAP_MIB = 96;
const POLL_MS = 200;

/** What a diagnosis costs; there is no plain way to compare it with. */
export interface DiagnoseReport {
  readonly kind: 'diagnose';
  /** Median. */
  readonly seconds: number;
  readonly wantedSeconds: number;
  readonly met: boolean;
  readonly runs: readonly number[];
  readonly tenants: number;
  readonly rows: number;
  readonly databaseMib: number;
  readonly reportMib: number;
  /** Medians: of the process, and of its PostgreSQL backend (null where it runs elsewhere). */
  readonly cpuSeconds: number;
  readonly postgresCpuSeconds: number | null;
  /** Of the last minute, when it ended: on a busy machine seconds say little. */
  readonly loadAverage: number;
  /** Peak of the process, and before it began. */
  readonly rssMib: number;
  readonly rssBeforeMib: number;
  /** Peak with half of the tenants. */
  readonly rssSmallMib: number;
  readonly wantedGrowthMib: number;
}

/** Diagnoses half of the data, then all of it, each run in a process of its own. */
export async function benchDiagnose(servers: Servers, scale: number): Promise<DiagnoseReport> {
  const small = await measure(servers, Math.round(TENANTS * scale * SMALL), 1);
  const large = await measure(servers, Math.round(TENANTS * scale), RUNS);
  const seconds = median(large.figures.map((one) => one.seconds));
  const rssMib = peakMib(large.figures);
  const rssSmallMib = peakMib(small.figures);
  return {
    kind: 'diagnose',
    seconds: round(seconds, 2),
    wantedSeconds: SECONDS_WANTED,
    met: seconds <= SECONDS_WANTED && rssMib - rssSmallMib <= GROWTH_MIB_WANTED,
    runs: large.figures.map((one) => round(one.seconds, 2)),
    tenants: large.tenants,
    rows: large.rows,
    databaseMib: large.databaseMib,
    reportMib: large.reportMib,
    cpuSeconds: round(median(large.figures.map((one) => one.cpuSeconds)), 2),
    postgresCpuSeconds: medianOrNull(large.figures.map((one) => one.postgresCpuSeconds)),
    loadAverage: round(loadavg()[0] ?? 0, 1),
    rssMib,
    rssBeforeMib: round((large.figures[0]?.rssBeforeKib ?? 0) / 1_024, 0),
    rssSmallMib,
    wantedGrowthMib: GROWTH_MIB_WANTED,
  };
}

const medianOrNull = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : round(median(known), 2);
};

const peakMib = (figures: readonly DiagnoseFigures[]): number =>
  round(Math.max(...figures.map((one) => one.rssPeakKib)) / 1_024, 0);

async function measure(servers: Servers, tenants: number, runs: number) {
  const folder = await mkdtemp(join(tmpdir(), 'bench-diagnose-'));
  try {
    const template = await servers.template((url) => fill(url, tenants));
    try {
      return await template.withCopy(async (url) => {
        const { rows, databaseMib } = await sizeOf(url);
        say(`diagnose: ${count(tenants)} tenants, ${count(rows)} rows, ${count(databaseMib)} MiB`);
        const figures: Figures[] = [];
        for (let run = 1; run <= runs; run += 1) {
          const one = await runOnce(folder, url, servers.redisUrl);
          check(one, tenants);
          say(
            `diagnose ${run}: ${round(one.seconds, 2)} s, ${round(one.rssPeakKib / 1_024, 0)} MiB`,
          );
          figures.push(one);
        }
        const report = await stat(join(folder, 'report.json'));
        return { tenants, rows, databaseMib, figures, reportMib: round(report.size / 2 ** 20, 1) };
      });
    } finally {
      await template.drop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A figure of a diagnosis that found something else is no figure. */
function check(figures: DiagnoseFigures, tenants: number): void {
  const wanted = { tenants, purge: Math.floor(tenants / TEST_EVERY) };
  if (figures.tenants !== wanted.tenants || figures.purge !== wanted.purge) {
    throw new Error(
      `It found ${figures.purge} test tenants of ${figures.tenants}, and there are ${wanted.purge} of ${wanted.tenants}.`,
    );
  }
  if (figures.danglingRows === 0) throw new Error('It found no dangling rows, and there are some.');
}

const CONFIG: ConfigInput = {
  tenant: { table: 'public.tenants', columns: ['tenant_id'] },
  diagnosis: {
    emailColumns: ['contact_email', 'public.users.email'],
    usage: { table: 'public.api_usage', requestsColumn: 'requests', atColumn: 'day' },
    statementTimeoutMs: 600_000,
  },
};

interface Figures extends DiagnoseFigures {
  readonly postgresCpuSeconds: number | null;
}

async function runOnce(folder: string, url: string, redisUrl: string): Promise<Figures> {
  const configFile = join(folder, 'purge.config.json');
  await writeFile(configFile, JSON.stringify(CONFIG));
  const child = fork(
    fileURLToPath(new URL('./diagnose-process.ts', import.meta.url)),
    [configFile, join(folder, 'report.json')],
    {
      execArgv: [`--max-old-space-size=${HEAP_MIB}`, '--import', 'tsx'],
      env: { ...process.env, DATABASE_URL: url, REDIS_URL: redisUrl, ENVIRONMENT: 'test' },
    },
  );
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`The diagnosis ended with ${String(code)} and no figures.`);
  });
  const watch = watchBackend(url);
  try {
    const [figures] = await Promise.race([once(child, 'message'), ended]);
    return { ...figures, postgresCpuSeconds: await watch.stop() };
  } finally {
    ended.catch(() => undefined);
    await watch.stop();
  }
}

/** Clock ticks of Linux, which are the same on every machine of today. */
const TICKS_PER_SECOND = 100;

/** CPU of the diagnosis's backend as Linux last told it; null where the server is on another machine. */
function watchBackend(url: string): { stop(): Promise<number | null> } {
  const over = new AbortController();
  let seconds: number | null = null;
  const watching = withClient(url, async (client) => {
    while (!over.signal.aborted) {
      const { rows } = await client.query(
        "select pid from pg_stat_activity where application_name = 'tenant-purge diagnose' and state <> 'idle'",
      );
      for (const { pid } of rows) {
        const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
        // Behind the name in parentheses: state, then fields 4 to …; 14 and 15 are user and system time.
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const ticks = Number(fields[11]) + Number(fields[12]);
        if (ticks > 0) seconds = ticks / TICKS_PER_SECOND;
      }
      await pause(POLL_MS);
    }
  });
  return {
    stop: async () => {
      over.abort();
      await watching;
      return seconds;
    },
  };
}

async function sizeOf(url: string): Promise<{ rows: number; databaseMib: number }> {
  return withClient(url, async (client) => {
    const { rows } = await client.query(
      `select (select sum(reltuples)::bigint from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace) as rows,
         pg_database_size(current_database()) / 1048576 as mib`,
    );
    return { rows: Number(rows[0].rows), databaseMib: Number(rows[0].mib) };
  });
}

/**
 * A hundred rows a tenant, in six tables: users, agents, messages, usage, and events without a foreign
 * key, some of which belong to nobody. Rows lie as they were written, tenants mixed. Test tenants are
 * flagged, numbered, at a reserved domain, and were last in use two years ago.
 */
const STATEMENTS = [
  `create table tenants (id uuid primary key, name text not null, subdomain text not null,
     contact_email text not null, is_test boolean not null, created_at timestamptz not null, created_ip inet not null)`,
  'create table users (id bigint, tenant_id uuid not null, email text not null, created_at timestamptz not null)',
  'create table agents (id bigint, tenant_id uuid not null, name text not null, created_at timestamptz not null)',
  'create table messages (id bigint, tenant_id uuid not null, body text not null, sent_at timestamptz not null)',
  'create table api_usage (tenant_id uuid not null, day date not null, requests bigint not null)',
  'create table events (tenant_id uuid not null, kind text not null, payload jsonb not null, occurred_at timestamptz not null)',
];

/** Rows of a tenant; with the tenant itself a hundred. */
const ROWS = { users: 5, agents: 2, messages: 57, usage: 10, events: 25 } as const;

const id = (n: string): string => `md5('tenant:' || ${n})::uuid`;
/** Test tenants stopped two years ago; the others were here within the last month. */
const moment = (n: string, i: string): string =>
  `now() - case when ${n} % ${TEST_EVERY} = 0 then interval '730 days' else interval '0 days' end - (${i} % 300) * interval '8 hours'`;

async function fill(url: string, tenants: number): Promise<void> {
  await withClient(url, async (client) => {
    await client.query('set synchronous_commit = off');
    for (const statement of STATEMENTS) await client.query(statement);
    await client.query(
      `insert into tenants select ${id('n')},
         case when n % ${TEST_EVERY} = 0 then 'Signup Test ' || n else initcap(translate(md5(n::text), '0123456789', 'ghijklmnop')) || ' Ltd' end,
         'host-' || n, case when n % ${TEST_EVERY} = 0 then 'qa@test.example' else 'it@host-' || n || '.de' end,
         n % ${TEST_EVERY} = 0, now() - interval '900 days' - (${tenants} - n) * interval '7 minutes',
         ('10.' || n / 65536 || '.' || n / 256 % 256 || '.' || n % 256)::inet
       from generate_series(1, ${tenants}) n`,
    );
    const each = (rows: number): string =>
      `generate_series(1, ${rows}) i, generate_series(1, ${tenants}) n`;
    await client.query(
      `insert into users select n * 10 + i, ${id('n')}, 'person' || i || '@host-' || n || '.de', ${moment('n', 'i')} from ${each(ROWS.users)}`,
    );
    await client.query(
      `insert into agents select n * 10 + i, ${id('n')}, 'Agent ' || i, ${moment('n', 'i')} from ${each(ROWS.agents)}`,
    );
    await client.query(
      `insert into messages select n * 100 + i, ${id('n')}, repeat(md5(i::text), 3), ${moment('n', 'i')} from ${each(ROWS.messages)}`,
    );
    await client.query(
      `insert into api_usage select ${id('n')}, (${moment('n', 'i')})::date, 100 + n % 50 from ${each(ROWS.usage)}`,
    );
    await client.query(
      `insert into events select case when n % 1000 = 1 and i = 1 then md5('gone:' || n)::uuid else ${id('n')} end,
         'opened', jsonb_build_object('page', i, 'agent', md5(n::text)), ${moment('n', 'i')} from ${each(ROWS.events)}`,
    );
    for (const table of ['users', 'agents', 'messages', 'api_usage']) {
      await client.query(`alter table ${table} add foreign key (tenant_id) references tenants`);
    }
  });
}

async function withClient<Result>(
  url: string,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const client = new Client(url);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** For people; a line without the last newline. */
export const describeDiagnoseReport = (report: DiagnoseReport): string =>
  `diagnose: ${report.seconds} s (wanted ≤ ${report.wantedSeconds} s), peak ${report.rssMib} MiB with ` +
  `${count(report.tenants)} tenants and ${report.rssSmallMib} MiB with half (wanted ≤ ${report.wantedGrowthMib} MiB more): ` +
  `${report.met ? 'met' : 'MISSED'}; CPU ${report.cpuSeconds} s + PostgreSQL ${report.postgresCpuSeconds ?? '?'} s, load ${report.loadAverage}; ${count(report.rows)} rows, ${count(report.databaseMib)} MiB, report ${report.reportMib} MiB`;
