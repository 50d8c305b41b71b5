import { emailDomain } from '../domain/test-data/email-domains.ts';

/** RFC 5321: 64 before the @, 255 after, 254 in all. */
const EMAIL_LENGTH_MAX = 254;
const MAILBOX_LENGTH_MAX = 64;

/** How a provider reads what stands before the @; from their own documentation. */
interface Provider {
  /** Names of the same mailboxes; the first is the one that is kept. */
  readonly domains: readonly string[];
  /** Characters that it does not see. */
  readonly ignored?: RegExp;
}

const PROVIDERS: readonly Provider[] = [
  { domains: ['gmail.com', 'googlemail.com'], ignored: /\./g },
  { domains: ['proton.me', 'protonmail.com', 'protonmail.ch', 'pm.me'], ignored: /[._-]/g },
  { domains: ['icloud.com', 'me.com', 'mac.com'] },
  { domains: ['yandex.ru', 'yandex.com', 'ya.ru', 'yandex.by', 'yandex.kz'], ignored: /[.-]/g },
];

const BY_DOMAIN: ReadonlyMap<string, Provider> = new Map(
  PROVIDERS.flatMap((provider) => provider.domains.map((domain) => [domain, provider])),
);

/** A Yahoo name has no hyphen: it begins the keyword of a disposable address. Each domain has its own names. */
const YAHOO = /^(?:yahoo\.(?:[a-z]{2,3}|com?\.[a-z]{2})|ymail\.com|rocketmail\.com)$/;

/** Takes mail for `anything@user.fastmail.com` as `user+anything@fastmail.com`. */
const SUBDOMAIN_MAILBOX = /^([^.]+)\.(fastmail\.(?:com|fm))$/;

/** True for text that can be an address: one mailbox, one domain, no blanks. Linear. Pure. */
export function isEmail(text: string): boolean {
  if (text.length > EMAIL_LENGTH_MAX || /[\s\p{Cc}<>(),;:\\"[\]]/u.test(text)) return false;
  const at = text.indexOf('@');
  if (at < 1 || at > MAILBOX_LENGTH_MAX || at !== text.lastIndexOf('@')) return false;
  return emailDomain(text)?.includes('.') === true;
}

/**
 * One spelling for all addresses of one mailbox, for counting only, never to send mail to: lower case,
 * without plus-tags (with every provider: two mailboxes counted as one are the lesser harm), without
 * the dots that the provider ignores, with the provider's first domain. Pure.
 * @param email such as `isEmail` accepts; anything else is compared as it stands
 */
export function emailKey(email: string): string {
  const domain = emailDomain(email);
  if (domain === null) return email.trim().toLowerCase();
  const written = email.slice(0, email.lastIndexOf('@')).trim();
  const mailbox = written
    .normalize('NFKC')
    .replace(/\p{Cf}/gu, '')
    .toLowerCase();
  const [, user, parent] = SUBDOMAIN_MAILBOX.exec(domain) ?? [];
  if (user !== undefined && parent !== undefined) return `${user}@${parent}`;
  const provider = BY_DOMAIN.get(domain);
  const tagMark = YAHOO.test(domain) ? '-' : undefined;
  const bare = withoutTag(withoutTag(mailbox, '+'), tagMark);
  const plain = provider?.ignored === undefined ? bare : bare.replace(provider.ignored, '');
  return `${plain === '' ? mailbox : plain}@${provider?.domains[0] ?? domain}`;
}

function withoutTag(mailbox: string, mark: string | undefined): string {
  const at = mark === undefined ? -1 : mailbox.indexOf(mark);
  // An address that begins with the mark has nothing else.
  return at > 0 ? mailbox.slice(0, at) : mailbox;
}
