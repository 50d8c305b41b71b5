import {
  CAPTCHA_PROVIDERS,
  type CaptchaProviderName,
  OUR_FAULTS,
  THEIR_FAULTS,
  USED_BEFORE,
} from './captcha-providers.ts';
import { type Fetch, withinTime } from './clients.ts';
import type { Reason, ReasonCode } from './reason.ts';
import type { SharedMemory } from './shared-memory.ts';

export interface CaptchaSettings {
  readonly provider: CaptchaProviderName;
  readonly secret: string;
  /** The page's site key; hCaptcha checks that the token was made with it. */
  readonly siteKey?: string;
  /** Names of the pages that the widget stands on; a token of any other page is refused. */
  readonly hostnames: readonly string[];
  /** Default: the provider's own address. */
  readonly verifyUrl?: string;
  /** Default 3,000. */
  readonly timeoutMs?: number;
  /** What happens while the provider does not answer; default `closed`. */
  readonly onUnavailable?: 'closed' | 'open';
  /** reCAPTCHA v3: the least score, 0 to 1. */
  readonly scoreMin?: number;
  /** reCAPTCHA v3 and Turnstile: the action that the page names. */
  readonly action?: string;
}

export type CaptchaAnswer =
  | { readonly kind: 'passed' }
  | { readonly kind: 'refused'; readonly reason: Reason }
  /** Nobody knows: the provider, or our Redis, did not answer, or our settings are wrong. */
  | { readonly kind: 'unavailable'; readonly reason: Reason };

const TIMEOUT_MS = 3_000;
const GRACE_MS = 100;
const TOKEN_LENGTH_MAX = 16_384;
const ANSWER_BYTES_MAX = 65_536;
/** Tokens live two minutes (reCAPTCHA, hCaptcha) or five (Turnstile); then the provider refuses them. */
const REMEMBER_MS = 600_000;
const CHALLENGE_AGE_MAX_MS = 600_000;
/** Clocks of theirs and ours. */
const CHALLENGE_AHEAD_MAX_MS = 60_000;

/**
 * Asks the provider whether the token is good, once: a token that any process has verified before is
 * refused without asking. Takes `timeoutMs` plus Redis's bound at most, and never throws. The answer
 * is believed only where it names one of our pages and, where configured, action and score.
 * @param parts.requiresMemory false where a Redis that is away is put up with: the provider refuses
 *   duplicates too
 */
export async function verifyCaptcha(
  settings: CaptchaSettings,
  { token, ip }: { readonly token: string | undefined; readonly ip: string },
  parts: { readonly memory: SharedMemory; readonly requiresMemory: boolean; readonly fetch: Fetch },
): Promise<CaptchaAnswer> {
  if (typeof token !== 'string' || token === '') return refused('captcha-missing', {});
  if (token.length > TOKEN_LENGTH_MAX) {
    return refused('captcha-rejected', { why: 'the token is longer than any' });
  }
  const memory = await reserve(parts, token);
  if (memory.kind !== 'passed') return memory;
  const answer = await ask(settings, { token, ip }, parts.fetch);
  // Whoever signs up may try again with the same token: the provider has not answered for it.
  if (answer.kind === 'unavailable') {
    await parts.memory.forget('captcha', token).catch(() => undefined);
  }
  return answer;
}

/** Before the provider is asked: two requests with one token at once must not both pass. */
async function reserve(
  { memory, requiresMemory }: { readonly memory: SharedMemory; readonly requiresMemory: boolean },
  token: string,
): Promise<CaptchaAnswer> {
  try {
    const isFirst = await memory.isFirst('captcha', token, {
      forMs: REMEMBER_MS,
      late: requiresMemory ? 'forget' : 'keep',
    });
    return isFirst ? { kind: 'passed' } : refused('captcha-replayed', { seenBy: 'us' });
  } catch (error) {
    if (!requiresMemory) return { kind: 'passed' };
    return unavailable('redis-unavailable', messageOf(error));
  }
}

async function ask(
  settings: CaptchaSettings,
  { token, ip }: { readonly token: string; readonly ip: string },
  fetch: Fetch,
): Promise<CaptchaAnswer> {
  const form = new URLSearchParams({ secret: settings.secret, response: token, remoteip: ip });
  if (settings.provider === 'hcaptcha' && settings.siteKey !== undefined) {
    form.set('sitekey', settings.siteKey);
  }
  const timeoutMs = settings.timeoutMs ?? TIMEOUT_MS;
  const request: RequestInit = {
    method: 'POST',
    body: form,
    headers: { accept: 'application/json' },
    // The secret goes to nobody else.
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
  };
  const url = settings.verifyUrl ?? CAPTCHA_PROVIDERS[settings.provider].verifyUrl;
  let body: unknown;
  try {
    // A fetch that is handed in may not heed the signal.
    const answer = await withinTime(exchange(fetch, url, request), timeoutMs + GRACE_MS, url);
    if (answer.kind === 'failed') {
      return unavailable('captcha-unavailable', `the provider answered ${answer.status}`);
    }
    body = JSON.parse(answer.text);
  } catch (error) {
    return unavailable('captcha-unavailable', messageOf(error));
  }
  return judgeAnswer(settings, body, Date.now());
}

async function exchange(
  fetch: Fetch,
  url: string,
  request: RequestInit,
): Promise<
  | { readonly kind: 'failed'; readonly status: number }
  | { readonly kind: 'answered'; readonly text: string }
> {
  const response = await fetch(url, request);
  if (response.status >= 500 || response.status === 429) {
    await response.body?.cancel();
    return { kind: 'failed', status: response.status };
  }
  return { kind: 'answered', text: await readText(response) };
}

/** The provider's JSON, of any form, into an answer. Pure. */
export function judgeAnswer(
  settings: CaptchaSettings,
  body: unknown,
  nowMs: number,
): CaptchaAnswer {
  if (typeof body !== 'object' || body === null || !('success' in body)) {
    return unavailable('captcha-unavailable', 'the provider gave an answer without "success"');
  }
  const answer = body as Readonly<Record<string, unknown>>;
  if (answer['success'] !== true) return judgeFailure(answer['error-codes']);
  const hostname = textOf(answer['hostname']).toLowerCase();
  if (!settings.hostnames.some((expected) => expected.toLowerCase() === hostname)) {
    return refused('captcha-hostname', { hostname });
  }
  const ageMs = nowMs - Date.parse(textOf(answer['challenge_ts']));
  if (!(ageMs <= CHALLENGE_AGE_MAX_MS && ageMs >= -CHALLENGE_AHEAD_MAX_MS)) {
    return refused('captcha-rejected', { challenge: textOf(answer['challenge_ts']) });
  }
  const action = textOf(answer['action']);
  if (settings.action !== undefined && action !== settings.action) {
    return refused('captcha-rejected', { action });
  }
  const { score } = answer;
  // A key of v3 succeeds for everybody and leaves the judgement to the score.
  if (settings.provider === 'recaptcha' && settings.scoreMin === undefined && score !== undefined) {
    return unavailable('captcha-unavailable', 'our settings are wrong: a v3 key needs scoreMin');
  }
  if (settings.scoreMin !== undefined) {
    if (typeof score !== 'number' || !(score >= settings.scoreMin)) {
      return refused('captcha-rejected', { score: Number(score), scoreMin: settings.scoreMin });
    }
  }
  return { kind: 'passed' };
}

function judgeFailure(given: unknown): CaptchaAnswer {
  const codes = Array.isArray(given) ? given.slice(0, 10).map(textOf) : [];
  if (codes.some((code) => OUR_FAULTS.has(code))) {
    return unavailable('captcha-unavailable', `our settings are wrong: ${codes.join(', ')}`);
  }
  if (codes.some((code) => THEIR_FAULTS.has(code))) {
    return unavailable('captcha-unavailable', `the provider failed: ${codes.join(', ')}`);
  }
  return codes.some((code) => USED_BEFORE.has(code))
    ? refused('captcha-replayed', { seenBy: 'provider', codes })
    : refused('captcha-rejected', { codes });
}

/** An answer has a few hundred bytes; more than the bound is no answer. */
async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > ANSWER_BYTES_MAX) throw new Error('the provider answered too much');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

const TEXT_LENGTH_MAX = 200;

const textOf = (value: unknown): string =>
  typeof value === 'string' ? value.slice(0, TEXT_LENGTH_MAX) : '';

const refused = (code: ReasonCode, evidence: Reason['evidence']): CaptchaAnswer => ({
  kind: 'refused',
  reason: { code, evidence },
});

const unavailable = (code: ReasonCode, why: string): CaptchaAnswer => ({
  kind: 'unavailable',
  reason: { code, evidence: { why } },
});

const messageOf = (thrown: unknown): string =>
  (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, TEXT_LENGTH_MAX);
