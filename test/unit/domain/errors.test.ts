import { describe, expect, it } from 'vitest';
import { EXIT, PurgeError, remedyOf, toPurgeError } from '../../../src/domain/errors.ts';

describe('An error', () => {
  it('ends the program by its code and says what to do next', () => {
    const error = new PurgeError('TENANT_KEPT', 'Tenant 7 is on the keep list.');
    expect(error.exitCode).toBe(EXIT.refused);
    expect(error.toReport()).toEqual({
      code: 'TENANT_KEPT',
      message: 'Tenant 7 is on the keep list.',
      remedy: remedyOf('TENANT_KEPT'),
      details: {},
    });
  });

  it('takes a sharper remedy, facts and the original where they are known', () => {
    const cause = new Error('below');
    const error = new PurgeError('USAGE', 'No.', { remedy: 'Say 7.', details: { n: 7 }, cause });
    expect(error.toReport()).toMatchObject({ remedy: 'Say 7.', details: { n: 7 } });
    expect(error.cause).toBe(cause);
  });

  it('stays itself when it is caught, and anything else becomes INTERNAL with its cause', () => {
    const error = new PurgeError('DRIFT', 'The schema changed.');
    expect(toPurgeError(error)).toBe(error);
    const thrown = new TypeError('x is not a function');
    expect(toPurgeError(thrown)).toMatchObject({
      code: 'INTERNAL',
      message: 'x is not a function',
      cause: thrown,
    });
    expect(toPurgeError('text').message).toBe('text');
  });
});

describe('The exit codes', () => {
  it.each([
    ['CONFIG_INVALID', 2],
    ['DATABASE_UNREACHABLE', 2],
    ['LEDGER_NEWER', 2],
    ['TARGETS_REFUSED', 3],
    ['HAZARD_NOT_ALLOWED', 3],
    ['DRIFT', 3],
    ['RESIDUE', 4],
    ['CANCELLED', 5],
    ['STOP_ASKED', 130],
    ['INTERNAL', 1],
  ] as const)('of %s is %d', (code, exitCode) => {
    expect(new PurgeError(code, 'No.').exitCode).toBe(exitCode);
  });
});
