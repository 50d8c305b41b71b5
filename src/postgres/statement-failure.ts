import { PurgeError } from '../domain/errors.ts';
import { type DatabaseFault, privilegeError, readFault } from './sqlstate.ts';

/**
 * An error of PostgreSQL in the middle of a command, as the operator should read it: what the server
 * cannot do now, and what helps. What is a PurgeError already, or no such error, stays as it is.
 */
export function statementFailure(thrown: unknown): unknown {
  if (thrown instanceof PurgeError) return thrown;
  const fault = readFault(thrown);
  return explain(fault, thrown) ?? privilegeError(thrown);
}

function explain(
  { sqlState, faultClass, message }: DatabaseFault,
  cause: unknown,
): PurgeError | null {
  if (sqlState === '25006') {
    return new PurgeError('DATABASE_REFUSED', `PostgreSQL takes no writes: ${message}.`, {
      cause,
      remedy:
        'As after a failover, this server is a standby: point DATABASE_URL at the primary; or lift default_transaction_read_only for the role.',
    });
  }
  if (sqlState?.startsWith('53') === true) {
    return new PurgeError('DATABASE_REFUSED', `PostgreSQL is out of resources: ${message}.`, {
      cause,
      remedy: remedyOfShortage(sqlState),
    });
  }
  if (faultClass === 'shrink' || sqlState === '55P03' || sqlState?.startsWith('40') === true) {
    return new PurgeError('TIMED_OUT', `PostgreSQL gave up a statement: ${message}.`, {
      cause,
      remedy:
        'Give the command again; if it stays so, see who blocks it: SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start.',
    });
  }
  if (faultClass === 'back-off') {
    return new PurgeError(
      'DATABASE_UNREACHABLE',
      `The connection to PostgreSQL was lost: ${message}.`,
      {
        cause,
        remedy:
          'Give the command again once the server answers; what it had recorded by then stands.',
      },
    );
  }
  return null;
}

function remedyOfShortage(sqlState: string): string {
  switch (sqlState) {
    case '53100':
      return 'Free disk space on the PostgreSQL server, then give the command again.';
    case '53300':
      return 'End other sessions, or raise max_connections, then give the command again.';
    default:
      return 'Give the PostgreSQL server more memory (if it names shared memory, raise max_locks_per_transaction), then give the command again.';
  }
}
