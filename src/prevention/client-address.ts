import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { PurgeError } from '../domain/errors.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Network = [Address, number];

/** What one household or company is given of IPv6: behind it are as many addresses as anybody wants. */
const IPV6_PREFIX_BITS = 64;

/** A longer chain is nobody's network. */
const HOPS_MAX = 32;

/**
 * The key that requests of one address are counted under: IPv4 as it is, IPv6 by its /64, IPv4 inside
 * IPv6 (mapped, NAT64) as IPv4. Null for what is no address. Pure.
 */
export function addressKey(text: string): string | null {
  const address = readAddress(text);
  if (address === null) return null;
  if (address instanceof ipaddr.IPv4) return address.toString();
  const network = address.toByteArray().map((byte, at) => (at < IPV6_PREFIX_BITS / 8 ? byte : 0));
  return `${ipaddr.fromByteArray(network).toString()}/${IPV6_PREFIX_BITS}`;
}

/** The address as it is logged; null for what is none. Pure. */
export const plainAddress = (text: string): string | null => readAddress(text)?.toString() ?? null;

/** `10.0.0.0/8`, `2001:db8::/32` or single addresses. */
export interface Networks {
  contains(address: string): boolean;
}

/** @throws PurgeError CONFIG_INVALID, with every entry that is no network */
export function parseNetworks(texts: readonly string[], option: string): Networks {
  const parsed = texts.map((text) => ({ text, network: readNetwork(text) }));
  const problems = parsed.filter(({ network }) => network === null).map(({ text }) => text);
  if (problems.length > 0) {
    throw new PurgeError(
      'CONFIG_INVALID',
      `${option}: no address or network: ${problems.join(', ')}.`,
      { details: { problems }, remedy: 'Write e.g. "10.0.0.0/8", "2001:db8::/32" or "127.0.0.1".' },
    );
  }
  const networks = parsed.flatMap(({ network }) => (network === null ? [] : [network]));
  return {
    contains: (text) => {
      const address = readAddress(text);
      return address !== null && networks.some((network) => isWithin(address, network));
    },
  };
}

/**
 * Where a request comes from: the nearest address of the chain that is no trusted proxy. Each proxy
 * adds the address it was called from at the right of X-Forwarded-For, so the chain is read from
 * there, and what stands left of the first address that is not trusted may have been made up. A
 * trusted proxy's entry that cannot be read ends the chain at that proxy. Pure.
 * @param forwardedFor the header as Node.js joins it; undefined where there is none
 * @returns null where the connection itself has no address
 */
export function clientAddress(
  remote: string | undefined,
  forwardedFor: string | undefined,
  trusted: Networks,
): string | null {
  let current = remote === undefined ? null : plainAddress(remote);
  if (current === null) return null;
  const hops = (forwardedFor ?? '').split(',').slice(-HOPS_MAX).reverse();
  for (const hop of hops) {
    if (!trusted.contains(current)) return current;
    const next = plainAddress(withoutPort(hop.trim()));
    if (next === null) return current;
    current = next;
  }
  return current;
}

/** Some proxies write `192.0.2.1:4711` and `[2001:db8::1]:4711`. */
function withoutPort(text: string): string {
  const [, bracketed] = /^\[([^\]]*)\](?::\d+)?$/.exec(text) ?? [];
  if (bracketed !== undefined) return bracketed;
  return text.indexOf(':') === text.lastIndexOf(':') ? text.replace(/:\d*$/, '') : text;
}

/** The longest written address has 45 characters, a zone some more. */
const TEXT_LENGTH_MAX = 100;

/** Only what Node.js takes for an address: ipaddr.js alone reads `0x7f.1` and `010.0.0.1` too. */
function readAddress(text: string): Address | null {
  if (text.length > TEXT_LENGTH_MAX) return null;
  const bare = text.trim().replace(/%.*$/, '');
  return isIP(bare) === 0 ? null : unwrapped(ipaddr.parse(bare));
}

function unwrapped(address: Address): Address {
  if (address instanceof ipaddr.IPv4) return address;
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  // 64:ff9b::/96: a server without IPv4 sees each IPv4 caller so, all in one /64.
  return address.range() === 'rfc6052' ? new ipaddr.IPv4(address.toByteArray().slice(-4)) : address;
}

function readNetwork(text: string): Network | null {
  const [base = '', bits, ...more] = text.trim().split('/');
  const address = readAddress(base);
  if (address === null || more.length > 0) return null;
  const bitsMax = address instanceof ipaddr.IPv4 ? 32 : 128;
  if (bits === undefined) return [address, bitsMax];
  return /^\d{1,3}$/.test(bits) && Number(bits) <= bitsMax ? [address, Number(bits)] : null;
}

function isWithin(address: Address, [base, bits]: Network): boolean {
  return address.kind() === base.kind() && address.match(base, bits);
}
