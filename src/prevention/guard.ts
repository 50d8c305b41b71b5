import { randomUUID } from 'node:crypto';
import { environmentName } from '../domain/environment.ts';
import { type CaptchaAnswer, verifyCaptcha } from './captcha.ts';
import { clientAddress, type Networks, parseNetworks } from './client-address.ts';
import { type Log, type Query, unfailing } from './clients.ts';
import { DetailRules } from './details.ts';
import { type Metrics, makeMetrics } from './metrics.ts';
import {
  checkOptions,
  ENFORCED_ENVIRONMENTS,
  type LimitOptions,
  type PreventionOptions,
} from './options.ts';
import { OverrideTokens } from './override-token.ts';
import { PreventionLog } from './prevention-log.ts';
import { RateLimits } from './rate-limits.ts';
import { isOverridable, type Reason } from './reason.ts';
import { type CheckedRequest, readRequest, type TenantCreationRequest } from './request.ts';
import { SharedMemory } from './shared-memory.ts';
import { outcomeOf, type Verdict } from './verdict.ts';

/** What a tenant is judged by once it is created. */
export interface CreatedTenant {
  readonly name: string;
  /** Null where the application has none. */
  readonly subdomain: string | null;
  /** Not looked at. */
  readonly email?: string | undefined;
}

/** The setting that lets one row past the trigger, for the rest of the transaction. */
export const ADMIT_SETTING = 'tenant_purge.allow_signup';

/**
 * Keeps test tenants out of production. Opens nothing and keeps no timer: it has the clients it was
 * handed, and needs no closing.
 */
export class PreventionGuard {
  readonly #options: PreventionOptions;
  readonly #limits: Required<LimitOptions>;
  readonly #isEnforced: boolean;
  readonly #details: DetailRules;
  readonly #memory: SharedMemory;
  readonly #rates: RateLimits;
  readonly #tokens: OverrideTokens | null;
  readonly #proxies: Networks;
  readonly #metrics: Metrics;
  readonly #log: Log;
  readonly #kept: PreventionLog;
  /** Of verdicts that the application still holds: the places that they took. */
  readonly #places = new WeakMap<Verdict, readonly string[]>();

  /** @throws PurgeError CONFIG_INVALID */
  constructor(options: PreventionOptions) {
    const limits = checkOptions(options);
    const enforced = options.enforceIn?.map(environmentName) ?? ENFORCED_ENVIRONMENTS;
    this.#options = options;
    this.#limits = limits;
    this.#isEnforced = enforced.includes(environmentName(options.environment));
    this.#details = new DetailRules(options);
    this.#memory = new SharedMemory(options.redis, limits.redisTimeoutMs);
    this.#rates = new RateLimits(this.#memory, limits, limits.onRedisDown === 'open');
    this.#tokens =
      options.override === undefined ? null : new OverrideTokens(options.override, this.#memory);
    this.#proxies = parseNetworks(options.trustedProxies ?? [], 'trustedProxies');
    this.#metrics = makeMetrics(options.registry ?? null);
    this.#log = unfailing(options.log);
    this.#kept = new PreventionLog(this.#log, options.query ?? null, this.#metrics);
    if (!this.#isEnforced) {
      // A misspelt `production` lets everybody in: whoever reads the log of a start sees it.
      const environment = environmentName(options.environment);
      this.#log.info({ environment, enforced }, 'the guard refuses nobody here, it only reports');
    }
  }

  /** False: everything is let through, and what would have been refused is logged. */
  get isEnforced(): boolean {
    return this.#isEnforced;
  }

  /**
   * Judges one sign-up: what it says of itself, then the CAPTCHA, then the limits; what one of them
   * refuses uses up nothing of those behind it. A verdict `allowed` has taken one place of each limit,
   * spent the CAPTCHA's token and, where it was needed, the override: ask once per tenant. Never throws
   * and never takes longer than Redis's and the provider's time-outs; what cannot be judged is refused.
   */
  async checkTenantCreation(request: TenantCreationRequest): Promise<Verdict> {
    const startedMs = performance.now();
    const reference = randomUUID();
    let concluded: Concluded;
    try {
      concluded = await this.#conclude(request, await this.#judge(request), reference);
    } catch (err) {
      this.#log.error({ err, reference }, 'the guard failed; the tenant is refused');
      concluded = await this.#conclude(request, FAILED, reference);
    }
    const { verdict, override } = concluded;
    const shown = verdict.allowed ? verdict.reported : verdict.reasons;
    const outcome = outcomeOf(verdict);
    this.#metrics.checked(
      outcome,
      shown.map(({ code }) => code),
      performance.now() - startedMs,
    );
    // What is let in although something did not answer, or is on the allow-list, is news too.
    if (outcome !== 'allowed') {
      try {
        this.#kept.write({ reference, outcome, reasons: shown, request, override });
      } catch (err) {
        // A payload of getters that throw, say: no reason to judge otherwise.
        this.#metrics.logLost(1);
        this.#log.error({ err, reference }, 'a verdict could not be logged');
      }
    }
    return verdict;
  }

  /** The address to judge by: the caller's, or what a trusted proxy says of it; '' where there is none. */
  addressOf(remote: string | undefined, forwardedFor: string | undefined): string {
    return clientAddress(remote, forwardedFor, this.#proxies) ?? '';
  }

  /**
   * Lets this tenant past the trigger, in the transaction that creates it, after `allowed`.
   * @param query of the transaction's own connection: the setting ends with it
   */
  async admit(query: Query, tenant: Pick<CreatedTenant, 'name' | 'subdomain'>): Promise<void> {
    // An empty subdomain is none, as for `checkTenantCreation`.
    const { subdomain, name } = tenant;
    await query(`SELECT set_config('${ADMIT_SETTING}', $1, true)`, [subdomain || name]);
  }

  /**
   * Counts a tenant that was created, by whichever way; says so where it has a test word. Never throws:
   * the tenant is there.
   */
  recordCreated({ name, subdomain }: CreatedTenant): void {
    const words = this.#details.wordsOf([name, subdomain]);
    this.#metrics.created(words.length > 0);
    if (words.length > 0) this.#log.warn({ words }, 'a tenant with a test word was created');
  }

  /**
   * Frees the places of a verdict whose tenant could not be created after all: its subdomain is taken,
   * the database is away. The CAPTCHA's token and an override stay spent. Once per verdict, further calls
   * do nothing; never throws, and takes no longer than Redis's time-out: a place that cannot be given
   * back stays taken until its window ends.
   * @param verdict the object itself, as `checkTenantCreation` gave it
   */
  async giveBack(verdict: Verdict): Promise<void> {
    const places = this.#places.get(verdict);
    if (places === undefined) return;
    this.#places.delete(verdict);
    try {
      await this.#rates.giveBack(places);
    } catch (err) {
      const { reference } = verdict;
      this.#log.warn({ err, reference }, 'the places of a sign-up that failed stay taken');
    }
  }

  /** When every log row of the verdicts so far is written, or lost; for shutdown. */
  settle(): Promise<void> {
    return this.#kept.settle();
  }

  async #judge(request: TenantCreationRequest): Promise<Judged> {
    const read = readRequest(request);
    if (read.value === null) return refusedFor([read.reason]);
    const found = this.#details.findings(read.value);
    const allowListed = found.length > 0 && this.#details.isAllowed(read.value);
    const reported: Reason[] = allowListed ? [...found] : [];
    if (found.length > 0 && !allowListed) return refusedFor(found);
    const captcha = await this.#askCaptcha(request, read.value, reported);
    if (captcha !== null) return { ...refusedFor([captcha]), reported };
    return { ...(await this.#takePlaces(read.value, reported)), reported, allowListed };
  }

  /** Why the CAPTCHA refuses, or null; what is put up with goes to `reported`. */
  async #askCaptcha(
    request: TenantCreationRequest,
    { ip }: CheckedRequest,
    reported: Reason[],
  ): Promise<Reason | null> {
    const { captcha, fetch = globalThis.fetch } = this.#options;
    if (captcha === undefined) return null;
    const requiresMemory = this.#limits.onRedisDown === 'closed';
    const answer: CaptchaAnswer = await verifyCaptcha(
      captcha,
      { token: request.captchaToken, ip },
      { memory: this.#memory, requiresMemory, fetch },
    );
    switch (answer.kind) {
      case 'passed':
        return null;
      case 'refused':
        return answer.reason;
      case 'unavailable': {
        const isRedis = answer.reason.code === 'redis-unavailable';
        this.#metrics.unavailable(isRedis ? 'redis' : 'captcha');
        this.#log.error({ reason: answer.reason }, 'the CAPTCHA could not be verified');
        if (isRedis || captcha.onUnavailable !== 'open') return answer.reason;
        reported.push(answer.reason);
        return null;
      }
      default:
        return answer satisfies never;
    }
  }

  async #takePlaces(
    { ip, email }: CheckedRequest,
    reported: Reason[],
  ): Promise<Pick<Judged, 'reasons' | 'places'>> {
    const counted = this.#details.isUncounted(ip) ? null : ip;
    const answer = await this.#rates.take({ ip: counted, email });
    switch (answer.kind) {
      case 'taken':
        return { reasons: [], places: answer.places };
      case 'exceeded':
        return { reasons: answer.reasons, places: [] };
      case 'unavailable': {
        this.#metrics.unavailable('redis');
        const { onRedisDown } = this.#limits;
        this.#log.error(
          { err: answer.cause, onRedisDown },
          'Redis did not count a tenant creation',
        );
        const reason: Reason = { code: 'redis-unavailable', evidence: {} };
        if (onRedisDown !== 'open') return { reasons: [reason], places: [] };
        reported.push(reason);
        return { reasons: [], places: [] };
      }
      default:
        return answer satisfies never;
    }
  }

  async #conclude(
    request: TenantCreationRequest,
    { reasons, reported, allowListed, places }: Judged,
    reference: string,
  ): Promise<Concluded> {
    if (reasons.length === 0) {
      const because = allowListed ? 'allow-listed' : 'clean';
      const verdict: Verdict = { allowed: true, because, reported, reference };
      if (places.length > 0) this.#places.set(verdict, places);
      return { verdict, override: null };
    }
    const all = [...reasons, ...reported];
    if (!this.#isEnforced) {
      const verdict: Verdict = { allowed: true, because: 'reported', reported: all, reference };
      return { verdict, override: null };
    }
    const refused: Concluded = { verdict: { allowed: false, reasons, reference }, override: null };
    // What cannot be read is not read here either: it may be of getters that throw.
    if (this.#tokens === null || !reasons.every(isOverridable)) return refused;
    const { overrideToken: token, subdomain, name } = request;
    if (typeof token !== 'string') return refused;
    const answer = await this.#tokens.spend(token, [subdomain || name]);
    switch (answer.kind) {
      case 'accepted':
        return {
          verdict: { allowed: true, because: 'overridden', reported: all, reference },
          override: `overruled by ${answer.operator}, token ${answer.id}`,
        };
      case 'refused':
        return { ...refused, override: `the override token was not accepted: ${answer.why}` };
      default:
        return answer satisfies never;
    }
  }
}

interface Judged {
  readonly reasons: readonly Reason[];
  /** Hit, and let through all the same: allow-listed, or put up with by configuration. */
  readonly reported: readonly Reason[];
  readonly allowListed: boolean;
  /** Taken of the limits; none where the request is refused. */
  readonly places: readonly string[];
}

interface Concluded {
  readonly verdict: Verdict;
  /** Who overruled, or why a token did not. */
  readonly override: string | null;
}

const refusedFor = (reasons: readonly Reason[]): Judged => ({
  reasons,
  reported: [],
  allowListed: false,
  places: [],
});

const FAILED = refusedFor([{ code: 'guard-failed', evidence: {} }]);
