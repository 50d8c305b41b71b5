import type { DetailRule, Finding } from './finding.ts';

/** Top-level domains that nobody can own: RFC 2606 and RFC 6761. */
export const RESERVED_TLDS: readonly string[] = ['test', 'example', 'invalid', 'localhost'];

/** Second-level domains that nobody can own, RFC 2606. */
export const RESERVED_DOMAINS: readonly string[] = ['example.com', 'example.net', 'example.org'];

/** Domains that test data is signed up with although somebody owns them, and well-known throw-aways. */
export const LISTED_DOMAINS: readonly string[] = [
  'test.com',
  'fake.com',
  'temp.com',
  'throwaway.email',
  'guerrillamail.com',
  'mailinator.com',
  '10minutemail.com',
];

/** What domains are compared with; lower case, without a final dot. */
export interface EmailDomainLists {
  readonly listed: ReadonlySet<string>;
  /** Thousands of domains of throw-away mailboxes, from a kept list. */
  readonly disposable: ReadonlySet<string>;
  /** Never suspicious, whatever the others say; with everything below them. */
  readonly allowed: ReadonlySet<string>;
}

/** The lists as the configuration adds to them; the domain's room loads no package, so it is handed in. */
export function emailDomainLists({
  listed = LISTED_DOMAINS,
  disposable,
  allowed = [],
}: {
  readonly listed?: readonly string[];
  readonly disposable: Iterable<string>;
  readonly allowed?: readonly string[];
}): EmailDomainLists {
  return {
    listed: domainSet(listed),
    disposable: domainSet(disposable),
    allowed: domainSet(allowed),
  };
}

/** The longest domain of DNS. What is longer is no domain, and is not looked at. */
const DOMAIN_LENGTH_MAX = 253;

/**
 * The domain of an e-mail address as it is compared: lower case, ASCII (`münchen.de` as
 * `xn--mnchen-3ya.de`), without a final dot or blanks; null where there is none. Pure.
 */
export function emailDomain(email: string): string | null {
  const at = email.lastIndexOf('@');
  if (at === -1) return null;
  const written = email
    .slice(at + 1, at + 3 + DOMAIN_LENGTH_MAX + 64)
    .trim()
    .replace(/>$/, '');
  return normaliseDomain(written);
}

/**
 * The finding for an address whose domain, or a parent of it, is reserved, listed or disposable, in this
 * order; null for one that is not, and for text without a domain. Whole labels: `mail.mailinator.com`
 * is hit, `mailinatorial.com` and `mailinator.com.acme.org` are not. Linear. Pure.
 */
export function suspiciousEmailDomain(email: string, lists: EmailDomainLists): Finding | null {
  const value = emailDomain(email);
  if (value === null) return null;
  const suffixes = suffixesOf(value);
  if (suffixes.some((suffix) => lists.allowed.has(suffix))) return null;
  for (const [rule, list] of rulesOf(lists)) {
    const match = suffixes.find((suffix) => list.has(suffix));
    if (match !== undefined) return { rule, evidence: { value, match } };
  }
  return null;
}

const RESERVED: ReadonlySet<string> = new Set([...RESERVED_TLDS, ...RESERVED_DOMAINS]);

const rulesOf = (lists: EmailDomainLists): [DetailRule, ReadonlySet<string>][] => [
  ['reserved-email-domain', RESERVED],
  ['listed-email-domain', lists.listed],
  ['disposable-email-domain', lists.disposable],
];

/** `a.b.c` → `a.b.c`, `b.c`, `c`; at most 127, as a domain has no more labels. */
function suffixesOf(domain: string): string[] {
  const labels = domain.split('.');
  return labels.map((_, index) => labels.slice(index).join('.'));
}

function domainSet(domains: Iterable<string>): ReadonlySet<string> {
  const set = new Set<string>();
  for (const domain of domains) {
    const normal = normaliseDomain(domain);
    if (normal !== null) set.add(normal);
  }
  return set;
}

const PLAIN = /^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/;

/** Null for what cannot be a domain. */
function normaliseDomain(written: string): string | null {
  const lower = written.trim().toLowerCase().replace(/\.$/, '');
  if (PLAIN.test(lower)) return lower.length <= DOMAIN_LENGTH_MAX ? lower : null;
  // What a URL would take for user, port or path is no part of a domain.
  if (lower === '' || /[\s/?#@:[\]\\%]/.test(lower) || !URL.canParse(`http://${lower}`))
    return null;
  const { hostname } = new URL(`http://${lower}`);
  return PLAIN.test(hostname) && hostname.length <= DOMAIN_LENGTH_MAX ? hostname : null;
}
