import type { Client } from 'pg';
import type { ConfigInput } from '../../src/config/schema.ts';
import { compareCompression, withArchiveFolder } from './archive-folder.ts';
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
import { alternate, type Comparison, compare, median, quantile, round, timed } from './measure.ts';
import { deletePlainly } from './plain-delete.ts';
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

const WANTED = { plain: 1, archived: 0.6 } as const;
const RSS_MAX_MIB = { plain: 250, archived: 300 } as const;
const COMPRESSION_WANTED = 1;
/** Tables with fewer batches say nothing about their spread. */
const BATCHES_MIN = 20;
const P99_OVER_P50_MAX = 4;
const LAST_OVER_FIRST_MAX = 1.5;
/** Size that the figures are promised for, at scale 1. */
const PROMISED = { whaleRows: 2_500_000, share: 0.8, rowBytes: 200 } as const;

interface WhaleOptions {
  readonly scale: number;
  /** `batch.targetMs`; the product's default when left out. */
  readonly targetMs?: number;
  /** Whether our side archives what it deletes; the plain side never does. */
  readonly archive?: boolean;
}

/** How the batches of one table went, durations in ms without their COMMIT. */
interface TableBatches {
  readonly table: string;
  readonly batches: number;
  readonly rows: number;
  readonly p50: number;
  readonly p99: number;
  readonly firstFifth: number;
  readonly lastFifth: number;
  readonly p99Within: boolean;
  readonly lastWithin: boolean;
}

interface WhaleReport extends Comparison, WhaleSize {
  readonly rowsDeleted: number;
  readonly rssMaxMib: number;
  readonly rssWithin: boolean;
  readonly batches: number;
  /** Of the last of our runs, only tables with 20 batches and more. */
  readonly batchesOfTables: readonly TableBatches[];
  /** Whether p99 and the last fifth kept their bounds in every run of ours. */
  readonly batchesWithin: boolean;
  /** Only with an archive: its bytes against those of one `gzip -1` of the same text, at most 1. */
  readonly archiveMib?: number;
  readonly compression?: number;
  readonly compressionWithin?: boolean;
  /** The tables that did not, with the run. */
  readonly batchesOutside: readonly (TableBatches & { readonly run: number })[];
}

interface OurRun {
  readonly seconds: number;
  readonly rows: number;
  readonly batches: number;
  readonly tables: readonly TableBatches[];
  readonly rssMaxMib: number;
  readonly archive: Awaited<ReturnType<typeof compareCompression>> | null;
}

/**
 * One tenant that owns most of the database: ours, from claim to sealed with ledger and fence,
 * against one transaction of ordered DELETEs on one connection.
 */
export async function benchWhale(servers: Servers, options: WhaleOptions): Promise<WhaleReport> {
  say('whale: filling the template');
  const template = await servers.template((url) => fillWhale(url, options.scale));
  try {
    const size = await template.withCopy((url) => withClient(url, measureWhale));
    say(`whale: ${count(size.whaleRows)} of ${count(size.rows)} rows, ${size.rowBytes} bytes each`);
    if (options.scale >= 1) requirePromisedSize(size);
    const runs = await alternate({
      plain: (run) => runPlain(servers, template, size, run),
      ours: (run) => runOurs(servers, template, { ...options, size, run }),
    });
    const way = options.archive === true ? 'archived' : 'plain';
    const rssMaxMib = Math.max(...runs.ours.map((run) => run.rssMaxMib));
    const last = runs.ours.at(-1);
    const outside = runs.ours.flatMap(({ tables }, index) =>
      tables
        .filter((table) => !table.p99Within || !table.lastWithin)
        .map((table) => ({ run: index + 1, ...table })),
    );
    return {
      ...compare({ ours: secondsOf(runs.ours), plain: secondsOf(runs.plain) }, WANTED[way]),
      ...size,
      rowsDeleted: last?.rows ?? 0,
      rssMaxMib,
      rssWithin: rssMaxMib > 0 && rssMaxMib <= RSS_MAX_MIB[way],
      batches: last?.batches ?? 0,
      batchesOfTables: last?.tables ?? [],
      batchesWithin: outside.length === 0,
      batchesOutside: outside,
      ...compressionOf(last),
    };
  } finally {
    await template.drop();
  }
}

function compressionOf(
  run: OurRun | undefined,
): Pick<WhaleReport, 'archiveMib' | 'compression' | 'compressionWithin'> {
  if (run === undefined || run.archive === null) return {};
  const { archiveBytes, gzipBytes } = run.archive;
  const compression = archiveBytes / gzipBytes;
  return {
    archiveMib: round(archiveBytes / 1024 / 1024, 1),
    compression: round(compression, 3),
    compressionWithin: compression <= COMPRESSION_WANTED,
  };
}

async function runPlain(
  servers: Servers,
  template: TemplateDatabase,
  size: WhaleSize,
  run: number,
): Promise<{ readonly seconds: number }> {
  return template.withCopy((databaseUrl) =>
    withClient(databaseUrl, async (client) => {
      const place = { databaseUrl, redisUrl: servers.redisUrl };
      const statements = await readPlainStatements(client, WHALE_CONFIG, place);
      const { seconds, result: rows } = await timed(async () => {
        await client.query('begin');
        const deleted = await deletePlainly(client, statements, WHALE_ID);
        await client.query('commit');
        return deleted;
      });
      await requireGone(client, size, rows);
      say(`whale ${run}: plain ${seconds.toFixed(2)} s, ${count(rows)} rows`);
      return { seconds };
    }),
  );
}

const runOurs = (
  servers: Servers,
  template: TemplateDatabase,
  options: OurOptions,
): Promise<OurRun> =>
  withArchiveFolder((folder) => purgeWhale(servers, template, { ...options, folder }));

type OurOptions = WhaleOptions & { readonly size: WhaleSize; readonly run: number };

async function purgeWhale(
  servers: Servers,
  template: TemplateDatabase,
  options: OurOptions & { readonly folder: string },
): Promise<OurRun> {
  const { archive = false, folder } = options;
  const config: ConfigInput = {
    ...WHALE_CONFIG,
    archive: { dir: folder },
    ...(options.targetMs === undefined ? {} : { batch: { targetMs: options.targetMs } }),
  };
  return template.withCopy((databaseUrl) =>
    servers.withEmptyRedis(async () => {
      const place: Place = { databaseUrl, redisUrl: servers.redisUrl };
      return withActor(place, config, async (actor) => {
        const prepared = await prepare(actor, { kind: 'tenants', ids: [WHALE_ID] });
        // What the counting has left dirty belongs to no side.
        await actor.database.pool.query('checkpoint');
        const fleet = await startFleet({ processes: 1, config, env: environmentOf(place) });
        try {
          const campaign = await enqueue(actor, prepared, archive);
          await waitUntilCompleted(actor, campaign.campaignId);
          const rssMaxMib = Math.max(...fleet.usage().map((usage) => usage.rssMaxMib));
          const run = {
            ...(await withClient(databaseUrl, readLedger)),
            rssMaxMib,
            archive: archive ? await compareCompression(folder) : null,
          };
          await withClient(databaseUrl, (client) => requireGone(client, options.size, run.rows));
          say(
            `whale ${options.run}: ours  ${run.seconds.toFixed(2)} s, ${count(run.rows)} rows, ${run.batches} batches, ${rssMaxMib} MiB`,
          );
          return run;
        } finally {
          await fleet.stop();
        }
      });
    }),
  );
}

/** Seconds from the claim to the seal, and what the batches did, as the ledger has it. */
async function readLedger(client: Client): Promise<Omit<OurRun, 'rssMaxMib' | 'archive'>> {
  const purge = await client.query(
    `select extract(epoch from ended_at - claimed_at)::float8 as seconds from tenant_purge.purge`,
  );
  const { rows } = await client.query<{ table: string; rows: string; durations: number[] }>(
    `select table_name as table, sum(rows) as rows, array_agg(duration_ms order by id) as durations
     from tenant_purge.batch where kind = 'delete' group by 1 order by min(id)`,
  );
  return {
    seconds: purge.rows[0].seconds,
    rows: rows.reduce((sum, row) => sum + Number(row.rows), 0),
    batches: rows.reduce((sum, row) => sum + row.durations.length, 0),
    tables: rows
      .filter((row) => row.durations.length >= BATCHES_MIN)
      .map((row) => describeBatches(row.table, Number(row.rows), row.durations)),
  };
}

function describeBatches(table: string, rows: number, durations: readonly number[]): TableBatches {
  const fifth = Math.floor(durations.length / 5);
  const p50 = median(durations);
  const p99 = quantile(durations, 0.99);
  const firstFifth = median(durations.slice(0, fifth));
  const lastFifth = median(durations.slice(-fifth));
  return {
    table,
    batches: durations.length,
    rows,
    p50: round(p50, 1),
    p99: round(p99, 1),
    firstFifth: round(firstFifth, 1),
    lastFifth: round(lastFifth, 1),
    p99Within: p99 <= P99_OVER_P50_MAX * p50,
    lastWithin: lastFifth <= LAST_OVER_FIRST_MAX * firstFifth,
  };
}

/** A side that deletes too little must not win by it. */
async function requireGone(client: Client, size: WhaleSize, rows: number): Promise<void> {
  const left = await measureWhale(client);
  const expected = { deleted: size.whaleRows + 1, left: size.rows - size.whaleRows };
  if (rows === expected.deleted && left.whaleRows === 0 && left.rows === expected.left) return;
  throw new Error(
    `A side deleted ${rows} rows and left ${left.rows}, of which ${left.whaleRows} are the whale's; ` +
      `it should have deleted ${expected.deleted} and left ${expected.left}.`,
  );
}

function requirePromisedSize({ whaleRows, rows, rowBytes }: WhaleSize): void {
  if (
    whaleRows >= PROMISED.whaleRows &&
    whaleRows / rows >= PROMISED.share &&
    rowBytes >= PROMISED.rowBytes
  ) {
    return;
  }
  throw new Error(`The whale is too small: ${whaleRows} of ${rows} rows, ${rowBytes} bytes each.`);
}

const secondsOf = (runs: readonly { readonly seconds: number }[]): number[] =>
  runs.map(({ seconds }) => seconds);
