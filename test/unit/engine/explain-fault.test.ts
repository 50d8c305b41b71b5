import { describe, expect, it } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { explainFault, remedyOfInterruption } from '../../../src/engine/explain-fault.ts';
import { atTable, placeOf } from '../../../src/engine/fault-place.ts';
import { readFault } from '../../../src/postgres/sqlstate.ts';

const purge = { id: 'p1' } as PurgeRecord;
const fault = (fields: object, message = 'a fault'): Error =>
  Object.assign(new Error(message), fields);
const AT = { schema: 'public', table: 'orders', constraint: 'orders_check', column: 'owner' };

describe('a fault that no retry mends', () => {
  it.each([
    ['23503', 'FOREIGN_REFERENCE', 'orders_check'],
    ['23001', 'FOREIGN_REFERENCE', 'orders_check'],
    ['23514', 'ROW_REFUSED', 'CHECK orders_check'],
    ['23502', 'ROW_REFUSED', 'Column owner of public.orders'],
    ['57014', 'POISON_ROW', 'public.orders'],
    ['42501', 'PRIVILEGE_MISSING', 'GRANT'],
  ])('says for %s what happened and where', (code, expected, what) => {
    const error = explainFault(purge, fault({ ...AT, code, detail: 'Failing row: (secret)' }));
    expect(error.code).toBe(expected);
    expect(`${error.message} ${error.remedy}`).toContain(what);
    expect(error.message).toContain('Purge p1');
    expect(JSON.stringify(error.toReport())).not.toContain('secret');
  });

  it('says by its key which row is still referred to', () => {
    const detail = 'Key (id)=(5) is still referenced from table "orders".';
    const error = explainFault(purge, fault({ ...AT, code: '23503', detail }));
    expect(error.message).toContain('(id = 5)');
    expect(error.details).toMatchObject({ key: 'id = 5', constraint: 'orders_check' });
  });

  it('names the function of a trigger that raises', () => {
    const where = 'PL/pgSQL function app.refuse() line 1 at RAISE';
    const error = explainFault(purge, fault({ code: 'P0001', where }, 'never'));
    expect(error.message).toContain('by app.refuse (P0001): never');
    expect(error.remedy).toContain('app.refuse');
  });

  it('names the table that was deleted from where PostgreSQL names none', async () => {
    const where = 'PL/pgSQL function app.refuse() line 1 at RAISE';
    const thrown = fault({ code: 'P0001', where }, 'never');
    const risen = await atTable('app.events', () =>
      atTable('app.others', () => Promise.reject(thrown)),
    ).catch((error: unknown) => error);
    expect(risen).toBe(thrown);
    expect(placeOf(risen)).toBe('app.others');
    expect(explainFault(purge, thrown, placeOf(risen)).message).toContain('at app.others');
    expect(explainFault(purge, fault({ ...AT, code: '23514' }), 'app.others').message).toContain(
      'at public.orders',
    );
  });

  it('takes a function that raises 23503 by itself for what it is, not for a foreign key', () => {
    const where = 'PL/pgSQL function app.refuse() line 1 at RAISE';
    const error = explainFault(purge, fault({ code: '23503', where }, 'still in use'));
    expect(error.code).toBe('ROW_REFUSED');
    expect(error.message).toContain('by app.refuse (23503): still in use');
  });

  it('leaves an error of our own as it is, and calls a mistake of ours one', () => {
    const own = new PurgeError('DRIFT', 'changed');
    expect(explainFault(purge, own)).toBe(own);
    expect(explainFault(purge, new TypeError('x')).code).toBe('INTERNAL');
  });
});

describe('the remedy of an interruption', () => {
  it.each([
    [{ code: '55P03' }, 'lockTimeoutMs'],
    [{ code: '53100' }, 'disk space'],
    [{ code: '53200' }, 'memory'],
    [{ code: '53300' }, 'max_connections'],
    [{ code: '25006' }, 'primary'],
    [{ code: '57P04' }, 'restore it'],
    [{ code: '28P01' }, 'password'],
  ])('tells for %j what an operator can do', (fields, what) => {
    expect(remedyOfInterruption(readFault(fault(fields)))).toContain(what);
  });

  it('points at the certificate where TLS fails', () => {
    const expired = fault({ code: 'CERT_HAS_EXPIRED' }, 'certificate has expired');
    expect(remedyOfInterruption(readFault(expired))).toContain('certificate');
  });

  it('is none of its own where waiting will do', () => {
    expect(remedyOfInterruption(readFault(fault({ code: '40P01' })))).toBeNull();
    expect(remedyOfInterruption(readFault(fault({ code: 'ECONNREFUSED' })))).toBeNull();
  });
});
