import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { BlockList } from 'node:net';
import type { Config } from '../../src/config/config.ts';
import { PurgeError } from '../../src/domain/errors.ts';

/** A page that still loads gets this long when the board ends. */
const GRACE_MS = 1_000;

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * Listens on the address that the host resolves to. Without any sign-in that must be a loopback
 * address: what counts is where the name leads on this machine, not how it is spelled.
 * @throws PurgeError CONFIG_INVALID where that is not allowed, the port is taken, or the like
 */
export async function listen(
  app: RequestListener,
  board: Config['board'],
): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const address = await addressOf(board);
  const server = createServer(app);
  server.listen(board.port, address);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw cannotListen(board, error);
  }
  const bound = server.address();
  const port = bound === null || typeof bound === 'string' ? board.port : bound.port;
  return {
    url: `http://${board.host.includes(':') ? bracketed(board.host) : board.host}:${port}/`,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      const late = setTimeout(() => server.closeAllConnections(), GRACE_MS);
      await closed.finally(() => clearTimeout(late));
    },
  };
}

async function addressOf(board: Config['board']): Promise<string> {
  let found: { address: string; family: number };
  try {
    found = await lookup(board.host.replace(/^\[|\]$/g, ''));
  } catch (error) {
    throw cannotListen(board, error);
  }
  const family = found.family === 6 ? 'ipv6' : 'ipv4';
  const signsIn = board.password !== null || board.proxy !== null;
  if (!signsIn && !loopback.check(found.address, family)) {
    throw new PurgeError(
      'CONFIG_INVALID',
      `The board would be open to anyone who reaches ${board.host} (${found.address}): it has no password.`,
      { remedy: 'Set BOARD_PASSWORD, or BOARD_HOST=127.0.0.1.', details: { host: board.host } },
    );
  }
  return found.address;
}

function cannotListen(board: Config['board'], cause: unknown): PurgeError {
  const { host, port } = board;
  const details = { host, port };
  if (cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE') {
    return new PurgeError('CONFIG_INVALID', `The board cannot start: port ${port} is taken.`, {
      remedy: 'Stop what listens there, or set BOARD_PORT to another port (0 takes a free one).',
      details,
      cause,
    });
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  return new PurgeError('CONFIG_INVALID', `The board cannot listen on ${host}:${port}: ${why}.`, {
    remedy: 'Set BOARD_HOST to an address of this machine and BOARD_PORT to a port you may use.',
    details,
    cause,
  });
}

const bracketed = (host: string): string => (host.startsWith('[') ? host : `[${host}]`);
