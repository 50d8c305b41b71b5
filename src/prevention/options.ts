import type { Registry } from 'prom-client';
import { PurgeError } from '../domain/errors.ts';
import type { CaptchaSettings } from './captcha.ts';
import { CAPTCHA_PROVIDERS } from './captcha-providers.ts';
import type { Fetch, Log, Query, RedisClient } from './clients.ts';
import type { DetailSettings } from './details.ts';
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

export const LIMIT_DEFAULTS: Required<LimitOptions> = {
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
 * The limits with their defaults. @throws PurgeError CONFIG_INVALID with every problem of limits and
 * CAPTCHA: a guard that is set up wrongly must not come up and let everybody in.
 */
export function checkOptions({ limits = {}, captcha }: PreventionOptions): Required<LimitOptions> {
  const checked = { ...LIMIT_DEFAULTS, ...definedOf(limits) };
  const problems: string[] = [];
  const number = (name: string, value: number, least: number, most: number): void => {
    if (!(Number.isInteger(value) && value >= least && value <= most)) {
      problems.push(`${name}: must be a whole number from ${least} to ${most}`);
    }
  };
  number('limits.perIp', checked.perIp, 1, POINTS_MAX);
  number('limits.perEmail', checked.perEmail, 1, POINTS_MAX);
  number('limits.windowMs', checked.windowMs, 1_000, WINDOW_MAX_MS);
  if (checked.windowMs % 1_000 !== 0) problems.push('limits.windowMs: must be whole seconds');
  number('limits.redisTimeoutMs', checked.redisTimeoutMs, 1, TIMEOUT_MAX_MS);
  if (captcha !== undefined) {
    if (!(captcha.provider in CAPTCHA_PROVIDERS)) {
      problems.push(
        `captcha.provider: must be one of ${Object.keys(CAPTCHA_PROVIDERS).join(', ')}`,
      );
    }
    if (captcha.secret === '') problems.push('captcha.secret: is empty');
    if (captcha.hostnames.length === 0) {
      problems.push('captcha.hostnames: name the pages that the widget stands on');
    }
    const { timeoutMs, scoreMin, verifyUrl } = captcha;
    if (timeoutMs !== undefined) number('captcha.timeoutMs', timeoutMs, 1, TIMEOUT_MAX_MS);
    if (scoreMin !== undefined && !(scoreMin >= 0 && scoreMin <= 1)) {
      problems.push('captcha.scoreMin: must be from 0 to 1');
    }
    // hCaptcha's score is a risk: the higher the worse; it names no action.
    if (scoreMin !== undefined && captcha.provider !== 'recaptcha') {
      problems.push('captcha.scoreMin: only reCAPTCHA v3 has such a score');
    }
    if (captcha.action !== undefined && captcha.provider === 'hcaptcha') {
      problems.push('captcha.action: hCaptcha names no action');
    }
    if (verifyUrl !== undefined && !/^https?:/.test(verifyUrl)) {
      problems.push('captcha.verifyUrl: must be a URL that begins with https://');
    }
  }
  if (problems.length > 0) {
    throw new PurgeError(
      'CONFIG_INVALID',
      `The options of the guard have problems:\n${problems.map((one) => `  - ${one}`).join('\n')}`,
      { details: { problems }, remedy: 'Correct them where the guard is made.' },
    );
  }
  return checked;
}

/** An option that is passed as undefined has its default too. */
const definedOf = (options: LimitOptions): LimitOptions =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
