import pg from 'pg';
import type { AnswerWatch, WatchedConnection } from './answer-watch.ts';
import { readFault } from './sqlstate.ts';

const READ_TIMEOUT = 'Query read timeout';
/** `read_only_sql_transaction`: the server behind the connection is a standby now. */
const READ_ONLY_SERVER = '25006';
/** A server that does not take leave in this time is gone. */
const FAREWELL_MS = 1_000;

/**
 * A client whose statements are watched. One that has a `query_timeout` of its own is cut when the
 * answer does not come in time: the driver alone would only give up the query, and the next one on the
 * connection, its ROLLBACK first, would wait behind it.
 */
export function watchedClient(watch: AnswerWatch): new (config?: pg.ClientConfig) => pg.Client {
  return class extends DeadlineClient {
    constructor(config?: pg.ClientConfig) {
      super(config, watch);
    }
  };
}

/** Whether no later borrower may be given the connection that this error came from. */
export const spoilsConnection = (thrown: unknown): boolean =>
  isReadTimeout(thrown) || readFault(thrown).sqlState === READ_ONLY_SERVER;

/** The driver's own error, which carries no code. */
export const isReadTimeout = (thrown: unknown): boolean =>
  thrown instanceof Error && thrown.message === READ_TIMEOUT;

type Callback = (error: unknown, ...more: unknown[]) => void;

class DeadlineClient extends pg.Client implements WatchedConnection {
  readonly #watch: AnswerWatch;

  constructor(config: pg.ClientConfig | undefined, watch: AnswerWatch) {
    super(config);
    this.#watch = watch;
  }

  override query(...args: never[]): never {
    const [statement, ...rest] = args as unknown[];
    if (isQuery(statement)) return this.#ownQuery(statement);
    const text = textOf(statement);
    // A stream, or a statement that the server knows by name and text.
    if (text === null) return super.query(...(args as unknown as [string])) as never;
    const hasDeadline = typeof statement === 'object' && readDeadline(statement);
    const tag = this.#watch.ask(this, { hasDeadline });
    const tagged =
      typeof statement === 'string'
        ? `${tag}${text}`
        : { ...(statement as object), text: `${tag}${text}` };
    const told = rest.map((each) =>
      typeof each === 'function' ? this.#listening(tag, each as Callback) : each,
    );
    const answer: unknown = super.query(...([tagged, ...told] as unknown as [string]));
    if (answer instanceof Promise) {
      answer.then(
        () => this.#watch.answered(tag),
        (error: unknown) => this.#failed(tag, error),
      );
    }
    return answer as never;
  }

  /** A query of the caller's own make, told of by its callback. */
  #ownQuery(query: OwnQuery): never {
    const tag = this.#watch.ask(this, { hasDeadline: readDeadline(query) });
    query.text = `${tag}${query.text}`;
    query.callback = this.#listening(tag, query.callback);
    return super.query<never>(query as never);
  }

  /** Takes leave of the server, and waits only briefly for it to do so too. */
  override end(...args: never[]): never {
    const left = super.end(...(args as [])) as never;
    const timer = setTimeout(() => this.#stream()?.destroy(), FAREWELL_MS).unref();
    this.once('end', () => clearTimeout(timer));
    return left;
  }

  bytesRead(): number {
    return this.#stream()?.bytesRead ?? 0;
  }

  isHeld(): boolean {
    return this.#stream()?.isPaused() ?? false;
  }

  cut(error: Error): void {
    this.#stream()?.destroy(error);
  }

  #listening(tag: string, callback: Callback): Callback {
    return (error, ...more) => {
      if (error) this.#failed(tag, error);
      else this.#watch.answered(tag);
      callback(error, ...more);
    };
  }

  #failed(tag: string, error: unknown): void {
    this.#watch.answered(tag);
    if (isReadTimeout(error)) this.#stream()?.destroy();
    // Those of its neighbours that were opened before the failover lead to the same server.
    if (readFault(error).sqlState === READ_ONLY_SERVER) {
      this.#watch.cutIdle(new Error('Connection ended: the server has become read-only'));
    }
  }

  #stream(): Stream | undefined {
    const { connection } = this as unknown as { connection?: { stream?: Stream } };
    return connection?.stream;
  }
}

interface Stream {
  readonly bytesRead: number;
  isPaused(): boolean;
  destroy(error?: Error): void;
}

/** As one that takes the data of COPY. */
interface OwnQuery extends pg.Query {
  text: string;
  callback: Callback;
}

function isQuery(statement: unknown): statement is OwnQuery {
  if (!(statement instanceof pg.Query)) return false;
  const { text, callback } = statement as Partial<OwnQuery>;
  return typeof text === 'string' && typeof callback === 'function';
}

/** Null for what is no plain statement. */
function textOf(statement: unknown): string | null {
  if (typeof statement === 'string') return statement;
  if (typeof statement !== 'object' || statement === null || 'submit' in statement) return null;
  const { text, name } = statement as { readonly text?: unknown; readonly name?: unknown };
  return typeof text === 'string' && name === undefined ? text : null;
}

const readDeadline = (statement: object | null): boolean =>
  statement !== null && 'query_timeout' in statement;
