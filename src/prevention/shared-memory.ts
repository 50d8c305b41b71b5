import { createHash } from 'node:crypto';
import { type RedisClient, withinTime } from './clients.ts';

/**
 * What all processes of the application remember together, in Redis. The braces put every key into
 * one slot of a cluster, so that two counters can be changed by one script.
 */
export const KEY_PREFIX = '{tenant-purge:prevention}';

/** ioredis keeps commands for later in these states; later is too late for a sign-up. */
const AWAY = new Set(['reconnecting', 'close', 'end']);

const REMEMBER = `return redis.call('set', KEYS[1], '1', 'PX', ARGV[1], 'NX') and 1 or 0`;
const FORGET = `return redis.call('del', KEYS[1])`;

/** Redis with a bound on every answer. Every method rejects within `timeoutMs`, whatever Redis does. */
export class SharedMemory {
  readonly #redis: RedisClient;
  readonly #timeoutMs: number;

  constructor(redis: RedisClient, timeoutMs: number) {
    this.#redis = redis;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Runs a script. What it answers after the time-out goes to `onLate`: a command that waited for
   * Redis to come back is carried out although nobody waits for it.
   */
  async run(
    script: string,
    keys: readonly string[],
    values: readonly string[],
    onLate?: (answer: unknown) => void,
  ): Promise<unknown> {
    if (this.#redis.status !== undefined && AWAY.has(this.#redis.status)) {
      throw new Error(`the connection to Redis is in state ${this.#redis.status}`);
    }
    const work = this.#redis.eval(script, keys.length, ...keys, ...values);
    try {
      return await withinTime(work, this.#timeoutMs, 'Redis');
    } catch (error) {
      if (onLate !== undefined) work.then(onLate).catch(() => undefined);
      throw error;
    }
  }

  /**
   * True for the first who asks in `forMs`, in whatever process. Atomic.
   * @param late what becomes of a secret that Redis remembers only after the time-out: `forget` where
   *   whoever asked was refused for it, and may come again
   */
  async isFirst(
    kind: string,
    secret: string,
    { forMs, late }: { readonly forMs: number; readonly late: 'keep' | 'forget' },
  ): Promise<boolean> {
    const values = [String(Math.ceil(forMs))];
    const answer = await this.run(REMEMBER, [keyOf(kind, secret)], values, (lateAnswer) => {
      // Only what this call has set: a 0 is somebody else's.
      if (late === 'keep' || Number(lateAnswer) !== 1) return;
      this.forget(kind, secret).catch(() => undefined);
    });
    return Number(answer) === 1;
  }

  async forget(kind: string, secret: string): Promise<void> {
    await this.run(FORGET, [keyOf(kind, secret)], []);
  }
}

/** Tokens and addresses are not to be read out of Redis. */
export const digestOf = (text: string): string =>
  createHash('sha256').update(text).digest('base64url');

const keyOf = (kind: string, secret: string): string => `${KEY_PREFIX}:${kind}:${digestOf(secret)}`;
