import type { DetailRule } from '../domain/test-data/finding.ts';

/** Why a tenant is not created; programs match on these. The first four are diagnosis's own rules. */
export type ReasonCode =
  | DetailRule
  | 'input-invalid'
  | 'rate-limit-ip'
  | 'rate-limit-email'
  | 'captcha-missing'
  | 'captcha-rejected'
  | 'captcha-replayed'
  | 'captcha-hostname'
  | 'captcha-unavailable'
  | 'redis-unavailable'
  | 'guard-failed';

export const REASON_CODES: readonly ReasonCode[] = [
  'suspicious-word',
  'reserved-email-domain',
  'listed-email-domain',
  'disposable-email-domain',
  'input-invalid',
  'rate-limit-ip',
  'rate-limit-email',
  'captcha-missing',
  'captcha-rejected',
  'captcha-replayed',
  'captcha-hostname',
  'captcha-unavailable',
  'redis-unavailable',
  'guard-failed',
];

/** One rule that a request hit, with what shows it. For the log, never for whoever signs up. */
export interface Reason {
  readonly code: ReasonCode;
  /** Facts; never a mailbox, a token or a secret. */
  readonly evidence: Readonly<Record<string, string | number | readonly string[]>>;
}

/** The codes that an operator's token does not overrule: what cannot be read cannot be judged. */
export const isOverridable = ({ code }: Reason): boolean =>
  code !== 'input-invalid' && code !== 'guard-failed';

/** `suspicious-word (field name, match test)`, for a log line. */
export function describeReason({ code, evidence }: Reason): string {
  const facts = Object.entries(evidence).map(([name, fact]) => `${name} ${String(fact)}`);
  return facts.length === 0 ? code : `${code} (${facts.join(', ')})`;
}
