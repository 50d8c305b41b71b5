import { type ErrorDetails, PurgeError, toPurgeError } from '../domain/errors.ts';
import type { PurgeRecord } from '../domain/records.ts';
import { type DatabaseFault, readFault } from '../postgres/sqlstate.ts';

/**
 * A database error in the words of the operator: which purge, which table, which constraint or
 * trigger, the row by its key where PostgreSQL tells it, and what settles it. Never other contents of
 * a row. What is a PurgeError already stays as it is. Pure.
 * @param place the table at which it arose, for where PostgreSQL names none
 */
export function explainFault(
  purge: PurgeRecord,
  error: unknown,
  place: string | null = null,
): PurgeError {
  if (error instanceof PurgeError) return error;
  const read = readFault(error);
  const fault = { ...read, table: read.table ?? place };
  const options = { details: detailsOf(fault), cause: error };
  switch (fault.faultClass) {
    case 'reference':
      // A function that says so by itself, with no key between two tables behind it.
      if (fault.constraint === null && fault.raisedBy !== null) {
        return explainRefusal(purge, fault, options);
      }
      return new PurgeError(
        'FOREIGN_REFERENCE',
        `Purge ${purge.id}: rows${at(fault)} that are not part of the purge reference rows to delete${keyed(fault)}, through ${fault.constraint}.`,
        options,
      );
    case 'shrink':
      return new PurgeError(
        'POISON_ROW',
        `Purge ${purge.id}: a statement ran into its timeout${at(fault)}: ${fault.message}.`,
        options,
      );
    case 'fatal':
      return fault.sqlState === null ? toPurgeError(error) : explainRefusal(purge, fault, options);
    case 'back-off':
    case 'stale':
    case 'stop':
      return toPurgeError(error);
    default:
      return fault.faultClass satisfies never;
  }
}

/** What an operator can do about a fault that is tried again by itself, or null where waiting will do. */
export function remedyOfInterruption({ sqlState, message }: DatabaseFault): string | null {
  if (sqlState === '55P03') {
    return 'Another session keeps a lock for longer than batch.lockTimeoutMs: end it (SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start), or wait; the purge is tried again by itself.';
  }
  if (sqlState === '53100') {
    return 'Free disk space on the PostgreSQL server; the purge is tried again by itself.';
  }
  if (sqlState === '53200') {
    return 'Give the PostgreSQL server more memory (if it names shared memory, raise max_locks_per_transaction); the purge is tried again by itself.';
  }
  if (sqlState === '53300') {
    return 'Lower batch.connections or worker.slots, or raise max_connections; the purge is tried again by itself.';
  }
  if (sqlState === '25006') {
    return 'This server takes no writes, as after a failover: point DATABASE_URL at the primary and restart the worker, or lift default_transaction_read_only; the purge is tried again by itself.';
  }
  if (sqlState === '57P04' || sqlState === '3D000') {
    return 'The database is gone: restore it, or correct DATABASE_URL; the purge is tried again by itself.';
  }
  if (sqlState?.startsWith('28') === true) {
    return "The login is refused now: check the role's password and pg_hba.conf; the purge is tried again by itself.";
  }
  if (/\b(SSL|TLS|certificate)\b/i.test(message)) {
    return 'TLS to the server fails now: check its certificate, and sslmode in DATABASE_URL; the purge is tried again by itself.';
  }
  return null;
}

interface RefusalOptions {
  readonly details: ErrorDetails;
  readonly cause: unknown;
}

function explainRefusal(
  purge: PurgeRecord,
  fault: DatabaseFault,
  options: RefusalOptions,
): PurgeError {
  const remedy = remedyOfRefusal(fault);
  const withRemedy = remedy === null ? options : { ...options, remedy };
  if (fault.sqlState === '42501') {
    return new PurgeError('PRIVILEGE_MISSING', `Purge ${purge.id}: ${fault.message}.`, withRemedy);
  }
  const by = fault.raisedBy === null ? '' : ` by ${fault.raisedBy}`;
  return new PurgeError(
    'ROW_REFUSED',
    `Purge ${purge.id}: PostgreSQL refused${by}${at(fault)} (${fault.sqlState}): ${fault.message}${keyed(fault)}.`,
    withRemedy,
  );
}

function remedyOfRefusal(fault: DatabaseFault): string | null {
  const { sqlState, table, column, constraint, raisedBy } = fault;
  switch (sqlState) {
    // Setting a column of a row that stays, by our statement or by a key's action, broke a rule of its table.
    case '23502':
      return `Column ${column} of ${table} takes no NULL, but a key or rule wants to clear it: have these rows deleted, drop NOT NULL, or change the rule, then enqueue again.`;
    case '23514':
      return `Clearing a column of ${table} breaks CHECK ${constraint}: have these rows deleted, loosen the CHECK, or change the rule, then enqueue again.`;
    case '55000':
      return /replica identity/i.test(fault.message)
        ? 'Give the published table a replica identity (a primary key, or ALTER TABLE … REPLICA IDENTITY FULL), or take it out of the publication, then enqueue again.'
        : null;
    case '42501':
      return raisedBy === null
        ? null
        : `Function ${raisedBy} lacks a privilege: grant it to the role, or make the function SECURITY DEFINER, then enqueue again.`;
    default:
      return raisedBy === null
        ? null
        : `Function ${raisedBy}, which a trigger calls, raises this: settle what it wants or disable the trigger, then enqueue again.`;
  }
}

const at = ({ table }: DatabaseFault): string => (table === null ? '' : ` at ${table}`);
const keyed = ({ key }: DatabaseFault): string => (key === null ? '' : ` (${key})`);

const detailsOf = ({
  sqlState,
  constraint,
  table,
  key,
  raisedBy,
}: DatabaseFault): ErrorDetails => ({
  sqlState,
  constraint,
  table,
  ...(key === null ? {} : { key }),
  ...(raisedBy === null ? {} : { raisedBy }),
});
