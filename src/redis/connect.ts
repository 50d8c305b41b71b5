import { Redis } from 'ioredis';
import { PurgeError } from '../domain/errors.ts';
import { readServerInfo } from './server-info.ts';
import { redisTls } from './tls.ts';

export type { Redis };

const CONNECT_TIMEOUT_MS = 5_000;
const CONNECT_ATTEMPTS_MAX = 3;
const CONNECT_PAUSE_MS = 200;
const SILENCE = 'no answer';
const RECONNECT_DELAY_MIN_MS = 100;
const RECONNECT_DELAY_MAX_MS = 5_000;
/** A command outlives so many reconnects, about half a minute, before it is rejected. */
const RECONNECTS_PER_COMMAND_MAX = 10;

interface ConnectRedisOptions {
  /** Shown by CLIENT LIST. */
  readonly name: string;
  /**
   * Told of every connection error after the first connect; the client reconnects by itself. Safe to
   * log: the command of a refused login, which has the password, is taken off.
   */
  readonly onError?: (error: Error) => void;
}

/**
 * Connects to a standalone Redis and returns when it answers. Tries a few times, within seconds;
 * afterwards the client reconnects for as long as it lives. End it with `disconnect()`.
 * @throws PurgeError REDIS_UNREACHABLE, which names host and port but never the password;
 *   CONFIG_INVALID where the CA's file of a `rediss://` URL cannot be read
 */
export async function connectRedis(url: string, options: ConnectRedisOptions): Promise<Redis> {
  let isConnected = false;
  let firstError: Error | null = null;
  const redis = new Redis(url, {
    ...redisTls(url),
    lazyConnect: true,
    connectionName: options.name,
    connectTimeout: CONNECT_TIMEOUT_MS,
    maxRetriesPerRequest: RECONNECTS_PER_COMMAND_MAX,
    retryStrategy: (attempt) =>
      isConnected ? Math.min(RECONNECT_DELAY_MIN_MS * 2 ** attempt, RECONNECT_DELAY_MAX_MS) : null,
  });
  redis.on('error', (error: Error & { command?: unknown }) => {
    delete error.command;
    if (isConnected) options.onError?.(error);
    else firstError ??= error;
  });

  let failure: Error | null = null;
  for (let attempt = 1; attempt <= CONNECT_ATTEMPTS_MAX; attempt += 1) {
    firstError = null;
    failure = await connectOnce(redis);
    // A refused SELECT is only an event: the client would go on, in database 0.
    failure = firstError ?? failure;
    if (failure === null || !isWorthAnotherTry(failure)) break;
    if (attempt < CONNECT_ATTEMPTS_MAX) await pause(CONNECT_PAUSE_MS);
  }
  if (failure === null) {
    isConnected = true;
    failure = await findUnsupported(redis);
  }
  if (failure !== null) {
    redis.disconnect();
    throw unreachable(url, failure);
  }
  return redis;
}

/** Null, or why it failed. A server that accepts and then says nothing fails too. */
async function connectOnce(redis: Redis): Promise<Error | null> {
  const silence = new AbortController();
  try {
    return await Promise.race([
      redis.connect().then(
        () => null,
        (thrown: unknown) => asError(thrown),
      ),
      pause(CONNECT_TIMEOUT_MS, silence.signal).then(() => {
        redis.disconnect();
        return new Error(`${SILENCE} within ${CONNECT_TIMEOUT_MS / 1_000} s`);
      }),
    ]);
  } finally {
    silence.abort();
  }
}

/** One node of a cluster holds a part of the keys: what it does not show would stay behind unseen. */
async function findUnsupported(redis: Redis): Promise<Error | null> {
  try {
    const { mode } = await readServerInfo(redis);
    if (mode !== 'cluster') return null;
    return new Error('it is a node of a Redis Cluster, which is not supported');
  } catch (thrown) {
    return asError(thrown);
  }
}

/** What a second try does not change, or what has waited long enough. */
const FINAL_CODES = /CERT|ALTNAME|^EPROTO$|^ERR_SSL|^SELF_SIGNED|^UNABLE_TO/;
const FINAL = ['WRONGPASS', 'NOAUTH', 'NOPERM', 'ERR', 'ENOTFOUND', 'ETIMEDOUT', SILENCE];

const isWorthAnotherTry = (failure: Error): boolean =>
  !FINAL_CODES.test(codeOf(failure)) && !FINAL.some((sign) => failure.message.includes(sign));

function unreachable(url: string, failure: Error): PurgeError {
  const { host, pathname } = new URL(url);
  const database = pathname.length > 1 ? `, database ${pathname.slice(1)}` : '';
  const why = explain(failure);
  return new PurgeError('REDIS_UNREACHABLE', `Cannot use Redis at ${host}${database}: ${why}.`, {
    details: { host, reason: why },
    cause: failure,
    ...tlsRemedy(url, failure),
  });
}

/** The sharper remedy where TLS is what failed. */
function tlsRemedy(url: string, failure: Error): { readonly remedy?: string } {
  const code = codeOf(failure);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return { remedy: 'Use in the URL a host name that the certificate has.' };
  }
  if (code.startsWith('CERT_HAS_') || code.startsWith('CERT_NOT_')) {
    return { remedy: "Renew the server's certificate, and check this host's clock." };
  }
  if (/CERT|^UNABLE_TO/.test(code)) {
    return {
      remedy:
        'Name the PEM file of the CA that signed it in REDIS_TLS_CA_FILE (or in NODE_EXTRA_CA_CERTS).',
    };
  }
  // A Redis without TLS does not answer to a handshake at all.
  const isSilent = url.startsWith('rediss:') && failure.message.startsWith(SILENCE);
  if (isSilent || code === 'EPROTO' || code.startsWith('ERR_SSL')) {
    return { remedy: 'Use redis:// where the port has no TLS; otherwise check its TLS settings.' };
  }
  return isClosed(failure) && !url.startsWith('rediss:')
    ? { remedy: 'Use rediss:// in REDIS_URL and QUEUE_REDIS_URL where the port wants TLS.' }
    : {};
}

const isClosed = ({ message }: Error): boolean =>
  message.includes('Connection is closed') || message.includes('ECONNRESET');

const codeOf = (failure: Error & { code?: unknown }): string =>
  typeof failure.code === 'string' ? failure.code : '';

const CLOSES = 'it closes the connection; is it a Redis, and does it want rediss://?';
const EXPLANATIONS: readonly (readonly [sign: string, meaning: string])[] = [
  ['ECONNREFUSED', 'nothing listens there'],
  ['ENOTFOUND', 'the host name is unknown'],
  ['EAI_AGAIN', 'the host name cannot be looked up'],
  ['ETIMEDOUT', `no connection within ${CONNECT_TIMEOUT_MS / 1_000} s`],
  ['WRONGPASS', 'it refuses the user name or password'],
  ['NOAUTH', 'it wants a password and the URL has none'],
  ['DB index', 'it has no such database'],
  ['Connection is closed', CLOSES],
  ['ECONNRESET', CLOSES],
];

function explain(failure: Error): string {
  const code = codeOf(failure);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `its certificate is for another name (${failure.message})`;
  }
  if (/CERT|^UNABLE_TO/.test(code)) return `its certificate is not trusted (${failure.message})`;
  if (code === 'EPROTO' || code.startsWith('ERR_SSL')) return 'it does not speak TLS as we do';
  const known = EXPLANATIONS.find(([sign]) => failure.message.includes(sign));
  return known?.[1] ?? failure.message;
}

const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(String(thrown));

function pause(durationMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, durationMs);
    signal?.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}
