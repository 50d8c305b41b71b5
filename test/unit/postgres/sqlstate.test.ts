import { describe, expect, it } from 'vitest';
import { type FaultClass, readFault } from '../../../src/postgres/sqlstate.ts';

const fault = (fields: object, message = 'a fault'): Error =>
  Object.assign(new Error(message), fields);

it('backs off where somebody cancelled the statement, which the server says in English', () => {
  const byCode = (message: string): string =>
    readFault(fault({ code: '57014' }, message)).faultClass;
  expect(byCode('canceling statement due to user request')).toBe('back-off');
  expect(byCode('canceling statement due to statement timeout')).toBe('shrink');
  expect(byCode('Anweisung wird abgebrochen')).toBe('shrink');
});

const CLASSES: readonly [FaultClass, readonly string[]][] = [
  ['shrink', ['57014', '25P04']],
  ['stale', ['TP001']],
  ['stop', ['TP002']],
  ['reference', ['23503', '23001']],
  [
    'back-off',
    [
      '40P01',
      '40001',
      '40003',
      '55P03',
      '57P01',
      '57P02',
      '57P03',
      '57P05',
      '25P03',
      '08000',
      '08003',
      '08006',
      '08P01',
      // Disk full, out of memory, too many connections.
      '53100',
      '53200',
      '53300',
      // Dropped, gone, failed over, login refused in mid-purge, disk failed.
      '57P04',
      '3D000',
      '25006',
      '28000',
      '28P01',
      '58030',
    ],
  ],
  [
    'fatal',
    [
      '23502',
      '23514',
      '23505',
      '23P01',
      '42501',
      '55000',
      'P0001',
      '42P01',
      '42703',
      '22P02',
      'XX001',
      'XX000',
      'TP006',
      'TP007',
    ],
  ],
];

describe('the class of a fault', () => {
  it.each(
    CLASSES.flatMap(([faultClass, codes]) => codes.map((code) => [code, faultClass] as const)),
  )('is, for SQLSTATE %s, %s', (code, faultClass) => {
    expect(readFault(fault({ code, severity: 'ERROR' }))).toMatchObject({
      sqlState: code,
      faultClass,
    });
  });

  it.each([
    'ECONNREFUSED',
    'ECONNRESET',
    'EPIPE',
    'ETIMEDOUT',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EHOSTUNREACH',
    'EPROTO',
    'CERT_HAS_EXPIRED',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'ERR_OSSL_EVP_UNSUPPORTED',
  ])('is back-off for %s of Node, which is no SQLSTATE', (code) => {
    expect(readFault(fault({ code }))).toMatchObject({ sqlState: null, faultClass: 'back-off' });
  });

  it.each([
    'Connection terminated unexpectedly',
    'timeout exceeded when trying to connect',
    'Client has encountered a connection error and is not queryable',
    'The server does not support SSL connections',
    'There was an error establishing an SSL connection',
  ])('is back-off where the driver says "%s"', (message) => {
    expect(readFault(new Error(message)).faultClass).toBe('back-off');
  });

  it('is back-off where a socket in the file system is not there', () => {
    const missing = fault({ code: 'ENOENT', syscall: 'connect' });
    expect(readFault(missing).faultClass).toBe('back-off');
    expect(readFault(fault({ code: 'ENOENT', syscall: 'open' })).faultClass).toBe('fatal');
  });

  it.each([null, undefined, 'text', 5, new TypeError('x is undefined')])(
    'is fatal for %s, which no database threw',
    (thrown) => {
      expect(readFault(thrown)).toMatchObject({ sqlState: null, faultClass: 'fatal' });
    },
  );
});

const withDetail = (code: string, detail: string): string | null =>
  readFault(fault({ code, detail, schema: 'public', table: 'a', constraint: 'c' })).key;

describe('the key of a row', () => {
  it('is told by a foreign key and a unique key, in any language', () => {
    expect(withDetail('23503', 'Key (id)=(5) is still referenced from table "b".')).toBe('id = 5');
    expect(withDetail('23001', 'Key (id)=(5) is referenced from table "b".')).toBe('id = 5');
    expect(withDetail('23505', 'Key (a, b)=(1, x (y)) already exists.')).toBe(
      '(a, b) = (1, x (y))',
    );
    expect(withDetail('23503', 'Auf Schlüssel (id)=(5) wird noch verwiesen.')).toBe('id = 5');
  });

  it('is not taken from details that quote the whole row', () => {
    expect(withDetail('23514', 'Failing row contains (5, (secret)=(secret) ).')).toBeNull();
    expect(withDetail('23502', 'Failing row contains (5, secret).')).toBeNull();
  });

  it('is not taken from what a trigger raises', () => {
    const raised = fault({ code: '23503', detail: 'Key (name)=(secret) is still here.' });
    expect(readFault(raised).key).toBeNull();
  });
});

it('names the function that raised an error, and nothing else of its context', () => {
  const where =
    'PL/pgSQL function app.refuse() line 3 at RAISE\nSQL statement "delete from x where a = \'secret\'"';
  expect(readFault(fault({ code: 'P0001', where })).raisedBy).toBe('app.refuse');
  expect(readFault(fault({ code: 'P0001', where: 'SQL statement "x"' })).raisedBy).toBeNull();
});
