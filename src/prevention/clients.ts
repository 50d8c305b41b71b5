/**
 * What a host application hands the guard, by shape: its own clients fit as they are, and the guard
 * opens no connection of its own.
 */

/** ioredis, single or cluster. One method, so that any client can be fitted. */
export interface RedisClient {
  /** ioredis's own word for its connection; looked at where there is one. */
  readonly status?: string;
  eval(script: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>;
}

/** `pool.query` of pg, or a transaction's. */
export type Query = (text: string, values: unknown[]) => Promise<unknown>;

/** pino, or whatever speaks like it. */
export interface Log {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** A log whose own failure is nobody's: what is judged must not depend on it. */
export function unfailing(log: Log): Log {
  const at =
    (level: keyof Log) =>
    (facts: object, message: string): void => {
      try {
        log[level](facts, message);
      } catch {
        // There is nowhere left to say it.
      }
    };
  return { info: at('info'), warn: at('warn'), error: at('error') };
}

/** The part of `fetch` that is used. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** The answer did not come in time; whatever was asked may still happen. */
class TimedOut extends Error {
  override readonly name = 'TimedOut';
}

/**
 * `work`, or a rejection with TimedOut once `limitMs` is over. Nothing of `work` is stopped: whoever
 * must undo it listens to it further.
 */
export async function withinTime<Result>(
  work: Promise<Result>,
  limitMs: number,
  what: string,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new TimedOut(`${what} did not answer within ${limitMs} ms`)),
      limitMs,
    );
  });
  // Whatever the abandoned work still throws, the time-out has been reported.
  work.catch(() => undefined);
  return Promise.race([work, over]).finally(() => clearTimeout(timer));
}
