import { emailDomain } from '../domain/test-data/email-domains.ts';
import { isWord } from '../domain/test-data/suspicious-words.ts';
import type { CaptchaSettings } from './captcha.ts';
import { CAPTCHA_PROVIDERS } from './captcha-providers.ts';
import type { Log, RedisClient } from './clients.ts';
import type { DetailSettings } from './details.ts';
import { isEmail } from './email-address.ts';
import type { OverrideSettings } from './override-token.ts';

/** What is wrong with one part of the guard's options, in words; empty: nothing. Pure, all of them. */

export function numberProblems(
  option: string,
  value: unknown,
  [least, most]: readonly [number, number],
): string[] {
  return Number.isInteger(value) && Number(value) >= least && Number(value) <= most
    ? []
    : [`${option}: must be a whole number from ${least} to ${most}`];
}

/** A misspelt `closed` must not count as `open`. */
export const choiceProblems = (
  option: string,
  value: unknown,
  choices: readonly string[],
): string[] =>
  typeof value === 'string' && choices.includes(value)
    ? []
    : [`${option}: must be one of ${choices.join(', ')}`];

export function clientProblems(clients: {
  readonly redis: RedisClient;
  readonly log: Log;
}): string[] {
  const { redis, log }: { readonly redis?: unknown; readonly log?: unknown } = clients;
  const problems: string[] = [];
  if (!has(redis, 'eval')) problems.push('redis: must be a client of ioredis');
  if (!['info', 'warn', 'error'].every((level) => has(log, level))) {
    problems.push('log: must have info, warn and error');
  }
  return problems;
}

const has = (client: unknown, method: string): boolean =>
  typeof client === 'object' &&
  client !== null &&
  typeof (client as Readonly<Record<string, unknown>>)[method] === 'function';

/** A name as the providers answer it. */
const HOSTNAME = /^[^\s/:@]+$/;

export function captchaProblems(captcha: CaptchaSettings, timeoutMaxMs: number): string[] {
  const { provider, secret, hostnames, timeoutMs, scoreMin, verifyUrl, onUnavailable } = captcha;
  const problems: string[] = [];
  if (!Object.hasOwn(CAPTCHA_PROVIDERS, provider)) {
    problems.push(`captcha.provider: must be one of ${Object.keys(CAPTCHA_PROVIDERS).join(', ')}`);
  }
  // Undefined where the environment has no such variable.
  if (!isFilled(secret)) problems.push('captcha.secret: is empty');
  if (!Array.isArray(hostnames) || hostnames.length === 0) {
    problems.push('captcha.hostnames: name the pages that the widget stands on');
  } else if (!hostnames.every((name) => typeof name === 'string' && HOSTNAME.test(name))) {
    problems.push('captcha.hostnames: must be names without https:// and port');
  }
  if (timeoutMs !== undefined) {
    problems.push(...numberProblems('captcha.timeoutMs', timeoutMs, [1, timeoutMaxMs]));
  }
  if (onUnavailable !== undefined) {
    problems.push(...choiceProblems('captcha.onUnavailable', onUnavailable, ['closed', 'open']));
  }
  if (scoreMin !== undefined && !(scoreMin >= 0 && scoreMin <= 1)) {
    problems.push('captcha.scoreMin: must be from 0 to 1');
  }
  // hCaptcha's score is a risk: the higher the worse; it names no action.
  if (scoreMin !== undefined && provider !== 'recaptcha') {
    problems.push('captcha.scoreMin: only reCAPTCHA v3 has such a score');
  }
  if (captcha.action !== undefined && provider === 'hcaptcha') {
    problems.push('captcha.action: hCaptcha names no action');
  }
  if (verifyUrl !== undefined && !isPlainUrl(verifyUrl)) {
    problems.push('captcha.verifyUrl: must be a URL that begins with https://, without a password');
  }
  return problems;
}

/** fetch takes no URL with a password, and says it in its error. */
function isPlainUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}

/** Without an audience a token for any service would do. */
export const overrideProblems = ({ key, audience }: OverrideSettings): string[] => [
  ...(isFilled(key) ? [] : ['override.key: is empty']),
  ...(isFilled(audience) ? [] : ['override.audience: is empty']),
];

/** Entries that could never match are mistakes: of an exception, or of a rule that seems to be there. */
export function listProblems(settings: DetailSettings): string[] {
  const { words, emailDomains, allowedEmailDomains, allow } = settings;
  return [
    ...entryProblems('words', words, 'one word of letters and digits', isWord),
    ...entryProblems('emailDomains', emailDomains, DOMAIN, isDomain),
    ...entryProblems('allowedEmailDomains', allowedEmailDomains, DOMAIN, isDomain),
    ...entryProblems('allow.emailDomains', allow?.emailDomains, DOMAIN, isDomain),
    ...entryProblems('allow.emails', allow?.emails, 'an e-mail address', isEmail),
  ];
}

const DOMAIN = 'a domain, e.g. "example.com"';

const isDomain = (text: string): boolean => !text.includes('@') && emailDomain(`@${text}`) !== null;

function entryProblems(
  option: string,
  entries: readonly unknown[] | undefined,
  form: string,
  isGood: (text: string) => boolean,
): string[] {
  const wrong = (entries ?? []).filter((entry) => typeof entry !== 'string' || !isGood(entry));
  return wrong.map((entry) => `${option}: ${JSON.stringify(entry)} is not ${form}`);
}

const isFilled = (value: unknown): boolean => typeof value === 'string' && value.trim() !== '';
