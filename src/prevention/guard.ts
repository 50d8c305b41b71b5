import { randomUUID } from 'node:crypto';
import { environmentName } from '../domain/environment.ts';
import { type CaptchaAnswer, verifyCaptcha } from './captcha.ts';
import { clientAddress, type Networks, parseNetworks } from './client-address.ts';
import type { Query } from './clients.ts';
import { DetailRules } from './details.ts';
import { type Metrics, makeMetrics, type Outcome } from './metrics.ts';
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

export type Verdict =
  | {
      readonly allowed: true;
      /** `clean`: nothing refuses, see `reported`; `reported`: it would be refused in production. */
      readonly because: 'clean' | 'allow-listed' | 'overridden' | 'reported';
      /** Rules that were hit all the same. */
      readonly reported: readonly Reason[];
      /** Stands in the log. */
      readonly reference: string;
    }
  | {
      readonly allowed: false;
      readonly reasons: readonly Reason[];
      readonly reference: string;
    };

/** What a tenant is judged by once it is created. */
export type CreatedTenant = Pick<CheckedRequest, 'name' | 'subdomain' | 'email'>;

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
  readonly #log: PreventionLog;

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
    this.#log = new PreventionLog(options.log, options.query ?? null, this.#metrics);
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
    let judged: Judged;
    try {
      judged = await this.#judge(request);
    } catch (err) {
      this.#options.log.error({ err, reference }, 'the guard failed; the tenant is refused');
      judged = {
        reasons: [{ code: 'guard-failed', evidence: {} }],
        reported: [],
        allowListed: false,
      };
    }
    const { verdict, override } = await this.#conclude(request, judged, reference);
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
        this.#log.write({ reference, outcome, reasons: shown, request, override });
      } catch (err) {
        // A payload of getters that throw, say: no reason to judge otherwise.
        this.#metrics.logLost(1);
        this.#options.log.error({ err, reference }, 'a verdict could not be logged');
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
    await query(`SELECT set_config('${ADMIT_SETTING}', $1, true)`, [
      tenant.subdomain ?? tenant.name,
    ]);
  }

  /** Counts a tenant that was created, by whichever way; says so where it has a test word. */
  recordCreated(tenant: CreatedTenant): void {
    const words = this.#details
      .findings(tenant)
      .filter(({ code }) => code === 'suspicious-word')
      .map(({ evidence }) => evidence['match']);
    this.#metrics.created(words.length > 0);
    if (words.length > 0) {
      this.#options.log.warn({ words }, 'a tenant with a test word was created');
    }
  }

  /** When every log row of the verdicts so far is written, or lost; for shutdown. */
  settle(): Promise<void> {
    return this.#log.settle();
  }

  async #judge(request: TenantCreationRequest): Promise<Judged> {
    const read = readRequest(request);
    if (read.value === null) return { reasons: [read.reason], reported: [], allowListed: false };
    const found = this.#details.findings(read.value);
    const allowListed = found.length > 0 && this.#details.isAllowed(read.value);
    const reported: Reason[] = allowListed ? [...found] : [];
    if (found.length > 0 && !allowListed) return { reasons: found, reported, allowListed };
    const captcha = await this.#askCaptcha(request, read.value, reported);
    if (captcha !== null) return { reasons: [captcha], reported, allowListed };
    const reasons = await this.#takePlaces(read.value, reported);
    return { reasons, reported, allowListed };
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
        this.#options.log.error({ reason: answer.reason }, 'the CAPTCHA could not be verified');
        if (isRedis || captcha.onUnavailable !== 'open') return answer.reason;
        reported.push(answer.reason);
        return null;
      }
      default:
        return answer satisfies never;
    }
  }

  async #takePlaces({ ip, email }: CheckedRequest, reported: Reason[]): Promise<readonly Reason[]> {
    const counted = this.#details.isUncounted(ip) ? null : ip;
    const answer = await this.#rates.take({ ip: counted, email });
    switch (answer.kind) {
      case 'taken':
        return [];
      case 'exceeded':
        return answer.reasons;
      case 'unavailable': {
        this.#metrics.unavailable('redis');
        const { onRedisDown } = this.#limits;
        this.#options.log.error(
          { err: answer.cause, onRedisDown },
          'Redis did not count a tenant creation',
        );
        const reason: Reason = { code: 'redis-unavailable', evidence: {} };
        if (onRedisDown === 'closed') return [reason];
        reported.push(reason);
        return [];
      }
      default:
        return answer satisfies never;
    }
  }

  async #conclude(
    request: TenantCreationRequest,
    { reasons, reported, allowListed }: Judged,
    reference: string,
  ): Promise<{ readonly verdict: Verdict; readonly override: string | null }> {
    if (reasons.length === 0) {
      const because = allowListed ? 'allow-listed' : 'clean';
      return { verdict: { allowed: true, because, reported, reference }, override: null };
    }
    const all = [...reasons, ...reported];
    if (!this.#isEnforced) {
      const verdict: Verdict = { allowed: true, because: 'reported', reported: all, reference };
      return { verdict, override: null };
    }
    const { overrideToken: token, subdomain, name } = request;
    if (this.#tokens === null || typeof token !== 'string' || !reasons.every(isOverridable)) {
      return { verdict: { allowed: false, reasons, reference }, override: null };
    }
    const answer = await this.#tokens.spend(token, [subdomain || name]);
    switch (answer.kind) {
      case 'accepted':
        return {
          verdict: { allowed: true, because: 'overridden', reported: all, reference },
          override: `overruled by ${answer.operator}, token ${answer.id}`,
        };
      case 'refused':
        return {
          verdict: { allowed: false, reasons, reference },
          override: `the override token was not accepted: ${answer.why}`,
        };
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
}

function outcomeOf(verdict: Verdict): Outcome {
  if (!verdict.allowed) return 'refused';
  const { because, reported } = verdict;
  switch (because) {
    case 'overridden':
      return 'overridden';
    case 'reported':
      return 'reported';
    case 'clean':
    case 'allow-listed':
      return reported.length === 0 ? 'allowed' : 'reported';
    default:
      return because satisfies never;
  }
}
