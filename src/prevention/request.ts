import { plainAddress } from './client-address.ts';
import { isEmail } from './email-address.ts';
import type { Reason } from './reason.ts';

/** Who wants which tenant. Whatever comes in is judged, of whatever type and length. */
export interface TenantCreationRequest {
  readonly name: string;
  /** Null where the application has none. */
  readonly subdomain: string | null;
  readonly email: string;
  /** Of whoever asks, see `clientAddress`; not of a proxy. */
  readonly ip: string;
  /** What the widget gave the browser; looked at where a CAPTCHA is configured. */
  readonly captchaToken?: string | undefined;
  /** An operator's signed token, from `tenant-purge prevention token`. */
  readonly overrideToken?: string | undefined;
  /** For the log: which way the request came in. */
  readonly endpoint?: string | undefined;
  /** For the log: all that was sent; redacted before it is kept. */
  readonly payload?: unknown;
}

/** A request that can be judged. */
export interface CheckedRequest {
  readonly name: string;
  readonly subdomain: string | null;
  readonly email: string;
  readonly ip: string;
}

const NAME_LENGTH_MAX = 200;
/** The longest name of DNS: an application may have subdomains of several labels. */
const SUBDOMAIN_LENGTH_MAX = 253;

/** Reads what may be anything. Never throws. Linear in what it keeps. Pure. */
export function readRequest(
  request: TenantCreationRequest,
): { readonly value: CheckedRequest } | { readonly value: null; readonly reason: Reason } {
  const { name, subdomain, email, ip }: Readonly<Record<keyof CheckedRequest, unknown>> = request;
  const fields: string[] = [];
  if (!isText(name, NAME_LENGTH_MAX)) fields.push('name');
  const hasSubdomain = subdomain !== null && subdomain !== undefined && subdomain !== '';
  if (hasSubdomain && !isText(subdomain, SUBDOMAIN_LENGTH_MAX)) fields.push('subdomain');
  const written = typeof email === 'string' ? email.trim() : '';
  if (!isEmail(written)) fields.push('email');
  const address = typeof ip === 'string' ? plainAddress(ip) : null;
  if (address === null) fields.push('ip');
  if (fields.length > 0 || typeof name !== 'string' || address === null) {
    return { value: null, reason: { code: 'input-invalid', evidence: { fields } } };
  }
  return {
    value: {
      name,
      subdomain: typeof subdomain === 'string' && hasSubdomain ? subdomain : null,
      email: written,
      ip: address,
    },
  };
}

/**
 * NUL, backspace, escape and the like, which no keyboard puts into a name: PostgreSQL takes no NUL, and
 * people do not see what they hide.
 */
const CONTROL = /[^\P{Cc}\t\r\n]/u;

const isText = (value: unknown, lengthMax: number): boolean =>
  typeof value === 'string' &&
  value.trim() !== '' &&
  value.length <= lengthMax &&
  !CONTROL.test(value);
