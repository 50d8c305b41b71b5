import { disposableEmailBlocklistSet } from 'disposable-email-domains-js';
import {
  type EmailDomainLists,
  emailDomain,
  emailDomainLists,
  LISTED_DOMAINS,
  suspiciousEmailDomain,
} from '../domain/test-data/email-domains.ts';
import type { Finding } from '../domain/test-data/finding.ts';
import { SUSPICIOUS_WORDS, suspiciousWords } from '../domain/test-data/suspicious-words.ts';
import { parseNetworks } from './client-address.ts';
import { emailKey } from './email-address.ts';
import type { Reason } from './reason.ts';
import type { CheckedRequest } from './request.ts';

export interface DetailSettings {
  /** Words besides diagnosis's own. */
  readonly words?: readonly string[];
  /** Domains besides diagnosis's own, with everything below them. */
  readonly emailDomains?: readonly string[];
  /** Domains that are never suspicious, whatever the lists say, with everything below them. */
  readonly allowedEmailDomains?: readonly string[];
  readonly allow?: AllowList;
}

/**
 * Who is not asked about name and domain. What somebody types proves nothing, so that limits and
 * CAPTCHA hold for them too; only `ips`, which cannot be typed, are not counted by address.
 */
export interface AllowList {
  /** Whole names, e.g. `Test Equipment Ltd`; case does not matter. */
  readonly names?: readonly string[];
  readonly subdomains?: readonly string[];
  /** Mailboxes, however they are spelled. */
  readonly emails?: readonly string[];
  /** Domains with everything below them. */
  readonly emailDomains?: readonly string[];
  /** Addresses and networks. */
  readonly ips?: readonly string[];
}

/** The rules that diagnosis has too, over what a request says of itself. */
export class DetailRules {
  readonly #words: readonly string[];
  readonly #lists: EmailDomainLists;
  readonly #allowed: (request: CheckedRequest) => boolean;
  readonly #exempt: (ip: string) => boolean;

  /** @throws PurgeError CONFIG_INVALID for an allowed network that is none */
  constructor(settings: DetailSettings) {
    const { words = [], allow = {} } = settings;
    this.#words = [...SUSPICIOUS_WORDS, ...words];
    this.#lists = domainListsOf(settings);
    const networks = parseNetworks(allow.ips ?? [], 'allow.ips');
    const names = new Set(allow.names?.map(caseless));
    const subdomains = new Set(allow.subdomains?.map(caseless));
    const emails = new Set(allow.emails?.map(emailKey));
    const emailDomains = new Set(allow.emailDomains?.map((one) => emailDomain(`@${one}`)));
    this.#exempt = (ip) => networks.contains(ip);
    this.#allowed = (request) =>
      names.has(caseless(request.name)) ||
      (request.subdomain !== null && subdomains.has(caseless(request.subdomain))) ||
      emails.has(emailKey(request.email)) ||
      suffixesOf(emailDomain(request.email) ?? '').some((suffix) => emailDomains.has(suffix)) ||
      networks.contains(request.ip);
  }

  /** The suspicious words of texts, each once; what is no text has none. Pure. */
  wordsOf(texts: readonly unknown[]): string[] {
    const found = texts
      .filter((text) => typeof text === 'string')
      .flatMap((text) => suspiciousWords(text, this.#words));
    return [...new Set(found.map(({ evidence }) => evidence.match))];
  }

  /** What the request says that looks like test data. Linear. Pure. */
  findings({ name, subdomain, email }: Omit<CheckedRequest, 'ip'>): Reason[] {
    const inName = suspiciousWords(name, this.#words).map((found) => toReason(found, 'name'));
    const inSubdomain = suspiciousWords(subdomain ?? '', this.#words).map((found) =>
      toReason(found, 'subdomain'),
    );
    const domain = suspiciousEmailDomain(email, this.#lists);
    return [...inName, ...inSubdomain, ...(domain === null ? [] : [toReason(domain, 'email')])];
  }

  isAllowed(request: CheckedRequest): boolean {
    return this.#allowed(request);
  }

  /** True where requests of the address are not counted. */
  isUncounted(ip: string): boolean {
    return this.#exempt(ip);
  }
}

/** Every domain that a sign-up is refused for: diagnosis's, the kept list from npm, the application's. */
export const domainListsOf = ({
  emailDomains = [],
  allowedEmailDomains = [],
}: DetailSettings): EmailDomainLists =>
  emailDomainLists({
    listed: [...LISTED_DOMAINS, ...emailDomains],
    disposable: disposableEmailBlocklistSet(),
    allowed: allowedEmailDomains,
  });

/** The value itself stays out: a name is logged redacted, with the payload. */
const toReason = ({ rule, evidence }: Finding, field: string): Reason => ({
  code: rule,
  evidence: { field, match: evidence.match },
});

const caseless = (text: string): string => text.trim().normalize('NFKC').toLowerCase();

function suffixesOf(domain: string): string[] {
  const labels = domain.split('.');
  return labels.map((_, index) => labels.slice(index).join('.'));
}
