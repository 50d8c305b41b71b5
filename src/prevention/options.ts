import type { Registry } from 'prom-client';
import { PurgeError } from '../domain/errors.ts';
import type { CaptchaSettings } from './captcha.ts';
import type { Fetch, Log, Query, RedisClient } from './clients.ts';
import type { DetailSettings } from './details.ts';
import {
  captchaProblems,
  choiceProblems,
  clientProblems,
  listProblems,
  numberProblems,
  overrideProblems,
} from './option-problems.ts';
import type { OverrideSettings } from './override-token.ts';

export interface PreventionOptions extends DetailSettings {
  /** As ENVIRONMENT says; unset counts as production. */
  readonly environment: string | undefined;
  readonly redis: RedisClient;
  readonly log: Log;
  /** `pool.query`: where refusals are logged; without it, in the log alone. */
  readonly query?: Query;
  /** Of prom-client: where the guard counts. */
  readonly registry?: Registry;
  /** For the CAPTCHA provider; default: Node's own. */
  readonly fetch?: Fetch;
  readonly limits?: LimitOptions;
  readonly captcha?: CaptchaSettings;
  readonly override?: OverrideSettings;
  /** Addresses and networks whose X-Forwarded-For is believed; default none. */
  readonly trustedProxies?: readonly string[];
  /** Environments in which the guard refuses; elsewhere it reports. Default: production, prod, live. */
  readonly enforceIn?: readonly string[];
}

export interface LimitOptions {
  /** Default 3. */
  readonly perIp?: number;
  /** Default 3. */
  readonly perEmail?: number;
  /** Default one hour; whole seconds. */
  readonly windowMs?: number;
  /** What happens while Redis does not answer; default `closed`: nobody is created. */
  readonly onRedisDown?: 'closed' | 'open';
  /** How long Redis is waited for; default 500. */
  readonly redisTimeoutMs?: number;
}

export const ENFORCED_ENVIRONMENTS: readonly string[] = ['production', 'prod', 'live'];

const LIMIT_DEFAULTS: Required<LimitOptions> = {
  perIp: 3,
  perEmail: 3,
  windowMs: 3_600_000,
  onRedisDown: 'closed',
  redisTimeoutMs: 500,
};

const POINTS_MAX = 1_000_000;
const WINDOW_MAX_MS = 30 * 86_400_000;
const TIMEOUT_MAX_MS = 60_000;

/**
 * The limits with their defaults. @throws PurgeError CONFIG_INVALID with every problem: a guard that is
 * set up wrongly must not come up and let everybody in, or nobody. Values are looked at as they are, not
 * as their types say: they come from the environment and from plain JavaScript too.
 */
export function checkOptions(options: PreventionOptions): Required<LimitOptions> {
  const checked = { ...LIMIT_DEFAULTS, ...definedOf(options.limits ?? {}) };
  const problems = [
    ...clientProblems(options),
    ...limitProblems(checked),
    ...(options.captcha === undefined ? [] : captchaProblems(options.captcha, TIMEOUT_MAX_MS)),
    ...(options.override === undefined ? [] : overrideProblems(options.override)),
    ...listProblems(options),
  ];
  if (problems.length > 0) {
    throw new PurgeError(
      'CONFIG_INVALID',
      `The options of the guard have problems:\n${problems.map((one) => `  - ${one}`).join('\n')}`,
      { details: { problems }, remedy: 'Correct them where the guard is made.' },
    );
  }
  return checked;
}

function limitProblems(limits: Required<LimitOptions>): string[] {
  const { windowMs, onRedisDown } = limits;
  const problems = [
    ...numberProblems('limits.perIp', limits.perIp, [1, POINTS_MAX]),
    ...numberProblems('limits.perEmail', limits.perEmail, [1, POINTS_MAX]),
    ...numberProblems('limits.windowMs', windowMs, [1_000, WINDOW_MAX_MS]),
  ];
  if (windowMs % 1_000 !== 0) problems.push('limits.windowMs: must be whole seconds');
  problems.push(
    ...numberProblems('limits.redisTimeoutMs', limits.redisTimeoutMs, [1, TIMEOUT_MAX_MS]),
    ...choiceProblems('limits.onRedisDown', onRedisDown, ['closed', 'open']),
  );
  return problems;
}

/** An option that is passed as undefined has its default too. */
const definedOf = (options: LimitOptions): LimitOptions =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
