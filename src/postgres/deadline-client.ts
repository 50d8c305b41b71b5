import pg from 'pg';

/**
 * No answer for this long means that the server is gone, however long the statement: a count over
 * billions of rows stays below. Without it a connection that died in silence (a pulled cable, a
 * stranded virtual machine) would hold its worker for ever, and the worker its job's lock.
 */
export const ANSWER_TIMEOUT_MS = 900_000;

const READ_TIMEOUT = 'Query read timeout';

/**
 * A connection that is cut when an answer does not come in time. The driver alone would only give up
 * the query: the next one on the connection, its ROLLBACK first, would wait behind it.
 */
export class DeadlineClient extends pg.Client {
  override query(...args: never[]): never {
    const answer: unknown = super.query(...(args as unknown as [string]));
    if (answer instanceof Promise) {
      answer.catch((error: unknown) => {
        if (isReadTimeout(error)) this.#cut();
      });
    }
    return answer as never;
  }

  #cut(): void {
    const { connection } = this as unknown as { connection?: { stream?: { destroy(): void } } };
    connection?.stream?.destroy();
  }
}

/** The driver's own error, which carries no code. */
export const isReadTimeout = (thrown: unknown): boolean =>
  thrown instanceof Error && thrown.message === READ_TIMEOUT;
