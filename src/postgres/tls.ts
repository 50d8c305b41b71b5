import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { PurgeError } from '../domain/errors.ts';
import { type PostgresTls, readPostgresTls } from '../domain/postgres-tls.ts';

/** One way to connect: in the clear (`false`), or with TLS. */
export interface Transport {
  readonly ssl: false | ConnectionOptions;
  /** Said once where this way is taken: what it does not protect from, and what would. */
  readonly warning: string | null;
}

/** In the clear although TLS was preferred. */
const CLEAR: Transport = {
  ssl: false,
  warning:
    'the connection is not encrypted: the server has no TLS for us, and sslmode=prefer does without; ' +
    'use sslmode=verify-full',
};
const UNVERIFIED_WARNING =
  'the connection is encrypted, but the certificate is not verified: whoever is on the way can pose ' +
  'as the server; use sslmode=verify-full, with sslrootcert=FILE for a CA of your own';

/**
 * The ways to connect that the URL allows, the better one first.
 * @throws PurgeError CONFIG_INVALID where a file it names cannot be read
 */
export function transportsOf(url: string): readonly [Transport, ...Transport[]] {
  const tls = readPostgresTls(url);
  switch (tls.demand) {
    case 'none':
      return [{ ssl: false, warning: null }];
    case 'if-offered':
      return [unverified(tls), CLEAR];
    case 'unverified':
      return [unverified(tls)];
    case 'chain':
      // The name is not asked for: a certificate of this CA is proof enough.
      return [{ ssl: { ...filesOf(tls), checkServerIdentity: () => undefined }, warning: null }];
    case 'chain-and-name':
      return [{ ssl: filesOf(tls), warning: null }];
    default:
      return tls.demand satisfies never;
  }
}

const unverified = (tls: PostgresTls): Transport => ({
  ssl: { ...filesOf({ ...tls, rootFile: null }), rejectUnauthorized: false },
  warning: UNVERIFIED_WARNING,
});

function filesOf(tls: PostgresTls): ConnectionOptions {
  return {
    ...(tls.rootFile === null ? {} : { ca: read('sslrootcert', tls.rootFile) }),
    ...(tls.certificateFile === null ? {} : { cert: read('sslcert', tls.certificateFile) }),
    ...(tls.keyFile === null ? {} : { key: read('sslkey', tls.keyFile) }),
    ...(tls.keyPassphrase === null ? {} : { passphrase: tls.keyPassphrase }),
  };
}

function read(parameter: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (thrown) {
    const code = (thrown as { code?: unknown }).code;
    throw new PurgeError(
      'CONFIG_INVALID',
      `${parameter}: ${file} cannot be read (${String(code)}).`,
      {
        details: { parameter, file },
        remedy: `Name in DATABASE_URL a PEM file that this user may read: ${parameter}=/path/to/file.pem.`,
        cause: thrown,
      },
    );
  }
}
