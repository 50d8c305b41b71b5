import { readFile } from 'node:fs/promises';
import { Client, type Pool, type QueryResult } from 'pg';
import type { ConfigInput } from '../../src/config/schema.ts';
import { type DemoSize, listTestTenantIds, seedApplication, seedRedis } from '../demo/app/seed.ts';
import { withArchiveFolder } from './archive-folder.ts';
import {
  enqueue,
  environmentOf,
  type Place,
  prepare,
  readPlainStatements,
  waitUntilCompleted,
  withActor,
} from './campaign.ts';
import { startFleet } from './fleet.ts';
import { alternate, type Comparison, compare, round, timed } from './measure.ts';
import { deletePlainly } from './plain-delete.ts';
import { count, say } from './progress.ts';
import type { Servers } from './servers.ts';
import type { TemplateDatabase } from './template-database.ts';

const WANTED = { plain: 0.67, archived: 0.5 } as const;
const WORKERS = 2;
/** The classic script commits after so many tenants. */
const TENANTS_PER_COMMIT = 10;

interface ManyReport extends Comparison {
  readonly tenants: number;
  readonly rowsDeleted: number;
  readonly redisKeysDeleted: number;
  /** Plan, counts of every tenant, ledger and jobs; before the first claim, not part of `ours`. */
  readonly enqueueSec: number;
  /** From the first claim to the last commit of rows; the rest of `ours` is Redis and the seal. */
  readonly rowsSec: number;
  readonly workers: readonly { readonly cpuSec: number; readonly rssMaxMib: number }[];
}

interface OurRun {
  readonly seconds: number;
  readonly rowsSec: number;
  readonly enqueueSec: number;
  readonly rows: number;
  readonly keys: number;
  readonly workers: ManyReport['workers'];
}

/**
 * The demo application's test tenants: two worker processes, Redis keys swept too, against the
 * script that people write: tenant by tenant, table by table, on one session.
 */
export async function benchMany(
  servers: Servers,
  size: DemoSize,
  { archive = false }: { readonly archive?: boolean } = {},
): Promise<ManyReport> {
  const config: ConfigInput = JSON.parse(
    await readFile(new URL('../demo/purge.config.json', import.meta.url), 'utf8'),
  );
  const tenantIds = listTestTenantIds(size);
  say('many: filling the template');
  const template = await servers.template(async (url) => {
    const seeded = await seedApplication(url, size);
    say(`many: ${count(seeded.rows)} rows of ${count(seeded.tenants)} tenants`);
  });
  try {
    const runs = await alternate({
      plain: (run) => runPlain(servers, template, { config, tenantIds, run }),
      ours: (run) => runOurs(servers, template, { config, tenantIds, size, run, archive }),
    });
    const rows = new Set([...runs.plain, ...runs.ours].map((run) => run.rows));
    if (rows.size !== 1 || rows.has(0)) {
      throw new Error(`The sides deleted different numbers of rows: ${[...rows].join(', ')}.`);
    }
    const last = runs.ours.at(-1);
    return {
      ...compare(
        { ours: secondsOf(runs.ours), plain: secondsOf(runs.plain) },
        WANTED[archive ? 'archived' : 'plain'],
      ),
      tenants: tenantIds.length,
      rowsDeleted: last?.rows ?? 0,
      redisKeysDeleted: last?.keys ?? 0,
      enqueueSec: last?.enqueueSec ?? 0,
      rowsSec: last?.rowsSec ?? 0,
      workers: last?.workers ?? [],
    };
  } finally {
    await template.drop();
  }
}

interface ManyRun {
  readonly config: ConfigInput;
  readonly tenantIds: readonly string[];
  readonly run: number;
}

async function runPlain(
  servers: Servers,
  template: TemplateDatabase,
  { config, tenantIds, run }: ManyRun,
): Promise<{ readonly seconds: number; readonly rows: number }> {
  return template.withCopy(async (databaseUrl) => {
    const client = new Client(databaseUrl);
    await client.connect();
    try {
      const place = { databaseUrl, redisUrl: servers.redisUrl };
      const statements = await readPlainStatements(client, config, place);
      const { seconds, result: rows } = await timed(async () => {
        let deleted = 0;
        for (let start = 0; start < tenantIds.length; start += TENANTS_PER_COMMIT) {
          await client.query('begin');
          for (const tenantId of tenantIds.slice(start, start + TENANTS_PER_COMMIT)) {
            deleted += await deletePlainly(client, statements, tenantId);
          }
          await client.query('commit');
        }
        return deleted;
      });
      await requireGone(client, tenantIds);
      say(`many ${run}: plain ${seconds.toFixed(2)} s, ${count(rows)} rows`);
      return { seconds, rows };
    } finally {
      await client.end();
    }
  });
}

type OurOptions = ManyRun & { readonly size: DemoSize; readonly archive: boolean };

const runOurs = (
  servers: Servers,
  template: TemplateDatabase,
  options: OurOptions,
): Promise<OurRun> =>
  withArchiveFolder((dir) => {
    const config = { ...options.config, archive: { dir } };
    return purgeMany(servers, template, { ...options, config });
  });

async function purgeMany(
  servers: Servers,
  template: TemplateDatabase,
  { config, tenantIds, run, size, archive }: OurOptions,
): Promise<OurRun> {
  return template.withCopy((databaseUrl) =>
    servers.withEmptyRedis(async () => {
      await seedRedis(servers.redisUrl, size);
      const place: Place = { databaseUrl, redisUrl: servers.redisUrl };
      return withActor(place, config, async (actor) => {
        const fleet = await startFleet({ processes: WORKERS, config, env: environmentOf(place) });
        try {
          const idle = fleet.usage();
          const { seconds: enqueueSec, result: campaign } = await timed(async () =>
            enqueue(actor, await prepare(actor, { kind: 'all-except', ids: [] }), archive),
          );
          await waitUntilCompleted(actor, campaign.campaignId);
          const workers = fleet.usage().map(({ cpuSec, rssMaxMib }, index) => ({
            cpuSec: round(cpuSec - (idle[index]?.cpuSec ?? 0), 2),
            rssMaxMib,
          }));
          const { rows } = await actor.database.pool.query(LEDGER_FIGURES);
          const figures: Pick<OurRun, 'seconds' | 'rowsSec' | 'rows' | 'keys'> = rows[0];
          await requireGone(actor.database.pool, tenantIds);
          say(
            `many ${run}: ours  ${figures.seconds.toFixed(2)} s, ${count(figures.rows)} rows ` +
              `(${figures.rowsSec.toFixed(2)} s), ${count(figures.keys)} keys; enqueued in ${enqueueSec.toFixed(2)} s; ` +
              `CPU of the workers ${workers.map(({ cpuSec }) => `${cpuSec} s`).join(', ')}`,
          );
          return { ...figures, enqueueSec: round(enqueueSec, 2), workers };
        } finally {
          await fleet.stop();
        }
      });
    }),
  );
}

const LEDGER_FIGURES = `
  select extract(epoch from p.ended - p.started)::float8 as seconds,
         extract(epoch from b.rows_at - p.started)::float8 as "rowsSec",
         b.rows::float8 as rows, b.keys::float8 as keys
  from (select max(ended_at) as ended, least(min(started_at), min(claimed_at)) as started
        from tenant_purge.purge) p,
       (select max(at) filter (where table_name <> 'redis') as rows_at,
               sum(rows) filter (where table_name <> 'redis') as rows,
               coalesce(sum(rows) filter (where table_name = 'redis'), 0) as keys
        from tenant_purge.batch where kind = 'delete') b`;

async function requireGone(db: Client | Pool, tenantIds: readonly string[]): Promise<void> {
  const query: { readonly text: string; readonly values: unknown[] } = {
    text: 'select count(*)::int as left from public.tenants where id = any($1::uuid[])',
    values: [[...tenantIds]],
  };
  const connection: { query(config: typeof query): Promise<QueryResult> } = db;
  const { rows } = await connection.query(query);
  if (rows[0].left > 0) throw new Error(`A side left ${rows[0].left} of the tenants.`);
}

const secondsOf = (runs: readonly { readonly seconds: number }[]): number[] =>
  runs.map(({ seconds }) => seconds);
