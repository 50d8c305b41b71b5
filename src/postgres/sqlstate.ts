import { PurgeError } from '../domain/errors.ts';

/**
 * What to do about a database error, decided once, by SQLSTATE:
 * `shrink` the batch; `back-off` and try the same again; `stale` and `stop` are our own signals from
 * `enter_batch`; `reference`: a row still references one to delete (RESTRICT says 23001 from
 * PostgreSQL 18 on, 23503 before); `fatal`: no retry can mend it, as where a column to be cleared is
 * NOT NULL (23502) or under a CHECK (23514), a privilege is missing (42501), a published table has no
 * replica identity (55000) or a trigger raises (P0001).
 */
export type FaultClass = 'shrink' | 'back-off' | 'stale' | 'stop' | 'reference' | 'fatal';

/** The parts of a driver error this project reads. `detail` may hold row values: never logged. */
export interface DatabaseFault {
  readonly sqlState: string | null;
  readonly message: string;
  readonly constraint: string | null;
  readonly table: string | null;
  readonly column: string | null;
  /** Key of the row that a constraint is about, e.g. `id = 5`, where PostgreSQL tells it. */
  readonly key: string | null;
  /** Function that raised the error, e.g. `app.keep_forever`. */
  readonly raisedBy: string | null;
  readonly faultClass: FaultClass;
}

/** By SQLSTATE; what is in neither table is `fatal`. */
const BY_STATE: Readonly<Record<string, FaultClass>> = {
  TP001: 'stale',
  TP002: 'stop',
  '57014': 'shrink', // statement timeout; or somebody's pg_cancel_backend, see BY_SOMEBODY
  '25P04': 'shrink', // transaction_timeout of the role or the database, PostgreSQL 17 on
  '23503': 'reference',
  '23001': 'reference',
  '40001': 'back-off',
  '40003': 'back-off', // whether it committed is unknown; the next try finds what is left
  '40P01': 'back-off',
  '55P03': 'back-off',
  '57P01': 'back-off',
  '57P02': 'back-off',
  '57P03': 'back-off',
  '57P05': 'back-off',
  // The database is gone: dropped, or renamed while it is restored.
  '57P04': 'back-off',
  '3D000': 'back-off',
  '25P03': 'back-off', // this worker froze inside a transaction
  '25006': 'back-off', // read-only: a server that failed over, or is about to
  '58030': 'back-off', // the disk failed to read or write
};

/** By the first two characters: connections, logins in mid-purge, resources (disk, memory, slots). */
const BY_STATE_CLASS: Readonly<Record<string, FaultClass>> = {
  '08': 'back-off',
  '28': 'back-off',
  '53': 'back-off',
};

/** Errors of the connection itself, from Node and from the driver; they carry no SQLSTATE. */
const CONNECTION_ERRORS = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EAI_AGAIN',
  // TLS, when a server restarts with a certificate that is about to be put right.
  'EPROTO',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_UNTRUSTED',
  'CERT_SIGNATURE_FAILURE',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'INVALID_CA',
]);
const TLS_ERRORS = /^ERR_(TLS|SSL|OSSL)_/;
const CONNECTION_MESSAGES =
  /query read timeout|connection terminated|connection ended|timeout exceeded when trying to connect|client has encountered a connection error|not queryable|does not support SSL connections|error establishing an SSL connection|disconnected before secure TLS connection/i;

/** One code for two causes, told apart where the server speaks English. */
const BY_SOMEBODY = /due to user request/;

/** Reads a thrown driver error; anything else is `fatal`. */
export function readFault(thrown: unknown): DatabaseFault {
  const error: Readonly<Record<string, unknown>> =
    typeof thrown === 'object' && thrown !== null ? { ...thrown } : {};
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const code = text(error['code']);
  const sqlState = code !== null && /^[0-9A-Z]{5}$/.test(code) && !isSystem(error) ? code : null;
  const table = text(error['table']);
  const schema = text(error['schema']);
  const constraint = text(error['constraint']);
  return {
    sqlState,
    message,
    constraint,
    table: table !== null && schema !== null ? `${schema}.${table}` : null,
    column: text(error['column']),
    key: constraint === null ? null : readKey(sqlState, text(error['detail'])),
    raisedBy: readRaiser(text(error['where'])),
    faultClass: classify(sqlState, code, message, error),
  };
}

function classify(
  sqlState: string | null,
  code: string | null,
  message: string,
  error: Readonly<Record<string, unknown>>,
): FaultClass {
  if (sqlState === '57014' && BY_SOMEBODY.test(message)) return 'back-off';
  if (sqlState !== null)
    return BY_STATE[sqlState] ?? BY_STATE_CLASS[sqlState.slice(0, 2)] ?? 'fatal';
  const lost =
    (code !== null && (CONNECTION_ERRORS.has(code) || TLS_ERRORS.test(code))) ||
    // A socket in the file system that is not there yet says ENOENT.
    error['syscall'] === 'connect' ||
    CONNECTION_MESSAGES.test(message);
  return lost ? 'back-off' : 'fatal';
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** Five capitals may also be Node's, as EPIPE; a server's error has a severity. */
const isSystem = ({ code, severity }: Readonly<Record<string, unknown>>): boolean =>
  severity === undefined && /^E[A-Z]{4}$/.test(text(code) ?? '');

/**
 * `Key (id)=(5) is still referenced …` names the row by its key; the details of other errors quote
 * whole rows, and those of a trigger anything. Whatever the server's language, the brackets stay.
 */
function readKey(sqlState: string | null, detail: string | null): string | null {
  if (sqlState !== '23503' && sqlState !== '23001' && sqlState !== '23505') return null;
  const [, columns, values] = /\(([^()]+)\)=\((.*?)\)(?= |$)/.exec(detail ?? '') ?? [];
  if (columns === undefined || values === undefined) return null;
  return columns.includes(',') ? `(${columns}) = (${values})` : `${columns} = ${values}`;
}

/** The first line of the context stands for where it was raised; the rest may quote statements. */
function readRaiser(where: string | null): string | null {
  return /^PL\/\w+ function ([^\s(]+)\(/.exec(where ?? '')?.[1] ?? null;
}

/**
 * A failure to connect or to be let in, as the operator should read it.
 * @param where host, port and database without the password
 */
export function connectionError(thrown: unknown, where: string): PurgeError {
  const fault = readFault(thrown);
  const refused = fault.sqlState !== null && /^(28|3D)/.test(fault.sqlState);
  return refused
    ? new PurgeError(
        'DATABASE_REFUSED',
        `PostgreSQL at ${where} refused the login: ${fault.message}.`,
        {
          cause: thrown,
        },
      )
    : new PurgeError(
        'DATABASE_UNREACHABLE',
        `PostgreSQL at ${where} cannot be reached: ${fault.message || 'no answer'}.`,
        { cause: thrown },
      );
}

/** 42501 as a PurgeError that names the object; anything else unchanged. */
export function privilegeError(thrown: unknown): unknown {
  const fault = readFault(thrown);
  return fault.sqlState === '42501'
    ? new PurgeError(
        'PRIVILEGE_MISSING',
        `The database role lacks a privilege: ${fault.message}.`,
        {
          cause: thrown,
        },
      )
    : thrown;
}
