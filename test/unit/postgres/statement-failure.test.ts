import { describe, expect, it } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import { statementFailure } from '../../../src/postgres/statement-failure.ts';

const fault = (fields: object, message = 'a fault'): Error =>
  Object.assign(new Error(message), fields);

describe('an error of PostgreSQL in the middle of a command', () => {
  it.each([
    [{ code: '25006' }, 'DATABASE_REFUSED', 'primary'],
    [{ code: '53100' }, 'DATABASE_REFUSED', 'disk space'],
    [{ code: '53300' }, 'DATABASE_REFUSED', 'max_connections'],
    [{ code: '53200' }, 'DATABASE_REFUSED', 'max_locks_per_transaction'],
    [{ code: '57014' }, 'TIMED_OUT', 'pg_stat_activity'],
    [{ code: '55P03' }, 'TIMED_OUT', 'pg_stat_activity'],
    [{ code: '40P01' }, 'TIMED_OUT', 'again'],
    [{ code: '57P01' }, 'DATABASE_UNREACHABLE', 'once the server answers'],
    [{ code: 'ECONNRESET' }, 'DATABASE_UNREACHABLE', 'once the server answers'],
    [{ code: '42501' }, 'PRIVILEGE_MISSING', 'GRANT'],
  ])('says for %j what it means and what to do', (fields, code, remedy) => {
    const thrown = fault(fields, 'what the server says');
    const error = statementFailure(thrown);
    if (!(error instanceof PurgeError)) throw new Error('it stayed as it was');
    expect(error.code).toBe(code);
    expect(error.message).toContain('what the server says');
    expect(error.remedy).toContain(remedy);
    expect(error.cause).toBe(thrown);
  });

  it('leaves what is no fault of the server as it is', () => {
    const own = new PurgeError('USAGE', 'no');
    const mistake = new TypeError('x is not a function');
    expect(statementFailure(own)).toBe(own);
    expect(statementFailure(mistake)).toBe(mistake);
  });
});
