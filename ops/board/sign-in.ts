import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { BlockList, isIPv6 } from 'node:net';
import type { RequestHandler } from 'express';
import { VIEWER } from '../../src/config/board-access.ts';
import type { BoardProxy, Config } from '../../src/config/config.ts';
import { requireOwnHost } from './access.ts';
import { asVisitor, LOCAL, type Visitor } from './visitor.ts';

/** Longer ones are no names; they would only fill the ledger. */
const NAME_MAX = 200;

/**
 * Lets in whom the configuration knows: by a trusted proxy's header, by HTTP basic authentication,
 * or, where neither is set up, anyone on this machine. What follows runs as that visitor.
 */
export function signIn(board: Config['board']): RequestHandler {
  const { proxy } = board;
  const accounts = accountsOf(board);
  if (proxy === null && accounts.length === 0) {
    return (request, response, next) =>
      requireOwnHost(request, response, (error?: unknown) =>
        error === undefined ? asVisitor(LOCAL, next) : next(error),
      );
  }
  const named = proxy === null ? () => null : proxyReader(proxy);
  return (request, response, next) => {
    const visitor = named(request) ?? accountOf(accounts, request.get('authorization') ?? '');
    if (visitor !== null) {
      asVisitor(visitor, next);
      return;
    }
    response.status(401).type('text');
    if (accounts.length === 0) {
      response.send('Open the board through its proxy, which signs you in.\n');
      return;
    }
    response
      .set('WWW-Authenticate', 'Basic realm="tenant-purge", charset="UTF-8"')
      .send('Sign in with BOARD_USER and BOARD_PASSWORD.\n');
  };
}

interface Account {
  readonly credentials: Buffer;
  readonly visitor: Visitor;
}

function accountsOf({ user, password, viewerPassword }: Config['board']): Account[] {
  return [
    ...(password === null ? [] : [accountFor({ name: user, role: 'operator' }, password)]),
    ...(viewerPassword === null
      ? []
      : [accountFor({ name: VIEWER, role: 'viewer' }, viewerPassword)]),
  ];
}

const accountFor = (visitor: Visitor, password: string): Account => ({
  credentials: digest(`${visitor.name}:${password}`),
  visitor,
});

/** Compared in constant time; digests, since the comparison wants equal lengths. */
function accountOf(accounts: readonly Account[], header: string): Visitor | null {
  const [scheme, credentials] = header.split(' ');
  const given = digest(Buffer.from(credentials ?? '', 'base64').toString('utf8'));
  const known = accounts.filter((account) => timingSafeEqual(account.credentials, given));
  return scheme?.toLowerCase() === 'basic' ? (known[0]?.visitor ?? null) : null;
}

/**
 * Reads the proxy's header, but only of a connection that comes from the proxy, and only where it
 * stands once: a second one was sent by the visitor.
 */
function proxyReader(proxy: BoardProxy): (request: IncomingMessage) => Visitor | null {
  const trusted = new BlockList();
  for (const network of proxy.addresses) trust(trusted, network);
  return (request) => {
    const [name, ...others] = request.headersDistinct[proxy.header] ?? [];
    if (name === undefined || others.length > 0 || !comesFrom(trusted, request)) return null;
    const readable = Buffer.from(name, 'latin1').toString('utf8').trim();
    if (readable === '' || readable.length > NAME_MAX) return null;
    const mayAct = proxy.operators === null || proxy.operators.includes(readable);
    return { name: readable, role: mayAct ? 'operator' : 'viewer' };
  };
}

function trust(trusted: BlockList, network: string): void {
  const [address = '', bits] = network.split('/');
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  if (bits === undefined) trusted.addAddress(address, family);
  else trusted.addSubnet(address, Number(bits), family);
}

function comesFrom(trusted: BlockList, { socket }: IncomingMessage): boolean {
  // A socket that listens on both families writes IPv4 addresses as ::ffff:10.1.2.3.
  const address = (socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/i, '');
  return address !== '' && trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
