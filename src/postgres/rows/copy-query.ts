import pg from 'pg';
import { isReadTimeout } from '../deadline-client.ts';

/** Takes what COPY … TO STDOUT sends. */
export interface CopyTarget {
  /**
   * @param statement place of the statement in the message, from 0
   * @returns false: send no more until `drained` resolves
   */
  write(statement: number, bytes: Buffer): boolean;
  drained(): Promise<void>;
}

export interface Message {
  readonly text: string;
  /** ms after which the server is taken to be gone. */
  readonly query_timeout: number;
}

interface Socket {
  pause(): void;
  resume(): void;
  destroy(): void;
}

/** The driver's query as it is, beyond its published type. */
const DriverQuery = pg.Query as unknown as {
  new (
    config: { readonly text: string; readonly rowMode: 'array' },
    values: undefined,
    done: (error: unknown, results: unknown) => void,
  ): pg.Query;
  readonly prototype: { handleCommandComplete(message: unknown, connection: unknown): void };
};

/** It throws rows of COPY away; here somebody takes them. */
class CopyQuery extends DriverQuery {
  readonly query_timeout: number;
  readonly #target: CopyTarget;
  #statement = 0;

  constructor(
    { text, query_timeout }: Message,
    target: CopyTarget,
    done: (error: unknown, results: unknown) => void,
  ) {
    super({ text, rowMode: 'array' }, undefined, done);
    this.query_timeout = query_timeout;
    this.#target = target;
  }

  handleCopyData(
    message: { readonly chunk: Buffer },
    connection: { readonly stream: Socket },
  ): void {
    if (this.#target.write(this.#statement, message.chunk)) return;
    connection.stream.pause();
    const goOn = (): void => connection.stream.resume();
    this.#target.drained().then(goOn, goOn);
  }

  handleCommandComplete(message: unknown, connection: unknown): void {
    this.#statement += 1;
    DriverQuery.prototype.handleCommandComplete.call(this, message, connection);
  }
}

/**
 * Several statements in one message of the simple protocol, some of them COPY … TO STDOUT: still one
 * round trip, where a stream for each would take one each.
 * @returns a result for each statement, as the driver gives it
 */
export function runCopying(
  client: pg.ClientBase,
  message: Message,
  target: CopyTarget,
): Promise<pg.QueryResult[]> {
  return new Promise((resolve, reject) => {
    const query = new CopyQuery(message, target, (error, results) => {
      if (error === null || error === undefined) {
        resolve(results as pg.QueryResult[]);
        return;
      }
      if (isReadTimeout(error)) cut(client);
      reject(error as Error);
    });
    client.query(query);
  });
}

/** Nobody is at the other end: what comes later on this connection must not wait behind it. */
function cut(client: pg.ClientBase): void {
  (client as unknown as { connection?: { stream?: Socket } }).connection?.stream?.destroy();
}
