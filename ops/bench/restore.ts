import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { Client } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import type { ConfigInput } from '../../src/config/schema.ts';
import { enqueue, environmentOf, prepare, waitUntilCompleted, withActor } from './campaign.ts';
import { startFleet } from './fleet.ts';
import { alternate, type Comparison, compare, round, timed } from './measure.ts';
import { count, say } from './progress.ts';
import type { Servers } from './servers.ts';
import type { TemplateDatabase } from './template-database.ts';
import {
  fillWhale,
  measureWhale,
  WHALE_CONFIG,
  WHALE_ID,
  type WhaleSize,
} from './whale-application.ts';
import { withClient } from './with-client.ts';

const WANTED = 0.7;
const RSS_MAX_MIB = 300;
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const ENTRY = fileURLToPath(new URL('restore-process.ts', import.meta.url));

/** The whale's tables, parents first. */
const TABLES = [
  'tenants',
  'projects',
  'accounts',
  'documents',
  'tickets',
  'revisions',
  'comments',
] as const;

interface RestoreBenchReport extends Comparison {
  readonly rowsRestored: number;
  readonly rssMaxMib: number;
  readonly rssWithin: boolean;
  /** Seconds at which each phase of the last of our runs began. */
  readonly phases: Readonly<Record<string, number>>;
}

interface OurRun {
  readonly seconds: number;
  readonly rows: number;
  readonly rssMaxMib: number;
  readonly phases: Readonly<Record<string, number>>;
}

interface Setting {
  readonly servers: Servers;
  readonly template: TemplateDatabase;
  readonly folder: string;
  readonly config: ConfigInput;
  readonly size: WhaleSize;
}

/**
 * The whale comes back: ours, with the look for conflicts, the ledger and the verification of every
 * value, against one plain COPY FROM a table of the very same rows, with the same keys and indexes.
 */
export async function benchRestore(servers: Servers, scale: number): Promise<RestoreBenchReport> {
  const folder = await mkdtemp(join(tmpdir(), 'tenant-purge-bench-restore-'));
  const config: ConfigInput = { ...WHALE_CONFIG, archive: { dir: join(folder, 'archive') } };
  const sizes: WhaleSize[] = [];
  say('restore: filling, writing down and purging the whale');
  try {
    const template = await servers.template(async (url) => {
      await fillWhale(url, scale);
      await withClient(url, async (client) => {
        sizes.push(await measureWhale(client));
        for (const table of TABLES) await writeDown(client, table, fileOf(folder, table));
      });
      await purgeWhale(servers, url, config);
    });
    const [size] = sizes;
    if (size === undefined) throw new Error('the whale was not measured');
    const setting: Setting = { servers, template, folder, config, size };
    try {
      const runs = await alternate({
        plain: (run) => runPlain(setting, run),
        ours: (run) => runOurs(setting, run),
      });
      const rssMaxMib = Math.max(...runs.ours.map((run) => run.rssMaxMib));
      const last = runs.ours.at(-1);
      return {
        ...compare(
          {
            ours: runs.ours.map(({ seconds }) => seconds),
            plain: runs.plain.map(({ seconds }) => seconds),
          },
          WANTED,
        ),
        rowsRestored: last?.rows ?? 0,
        rssMaxMib,
        rssWithin: rssMaxMib <= RSS_MAX_MIB,
        phases: Object.fromEntries(
          Object.entries(last?.phases ?? {}).map(([name, seconds]) => [name, round(seconds, 2)]),
        ),
      };
    } finally {
      await template.drop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const fileOf = (folder: string, table: string): string => join(folder, `${table}.copy`);

const writeDown = (client: Client, table: string, file: string): Promise<void> =>
  pipeline(
    client.query(
      copyTo(
        `copy (select * from ${table} where ${table === 'tenants' ? 'id' : 'tenant_id'} = '${WHALE_ID}') to stdout`,
      ),
    ),
    createWriteStream(file),
  );

async function purgeWhale(
  servers: Servers,
  databaseUrl: string,
  config: ConfigInput,
): Promise<void> {
  await servers.withEmptyRedis(async () => {
    const place = { databaseUrl, redisUrl: servers.redisUrl };
    await withActor(place, config, async (actor) => {
      const prepared = await prepare(actor, { kind: 'tenants', ids: [WHALE_ID] });
      const fleet = await startFleet({ processes: 1, config, env: environmentOf(place) });
      try {
        const { campaignId } = await enqueue(actor, prepared, true);
        await waitUntilCompleted(actor, campaignId);
      } finally {
        await fleet.stop();
      }
    });
  });
}

async function runPlain(
  { template, folder, size }: Setting,
  run: number,
): Promise<{ readonly seconds: number }> {
  return template.withCopy((url) =>
    withClient(url, async (client) => {
      const { seconds } = await timed(async () => {
        for (const table of TABLES) {
          await pipeline(
            createReadStream(fileOf(folder, table), { highWaterMark: 256 * 1024 }),
            client.query(copyFrom(`copy ${table} from stdin`)),
          );
        }
      });
      await requireBack(client, size);
      say(`restore ${run}: plain ${seconds.toFixed(2)} s`);
      return { seconds };
    }),
  );
}

async function runOurs(
  { servers, template, folder, config, size }: Setting,
  run: number,
): Promise<OurRun> {
  return template.withCopy(async (databaseUrl) => {
    const file = join(folder, 'purge.config.json');
    await writeFile(file, JSON.stringify(config));
    const purge = await withClient(databaseUrl, async (client) => {
      const { rows } = await client.query('select id from tenant_purge.purge');
      return String(rows[0]?.id);
    });
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', TSX, ENTRY, file, purge],
      {
        env: {
          PATH: process.env['PATH'],
          ...environmentOf({ databaseUrl, redisUrl: servers.redisUrl }),
        },
      },
    );
    const result = JSON.parse(stdout) as OurRun;
    await withClient(databaseUrl, (client) => requireBack(client, size));
    say(
      `restore ${run}: ours  ${result.seconds.toFixed(2)} s, ${count(result.rows)} rows, ${result.rssMaxMib} MiB, ${JSON.stringify(result.phases)}`,
    );
    return result;
  });
}

/** A side that brings back too little must not win by it. */
async function requireBack(client: Client, size: WhaleSize): Promise<void> {
  const now = await measureWhale(client);
  if (now.rows === size.rows && now.whaleRows === size.whaleRows) return;
  throw new Error(`A side left ${now.rows} rows instead of ${size.rows}.`);
}
