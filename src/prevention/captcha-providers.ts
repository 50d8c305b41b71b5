/** What the three providers have in common, and where they differ. */
interface CaptchaProvider {
  readonly verifyUrl: string;
  /** Field of the form that the widget fills in. */
  readonly field: string;
  /** For the page: script of the widget, and the class of the element that it replaces. */
  readonly scriptUrl: string;
  readonly elementClass: string;
  /** Object that the script makes: its `reset()` lets whoever signs up solve another challenge. */
  readonly scriptObject: string;
  /** For the page's Content-Security-Policy: what script-, frame-, style- and connect-src must allow. */
  readonly cspSources: readonly string[];
}

export const CAPTCHA_PROVIDERS = {
  hcaptcha: {
    verifyUrl: 'https://api.hcaptcha.com/siteverify',
    field: 'h-captcha-response',
    scriptUrl: 'https://js.hcaptcha.com/1/api.js',
    elementClass: 'h-captcha',
    scriptObject: 'hcaptcha',
    cspSources: ['https://hcaptcha.com', 'https://*.hcaptcha.com'],
  },
  recaptcha: {
    verifyUrl: 'https://www.google.com/recaptcha/api/siteverify',
    field: 'g-recaptcha-response',
    scriptUrl: 'https://www.google.com/recaptcha/api.js',
    elementClass: 'g-recaptcha',
    scriptObject: 'grecaptcha',
    cspSources: [
      'https://www.google.com/recaptcha/',
      'https://www.gstatic.com/recaptcha/',
      'https://recaptcha.google.com/recaptcha/',
    ],
  },
  turnstile: {
    verifyUrl: 'https://challenges.cloudflare.com/turnstile/v0/siteverify',
    field: 'cf-turnstile-response',
    scriptUrl: 'https://challenges.cloudflare.com/turnstile/v0/api.js',
    elementClass: 'cf-turnstile',
    scriptObject: 'turnstile',
    cspSources: ['https://challenges.cloudflare.com'],
  },
} as const satisfies Record<string, CaptchaProvider>;

export type CaptchaProviderName = keyof typeof CAPTCHA_PROVIDERS;

/** `error-codes` that blame us, not who signs up: the secret, the site key, the request's form. */
export const OUR_FAULTS: ReadonlySet<string> = new Set([
  'missing-input-secret',
  'invalid-input-secret',
  'bad-request',
  'sitekey-secret-mismatch',
  'invalid-sitekey',
  'invalid-keys',
  'not-using-dummy-passcode',
]);

/** `error-codes` of a provider that cannot answer now. */
export const THEIR_FAULTS: ReadonlySet<string> = new Set(['internal-error', 'rate-limited']);

/** `error-codes` of a token that was verified before, or is too old. */
export const USED_BEFORE: ReadonlySet<string> = new Set([
  'timeout-or-duplicate',
  'already-seen-response',
  'invalid-or-already-seen-response',
  'expired-input-response',
]);
