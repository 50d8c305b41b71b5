import { PurgeError } from '../domain/errors.ts';

/**
 * What to do about a database error, decided once, by SQLSTATE:
 * `shrink` the batch; `back-off` and try the same again; `stale` and `stop` are our own signals from
 * `enter_batch`; `reference`: a row still references one to delete (RESTRICT says 23001 from
 * PostgreSQL 18 on, 23503 before); `fatal`: no retry can mend it, as where a column to be cleared is
 * NOT NULL (23502) or under a CHECK (23514).
 */
export type FaultClass = 'shrink' | 'back-off' | 'stale' | 'stop' | 'reference' | 'fatal';

/** The parts of a driver error this project reads. `detail` may hold row values: never logged. */
export interface DatabaseFault {
  readonly sqlState: string | null;
  readonly message: string;
  readonly constraint: string | null;
  readonly table: string | null;
  readonly column: string | null;
  readonly faultClass: FaultClass;
}

const BACK_OFF = new Set([
  '40P01',
  '40001',
  '55P03',
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  '25P03',
  '53300',
]);

/** Errors of the connection itself, from Node and from the driver; they carry no SQLSTATE. */
const CONNECTION_ERRORS = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'EAI_AGAIN',
]);
const CONNECTION_MESSAGES =
  /connection terminated|connection ended|timeout exceeded when trying to connect|client has encountered a connection error|not queryable/i;

/** Reads a thrown driver error; anything else is `fatal`. */
export function readFault(thrown: unknown): DatabaseFault {
  const error = thrown as {
    code?: unknown;
    constraint?: unknown;
    column?: unknown;
    table?: unknown;
    schema?: unknown;
  };
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const code = typeof error?.code === 'string' ? error.code : null;
  const sqlState = code !== null && /^[0-9A-Z]{5}$/.test(code) ? code : null;
  return {
    sqlState,
    message,
    constraint: typeof error?.constraint === 'string' ? error.constraint : null,
    table:
      typeof error?.table === 'string' && typeof error.schema === 'string'
        ? `${error.schema}.${error.table}`
        : null,
    column: typeof error?.column === 'string' ? error.column : null,
    faultClass: classify(sqlState, code, message),
  };
}

function classify(sqlState: string | null, code: string | null, message: string): FaultClass {
  if (sqlState === null) {
    const lost =
      (code !== null && CONNECTION_ERRORS.has(code)) || CONNECTION_MESSAGES.test(message);
    return lost ? 'back-off' : 'fatal';
  }
  if (sqlState === '57014') return 'shrink';
  if (sqlState === 'TP001') return 'stale';
  if (sqlState === 'TP002') return 'stop';
  if (sqlState === '23503' || sqlState === '23001') return 'reference';
  if (BACK_OFF.has(sqlState) || sqlState.startsWith('08')) return 'back-off';
  return 'fatal';
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
