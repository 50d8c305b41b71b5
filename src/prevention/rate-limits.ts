import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { addressKey } from './client-address.ts';
import { emailKey } from './email-address.ts';
import type { Reason } from './reason.ts';
import { digestOf, KEY_PREFIX, type SharedMemory } from './shared-memory.ts';

interface RateLimitSettings {
  /** Tenants an hour from one address (IPv6: one /64). */
  readonly perIp: number;
  /** Tenants an hour for one mailbox, however it is spelled. */
  readonly perEmail: number;
  /** Starts with the first tenant of an address or mailbox. Whole seconds. */
  readonly windowMs: number;
}

type LimitAnswer =
  /** `places`: what `giveBack` frees. */
  | { readonly kind: 'taken'; readonly places: readonly string[] }
  | { readonly kind: 'exceeded'; readonly reasons: readonly Reason[] }
  | { readonly kind: 'unavailable'; readonly cause: unknown };

interface Limit {
  readonly code: 'rate-limit-ip' | 'rate-limit-email';
  readonly points: number;
}

/**
 * Takes one place of each limit, or none of any: a request that one limit refuses uses up nothing of
 * the other, and no request is refused for a place that another one only borrowed. One script does
 * both, so that of any number of requests at once, in any number of processes, exactly as many pass
 * as there are places.
 *
 * rate-limiter-flexible's own way is a limiter per key, each atomic by itself: of two, the second
 * refuses when the first has counted already, and giving the place back (`reward`) comes too late for
 * whoever was refused in between. So its limiters keep windows, prefixes and judgement, and the
 * store that they talk to, one per attempt, collects what they ask for into one script.
 */
export class RateLimits {
  readonly #memory: SharedMemory;
  readonly #settings: RateLimitSettings;
  readonly #keepsLate: boolean;

  /** @param keepsLate true where a request is let in although Redis did not answer in time */
  constructor(memory: SharedMemory, settings: RateLimitSettings, keepsLate: boolean) {
    this.#memory = memory;
    this.#settings = settings;
    this.#keepsLate = keepsLate;
  }

  /** Never throws. @param ip null: the address is exempt */
  async take(request: {
    readonly ip: string | null;
    readonly email: string;
  }): Promise<LimitAnswer> {
    const wanted = this.#limitsOf(request);
    const store = new JointStore(this.#memory, wanted.length, this.#keepsLate);
    const answers = await Promise.allSettled(
      wanted.map(({ limit, key }) =>
        new RateLimiterRedis({
          storeClient: store,
          // The shape of client that hands keys and arguments to one method, and defines no command
          // on a client that the host application shares with others.
          useRedisPackage: true,
          keyPrefix: `${KEY_PREFIX}:${limit.code}`,
          points: limit.points,
          duration: this.#settings.windowMs / 1_000,
        }).consume(key),
      ),
    );
    const reasons: Reason[] = [];
    for (const [index, answer] of answers.entries()) {
      if (answer.status === 'fulfilled') continue;
      const { reason: refusal } = answer;
      const limit = wanted[index]?.limit;
      // A refusal is no Error: it is the limiter's result.
      if (!(refusal instanceof RateLimiterRes) || limit === undefined) {
        return { kind: 'unavailable', cause: refusal };
      }
      const retryAfterSec = Math.ceil(refusal.msBeforeNext / 1_000);
      reasons.push({ code: limit.code, evidence: { limit: limit.points, retryAfterSec } });
    }
    return reasons.length === 0
      ? { kind: 'taken', places: store.keys }
      : { kind: 'exceeded', reasons };
  }

  /**
   * Frees one place of each. Not idempotent. Where a window has ended since, the next one is given the
   * place: one tenant more, once, for a sign-up that took until then. @throws what Redis says
   */
  async giveBack(places: readonly string[]): Promise<void> {
    await this.#memory.run(GIVE_BACK, places, []);
  }

  #limitsOf(request: {
    readonly ip: string | null;
    readonly email: string;
  }): { readonly limit: Limit; readonly key: string }[] {
    const perEmail: Limit = { code: 'rate-limit-email', points: this.#settings.perEmail };
    const email = { limit: perEmail, key: digestOf(emailKey(request.email)) };
    if (request.ip === null) return [email];
    const perIp: Limit = { code: 'rate-limit-ip', points: this.#settings.perIp };
    return [{ limit: perIp, key: digestOf(addressKey(request.ip) ?? 'unreadable') }, email];
  }
}

/** KEYS: counters. ARGV: of each its points and its window in seconds. Answers count and TTL of each. */
const TAKE_ALL_OR_NONE = `
local counts, full = {}, false
for i, key in ipairs(KEYS) do
  counts[i] = tonumber(redis.call('get', key) or '0') + 1
  if counts[i] > tonumber(ARGV[2 * i - 1]) then full = true end
end
local answers = {}
for i, key in ipairs(KEYS) do
  local ttl = redis.call('pttl', key)
  if not full then
    redis.call('incr', key)
    if ttl < 0 then
      ttl = 1000 * tonumber(ARGV[2 * i])
      redis.call('pexpire', key, ttl)
    end
  end
  answers[i] = {counts[i], math.max(ttl, 0)}
end
if full then return {0, answers} end
return {1, answers}
`;

/** A counter that has gone with its window stays away. */
const GIVE_BACK = `
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('get', key) or '0') > 0 then redis.call('decr', key) end
end
return 1
`;

interface Asked {
  readonly key: string;
  readonly points: string;
  readonly windowSec: string;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The store of the limiters of one attempt: waits until all have asked, and asks Redis once. */
class JointStore {
  readonly #memory: SharedMemory;
  readonly #count: number;
  readonly #keepsLate: boolean;
  readonly #asked: Asked[] = [];

  constructor(memory: SharedMemory, count: number, keepsLate: boolean) {
    this.#memory = memory;
    this.#count = count;
    this.#keepsLate = keepsLate;
  }

  get keys(): readonly string[] {
    return this.#asked.map(({ key }) => key);
  }

  /** What the limiter would run for its own key; its script is not needed, its parameters are. */
  eval(
    _script: string,
    call: { readonly keys: readonly string[]; readonly arguments: readonly string[] },
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const [key = ''] = call.keys;
      const [, windowSec = '', points = ''] = call.arguments;
      this.#asked.push({ key, points, windowSec, resolve, reject });
      if (this.#asked.length === this.#count) void this.#askRedis();
    });
  }

  async #askRedis(): Promise<void> {
    const { keys } = this;
    const values = this.#asked.flatMap(({ points, windowSec }) => [points, windowSec]);
    try {
      const answer = readAnswer(
        await this.#memory.run(TAKE_ALL_OR_NONE, keys, values, (late) => this.#onLate(keys, late)),
      );
      for (const [index, { resolve, reject }] of this.#asked.entries()) {
        const one = answer.counters[index];
        if (one === undefined) reject(new Error('Redis answered for too few counters'));
        else resolve(one);
      }
    } catch (error) {
      for (const { reject } of this.#asked) reject(error);
    }
  }

  /** The request was refused long ago: what Redis counted for it since is given back. */
  #onLate(keys: readonly string[], late: unknown): void {
    if (this.#keepsLate || !readAnswer(late).taken) return;
    this.#memory.run(GIVE_BACK, keys, []).catch(() => undefined);
  }
}

function readAnswer(answer: unknown): { readonly taken: boolean; readonly counters: unknown[] } {
  if (!Array.isArray(answer) || !Array.isArray(answer[1])) {
    throw new Error('Redis gave an answer that is none of the script');
  }
  return { taken: Number(answer[0]) === 1, counters: answer[1] };
}
