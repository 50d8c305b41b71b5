import { Client } from 'pg';

const TEMPLATE = 'tenant_purge_bench_template';
const COPY = 'tenant_purge_bench_copy';
/** From this version on a copy may go through the log; file by file both sides start alike. */
const STRATEGY_SINCE = 150_000;

/** A filled database that is never worked on: every run gets a copy of its own. */
export class TemplateDatabase {
  readonly #serverUrl: string;

  private constructor(serverUrl: string) {
    this.#serverUrl = serverUrl;
  }

  /**
   * Creates the database, fills it, and settles it: VACUUM ANALYZE, so that no run pays for hint bits
   * or goes by other statistics. Replaces what a benchmark that was killed left.
   * @throws the driver's error, also while another benchmark uses the same server
   */
  static async create(
    serverUrl: string,
    fill: (url: string) => Promise<void>,
  ): Promise<TemplateDatabase> {
    await run(serverUrl, [
      `drop database if exists ${COPY}`,
      `drop database if exists ${TEMPLATE}`,
      `create database ${TEMPLATE}`,
    ]);
    const url = urlOf(serverUrl, TEMPLATE);
    await fill(url);
    await run(url, ['vacuum (analyze)']);
    await run(serverUrl, ['checkpoint']);
    return new TemplateDatabase(serverUrl);
  }

  /** Works on a fresh copy, after a CHECKPOINT, and drops it. One copy at a time. */
  async withCopy<Result>(work: (url: string) => Promise<Result>): Promise<Result> {
    const version = await readVersion(this.#serverUrl);
    const strategy = version >= STRATEGY_SINCE ? ' strategy file_copy' : '';
    await run(this.#serverUrl, [
      `create database ${COPY} template ${TEMPLATE}${strategy}`,
      'checkpoint',
    ]);
    try {
      return await work(urlOf(this.#serverUrl, COPY));
    } finally {
      await run(this.#serverUrl, [`drop database ${COPY} with (force)`]);
    }
  }

  async drop(): Promise<void> {
    await run(this.#serverUrl, [`drop database ${TEMPLATE} with (force)`]);
  }
}

/** Statements one by one: none of these may stand in a transaction. */
async function run(url: string, statements: readonly string[]): Promise<void> {
  const client = new Client(url);
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

async function readVersion(url: string): Promise<number> {
  const client = new Client(url);
  await client.connect();
  try {
    const { rows } = await client.query(
      `select current_setting('server_version_num')::int as version`,
    );
    return rows[0].version;
  } finally {
    await client.end();
  }
}

function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}
