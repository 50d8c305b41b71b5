import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from 'kysely';
import pg from 'pg';
import { PurgeError } from '../domain/errors.ts';
import { withoutPostgresTls } from '../domain/postgres-tls.ts';
import { redactUrl } from '../domain/redact-url.ts';
import { AnswerWatch, type WatchedConnection } from './answer-watch.ts';
import { connectionFailure, isAboutEncryption } from './connection-failure.ts';
import { spoilsConnection, watchedClient } from './deadline-client.ts';
import type { LedgerTables } from './ledger/tables.ts';
import {
  NO_TIME_LIMIT,
  READ_COMMITTED,
  type RoleSettings,
  readRoleSettings,
} from './role-settings.ts';
import { makeServerView } from './server-view.ts';
import { type Transport, transportsOf } from './tls.ts';

export { READ_COMMITTED } from './role-settings.ts';

/** One pool, seen twice: as Kysely for the ledger, as the driver for batches and the catalogue. */
export interface Database {
  readonly pool: pg.Pool;
  readonly ledger: Kysely<LedgerTables>;
  /** `server_version_num`, e.g. 180004. */
  readonly version: number;
  /**
   * From now on nobody waits for long: reads under way are given up two seconds after they began, and
   * a connection that does not answer is found sooner. The function that it returns ends that.
   */
  hurry(): () => void;
  /** Ends its connections; those of reads under way after two seconds. */
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  readonly connectionsMax: number;
  readonly applicationName: string;
  /** Told of errors on idle connections, e.g. a restart of the server; the pool replaces them. */
  readonly onIdleError?: (error: Error) => void;
  /**
   * Told once, when it is open, of what the connection does not protect from: TLS unverified, or none
   * although it was preferred. By default Node.js prints it, once a process.
   */
  readonly onWarning?: (warning: string) => void;
}

const CONNECT_TIMEOUT_MS = 5_000;
const KEEP_ALIVE_MS = 10_000;
const LEDGER_ANSWER_MS = 60_000;
const LEDGER_IDLE_MS = 30_000;
const INT8 = 20;

/**
 * Connects once to find out that it can, and keeps a pool. No startup parameter beyond the
 * application's name: a pooler in transaction mode refuses the others. `sslmode` and `sslrootcert` of
 * the URL have libpq's meaning, whatever the driver makes of them.
 * @throws PurgeError DATABASE_UNREACHABLE, DATABASE_REFUSED, DATABASE_VERSION, CONFIG_INVALID (a
 *   certificate's file cannot be read)
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const [best, ...others] = transportsOf(options.url);
  try {
    return await openBy(best, options);
  } catch (error) {
    const [other] = others;
    if (other === undefined || !isAboutEncryption(asFailure(error).cause)) throw error;
    return await openBy(other, options);
  }
}

async function openBy(transport: Transport, options: DatabaseOptions): Promise<Database> {
  const config: pg.ClientConfig = {
    connectionString: withoutPostgresTls(options.url),
    ssl: transport.ssl,
    application_name: options.applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    types: { getTypeParser: typeParser as typeof pg.types.getTypeParser },
  };
  const watch = new AnswerWatch(makeServerView(config));
  const pool = watchedPool(config, options, watch);
  const shown = redactUrl(options.url);
  try {
    const settings = await readRoleSettings(pool);
    refuseOld(settings);
    if (settings.isHampered) liftLimits(pool);
    if (transport.warning !== null) warn(`PostgreSQL at ${shown}: ${transport.warning}`, options);
    const ledger = new Kysely<LedgerTables>({
      dialect: new PostgresDialect({ pool: ledgerPool(pool, settings) }),
    });
    const close = async (): Promise<void> => {
      watch.hurry();
      await pool.end();
      watch.close();
    };
    return { pool, ledger, version: settings.version, hurry: () => watch.hurry(), close };
  } catch (error) {
    await pool.end();
    watch.close();
    if (error instanceof PurgeError) throw error;
    throw connectionFailure(error, { shown, host: hostOf(options.url) });
  }
}

function watchedPool(
  config: pg.ClientConfig,
  { connectionsMax, onIdleError }: DatabaseOptions,
  watch: AnswerWatch,
): pg.Pool {
  const Client = watchedClient(watch);
  const pool = new pg.Pool({ ...config, max: connectionsMax, Client });
  pool.on('error', (error) => onIdleError?.(error));
  // A borrowed connection that the server ends between two statements reports it as an event; with
  // nobody listening that would end the process. The borrower's next statement fails and is classed.
  pool.on('connect', (client) => client.on('error', () => undefined));
  const setIdle = (client: pg.PoolClient, isIdle: boolean): void => {
    watch.setIdle(client as unknown as WatchedConnection, isIdle);
  };
  pool.on('release', (_error, client) => setIdle(client, true));
  pool.on('acquire', (client) => setIdle(client, false));
  pool.on('remove', (client) => setIdle(client, false));
  return pool;
}

/** The ledger's statements are short: one that gets no answer for a minute will get none. */
const ledgerPool = (pool: pg.Pool, { isHampered }: RoleSettings): PostgresPool => ({
  connect: async () => {
    const client = await pool.connect();
    let isSpoilt = false;
    let isOpen = false;
    const ask = async (text: string, values: readonly unknown[] = []): Promise<unknown> => {
      const question = { text, values: [...values], query_timeout: LEDGER_ANSWER_MS };
      try {
        return await client.query(question);
      } catch (error) {
        isSpoilt ||= spoilsConnection(error);
        throw error;
      }
    };
    const query = async (statement: unknown, values?: readonly unknown[]): Promise<unknown> => {
      const text = String(statement);
      if (/^begin$/i.test(text)) {
        isOpen = true;
        return ask(BEGIN_LEDGER);
      }
      if (/^(commit|rollback)$/i.test(text)) isOpen = false;
      else if (isHampered && !isOpen) {
        return alone(ask, () => ask(text, values));
      }
      return ask(text, values);
    };
    return { query: query as PostgresPoolClient['query'], release: () => client.release(isSpoilt) };
  },
  end: () => pool.end(),
});

/**
 * The server does not hear of a client that died in silence, and would keep its transaction and its
 * locks for hours: the fleet's, a purge's. A transaction that sets a limit of its own overrules this.
 */
const BEGIN_LEDGER = `${READ_COMMITTED};
  SET LOCAL idle_in_transaction_session_timeout = ${LEDGER_IDLE_MS};
  ${NO_TIME_LIMIT};
  SET LOCAL statement_timeout = ${LEDGER_ANSWER_MS}`;

/** A statement outside a transaction, in one of its own. */
async function alone<Result>(
  ask: (text: string) => Promise<unknown>,
  statement: () => Promise<Result>,
): Promise<Result> {
  await ask(BEGIN_LEDGER);
  try {
    const result = await statement();
    await ask('COMMIT');
    return result;
  } catch (error) {
    if (!spoilsConnection(error)) await ask('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/**
 * What the program asks outside a transaction gets one of its own, free of the role's limits. Not by a
 * setting of the session: a pooler has none.
 */
function liftLimits(pool: pg.Pool): void {
  const query = (...asked: [pg.QueryConfig]): Promise<unknown> =>
    inTransaction(pool, READ_COMMITTED, (client) => client.query(...asked));
  Object.assign(pool, { query });
}

const asFailure = (thrown: unknown): { readonly cause?: unknown } =>
  thrown instanceof PurgeError ? thrown : {};

/** What was printed already; a command opens a database more than once. */
const printed = new Set<string>();

function warn(warning: string, { onWarning }: DatabaseOptions): void {
  if (onWarning !== undefined) {
    onWarning(warning);
  } else if (!printed.has(warning)) {
    printed.add(warning);
    process.emitWarning(warning, { type: 'SecurityWarning' });
  }
}

/** The name that the server's certificate is compared with. */
function hostOf(url: string): string {
  const { hostname, searchParams } = new URL(url);
  return searchParams.get('host') || hostname;
}

function refuseOld({ version }: RoleSettings): void {
  if (version >= 140_000) return;
  throw new PurgeError(
    'DATABASE_VERSION',
    `PostgreSQL ${Math.floor(version / 10_000)} is too old.`,
  );
}

/** Row counts are bigint; every figure of ours stays far below 2^53. */
function typeParser(oid: number, format?: string): unknown {
  if (oid === INT8) return (text: string) => Number(text);
  return pg.types.getTypeParser(oid, format as 'text');
}

/**
 * Runs `work` in one transaction on one connection, however long it takes; `begin` says of which kind.
 */
export async function inTransaction<Result>(
  pool: pg.Pool,
  begin: string,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  return withConnection(pool, async (client) => {
    await client.query(`${begin};\n${NO_TIME_LIMIT}`);
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  });
}

/**
 * Lends a connection to `work`, which opens and commits its own transaction; what it leaves open when
 * it throws is rolled back. A connection on which even ROLLBACK fails is destroyed, so that no later
 * borrower finds an open transaction on it; so is one to a server that has become read-only, for the
 * pool to connect to its successor.
 */
export async function withConnection<Result>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    return await work(client);
  } catch (error) {
    // On a connection that is cut a ROLLBACK would wait; the server ends the transaction itself.
    if (spoilsConnection(error)) broken = error as Error;
    else {
      await client.query('ROLLBACK').catch((rollbackError: Error) => {
        broken = rollbackError;
      });
    }
    throw error;
  } finally {
    client.release(broken);
  }
}

/** For everything that only looks: the database itself refuses a write. */
export const READ_ONLY = 'BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY';
