import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** Nothing passes and no end is told of: as where a firewall has forgotten the connection. */
  silent: boolean;
}

/**
 * Stands between a program and a server on loopback, and loses what it is told to lose: cut
 * connections, a network that swallows everything for a while, a connection that stays dead.
 */
export class TcpProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #links: Set<Link>;
  readonly #stranded = new Set<Link>();
  readonly #net: Net;

  private constructor(server: Server, net: Net, port: number) {
    this.#server = server;
    this.#net = net;
    this.#links = net.links;
    this.port = port;
  }

  /** Listens on a free port of 127.0.0.1 and passes on to `targetPort`. */
  static async open(targetPort: number): Promise<TcpProxy> {
    const net: Net = { links: new Set(), mode: 'passing', targetPort };
    const server = createServer((client) => link(net, client));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
    return new TcpProxy(server, net, address.port);
  }

  /** Resets those connections that `decide` picks; new ones are let through. Gives their number. */
  cut(decide: () => boolean = () => true): number {
    const cut = [...this.#links].filter(() => decide());
    for (const one of cut) reset(one);
    return cut.length;
  }

  /** From now on nothing passes and nobody is told, new connections included. */
  swallow(): void {
    this.#net.mode = 'swallowing';
    for (const one of this.#links) silence(one);
  }

  /** Ends `swallow` or `refuse`. What was swallowed arrives late, or its connection is reset. */
  restore(how: 'late' | 'reset'): void {
    this.#net.mode = 'passing';
    for (const one of this.#links) {
      if (!one.silent) continue;
      if (how === 'late') pass(one);
      else reset(one);
    }
  }

  /** The connections of now never pass anything again, and neither end hears of it; new ones work. */
  strand(decide: () => boolean = () => true): number {
    const stranded = [...this.#links].filter(() => decide());
    for (const one of stranded) {
      silence(one);
      this.#links.delete(one);
      this.#stranded.add(one);
    }
    return stranded.length;
  }

  /** Resets every connection, and each new one at once, until `restore`. */
  refuse(): void {
    this.#net.mode = 'refusing';
    this.cut();
  }

  async close(): Promise<void> {
    for (const one of [...this.#links, ...this.#stranded]) reset(one);
    this.#server.close();
    await once(this.#server, 'close');
  }
}

interface Net {
  readonly links: Set<Link>;
  mode: 'passing' | 'swallowing' | 'refusing';
  readonly targetPort: number;
}

function link(net: Net, client: Socket): void {
  if (net.mode === 'refusing') {
    client.on('error', () => undefined);
    client.resetAndDestroy();
    return;
  }
  const server = connect({ port: net.targetPort, host: '127.0.0.1' });
  const one: Link = { client, server, silent: false };
  net.links.add(one);
  client.setNoDelay(true);
  server.setNoDelay(true);
  for (const [mine, other] of [
    [client, server],
    [server, client],
  ] as const) {
    mine.on('error', () => undefined);
    mine.on('close', () => {
      if (one.silent) return;
      net.links.delete(one);
      other.destroy();
    });
  }
  if (net.mode === 'swallowing') silence(one);
  else pass(one);
}

function pass(one: Link): void {
  one.silent = false;
  // An end that came while nothing was told.
  if (one.client.destroyed || one.server.destroyed) return reset(one);
  one.client.pipe(one.server);
  one.server.pipe(one.client);
}

function silence(one: Link): void {
  one.silent = true;
  one.client.unpipe(one.server).pause();
  one.server.unpipe(one.client).pause();
}

function reset(one: Link): void {
  one.silent = false;
  for (const socket of [one.client, one.server]) {
    if (socket.destroyed) socket.emit('close', false);
    else if (socket.connecting) socket.destroy();
    else socket.resetAndDestroy();
  }
}
