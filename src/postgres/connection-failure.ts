import { PurgeError } from '../domain/errors.ts';
import { connectionError, readFault } from './sqlstate.ts';

/** Where the connection was meant to go, for people. */
interface Destination {
  /** Without the password. */
  readonly shown: string;
  readonly host: string;
}

type Refusal = readonly ['DATABASE_UNREACHABLE' | 'DATABASE_REFUSED', why: string, remedy: string];

const NO_TLS_MESSAGE = 'The server does not support SSL connections';

const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_UNTRUSTED',
  'CERT_SIGNATURE_FAILURE',
  'INVALID_CA',
]);
const OUTDATED = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);

/**
 * A failure to connect, as the operator should read it: what TLS or a pooler stumbled over with the
 * parameter that settles it, everything else as `connectionError` has it.
 */
export function connectionFailure(thrown: unknown, { shown, host }: Destination): PurgeError {
  const refusal = tlsRefusal(thrown, host) ?? loginRefusal(thrown) ?? poolerRefusal(thrown);
  if (refusal === null) return connectionError(thrown, shown);
  const [code, why, remedy] = refusal;
  const verb = code === 'DATABASE_REFUSED' ? 'refused the login' : 'cannot be reached';
  return new PurgeError(code, `PostgreSQL at ${shown} ${verb}: ${why}.`, { remedy, cause: thrown });
}

/** Whether `sslmode=prefer` may try again in the clear: the server is there, TLS is what failed. */
export function isAboutEncryption(thrown: unknown): boolean {
  return tlsRefusal(thrown, '') !== null || readFault(thrown).sqlState === '28000';
}

function tlsRefusal(thrown: unknown, host: string): Refusal | null {
  const { message } = readFault(thrown);
  const code = codeOf(thrown);
  if (message.includes(NO_TLS_MESSAGE)) {
    return [
      'DATABASE_UNREACHABLE',
      'the server has no TLS',
      'Turn on ssl at the server; or, on a network nobody else can listen on, set sslmode=disable in DATABASE_URL.',
    ];
  }
  if (UNTRUSTED.has(code)) {
    return [
      'DATABASE_UNREACHABLE',
      `its certificate is not trusted (${message})`,
      'Name the CA that signed it in DATABASE_URL: sslmode=verify-full&sslrootcert=/path/to/ca.pem. sslmode=require encrypts without verifying.',
    ];
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return [
      'DATABASE_UNREACHABLE',
      `its certificate is not for "${host}" (${message})`,
      'Use in DATABASE_URL a host name that the certificate has; or sslmode=verify-ca with sslrootcert=FILE, which trusts every name of that CA.',
    ];
  }
  if (OUTDATED.has(code)) {
    return [
      'DATABASE_UNREACHABLE',
      `its certificate is out of date (${message})`,
      "Renew the server's certificate, and check this host's clock. sslmode=require encrypts without verifying.",
    ];
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_') || code.startsWith('ERR_OSSL_')) {
    return [
      'DATABASE_UNREACHABLE',
      `the TLS handshake failed (${message})`,
      'Check sslmode, sslrootcert and, where the server asks for a client certificate, sslcert and sslkey in DATABASE_URL.',
    ];
  }
  return null;
}

/** What pg_hba.conf, or a pooler's client_tls_sslmode, says of encryption. */
function loginRefusal(thrown: unknown): Refusal | null {
  const { message } = readFault(thrown);
  if (/no encryption|SSL off|SSL required/i.test(message)) {
    return [
      'DATABASE_REFUSED',
      message,
      'If it asks for TLS, add sslmode=verify-full (with sslrootcert=FILE for a CA of your own) or sslmode=require to DATABASE_URL.',
    ];
  }
  if (/pg_hba\.conf.*(SSL encryption|SSL on)/i.test(message)) {
    return [
      'DATABASE_REFUSED',
      message,
      'Check user, database and the hostssl lines of pg_hba.conf; if it wants no TLS from here, sslmode=disable in DATABASE_URL.',
    ];
  }
  return null;
}

/** What PgBouncer says with the SQLSTATE of a protocol violation; and that there is no room. */
function poolerRefusal(thrown: unknown): Refusal | null {
  const { message, sqlState } = readFault(thrown);
  if (sqlState === '53300') {
    return [
      'DATABASE_UNREACHABLE',
      message,
      'End other sessions, or raise the connection limit of the server, the role or the database. To stop purges meanwhile: a board that runs has connections, and a queue.pause() by any script needs none.',
    ];
  }
  if (/unsupported startup parameter/i.test(message)) {
    return [
      'DATABASE_REFUSED',
      message,
      'A pooler takes no such setting: remove it from DATABASE_URL and PGOPTIONS, or name it in its ignore_startup_parameters.',
    ];
  }
  if (/^no such (database|user)/i.test(message)) {
    return [
      'DATABASE_REFUSED',
      `the pooler has ${message}`,
      'Check the user and the database name in DATABASE_URL against the [databases] and the auth_file of the pooler.',
    ];
  }
  return null;
}

function codeOf(thrown: unknown): string {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}
