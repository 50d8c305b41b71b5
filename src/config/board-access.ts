import { isIP } from 'node:net';
import type { BoardProxy } from './config.ts';

/** The one name that BOARD_VIEWER_PASSWORD signs in. */
export const VIEWER = 'viewer';

const HEADER_NAME = /^[a-z0-9-]+$/;
/** Headers that a browser sends by itself, or that say something else. */
const TAKEN_HEADERS = ['authorization', 'cookie', 'host', 'origin', 'referer', 'user-agent'];

const LOOPBACK = ['127.0.0.0/8', '::1'];

interface ProxyTexts {
  readonly header: string | null;
  readonly addresses: string | null;
  readonly operators: string | null;
  readonly origin: string | null;
}

/**
 * Checks the variables of a proxy that signs people in. Never throws; names every problem. Pure.
 * @returns null as the value where there is no proxy
 */
export function checkProxy(texts: ProxyTexts): {
  readonly value: BoardProxy | null;
  readonly problems: readonly string[];
} {
  if (texts.header === null) {
    const idle = [
      ...(texts.addresses === null ? [] : ['BOARD_TRUSTED_PROXIES']),
      ...(texts.operators === null ? [] : ['BOARD_OPERATORS']),
      ...(texts.origin === null ? [] : ['BOARD_ORIGIN']),
    ];
    return {
      value: null,
      problems: idle.map((name) => `${name}: has no meaning without BOARD_TRUSTED_HEADER`),
    };
  }
  const header = texts.header.toLowerCase();
  const addresses = texts.addresses === null ? LOOPBACK : listOf(texts.addresses);
  const problems = [
    ...(HEADER_NAME.test(header) && !TAKEN_HEADERS.includes(header)
      ? []
      : ['BOARD_TRUSTED_HEADER: must name a header of the proxy, e.g. X-Forwarded-User']),
    ...addresses
      .filter((address) => !isNetwork(address))
      .map(
        (address) =>
          `BOARD_TRUSTED_PROXIES: "${address}" is no address or network, e.g. 10.1.2.3 or 10.1.2.0/24`,
      ),
    ...originProblems(texts.origin),
  ];
  if (problems.length > 0 || texts.origin === null) return { value: null, problems };
  const operators = texts.operators === null ? null : listOf(texts.operators);
  return {
    value: { header, addresses, operators, origin: new URL(texts.origin).origin },
    problems: [],
  };
}

interface ViewerTexts {
  readonly user: string;
  readonly password: string | null;
  readonly viewerPassword: string | null;
  readonly isProxied: boolean;
}

/** A viewer only makes sense where operators have to sign in too, and differently. Pure. */
export function viewerProblems(texts: ViewerTexts): string[] {
  if (texts.viewerPassword === null) return [];
  if (texts.password === null && !texts.isProxied) {
    return ['BOARD_VIEWER_PASSWORD: without BOARD_PASSWORD everyone may change things; set both'];
  }
  return [
    ...(texts.password === texts.viewerPassword
      ? ['BOARD_VIEWER_PASSWORD: must be another one than BOARD_PASSWORD']
      : []),
    ...(texts.user === VIEWER
      ? [`BOARD_USER: "${VIEWER}" is who looks only; take another name`]
      : []),
  ];
}

/** A browser says where a click comes from; without this the board could not tell its own page. */
function originProblems(origin: string | null): string[] {
  const example = 'e.g. https://purge.example.com';
  if (origin === null) {
    return [
      `BOARD_ORIGIN: is not set; with BOARD_TRUSTED_HEADER it must say where people open the board, ${example}`,
    ];
  }
  const url = URL.canParse(origin) ? new URL(origin) : null;
  const isOrigin =
    url !== null && /^https?:$/.test(url.protocol) && url.pathname === '/' && url.search === '';
  return isOrigin ? [] : [`BOARD_ORIGIN: must be scheme and host alone, ${example}`];
}

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
  );
}

const listOf = (text: string | null): string[] =>
  (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
