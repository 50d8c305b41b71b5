import { describe, expect, it } from 'vitest';
import {
  inheritPostgresTls,
  postgresTlsProblems,
  readPostgresTls,
  withoutPostgresTls,
} from '../../../src/domain/postgres-tls.ts';

const URL_START = 'postgres://app:s3cret@db.internal:5432/app';
const demandOf = (parameters: string): string =>
  readPostgresTls(`${URL_START}${parameters}`).demand;

describe('The TLS parameters of a PostgreSQL URL', () => {
  it.each([
    ['', 'none'],
    ['?sslmode=disable', 'none'],
    ['?sslmode=allow', 'if-offered'],
    ['?sslmode=prefer', 'if-offered'],
    ['?sslmode=prefer&sslrootcert=/ca.pem', 'if-offered'],
    ['?sslmode=require', 'unverified'],
    ['?sslmode=require&uselibpqcompat=true', 'unverified'],
    ['?sslmode=require&sslrootcert=/ca.pem', 'chain'],
    ['?sslmode=no-verify', 'unverified'],
    ['?ssl=no-verify', 'unverified'],
    ['?sslmode=verify-ca&sslrootcert=/ca.pem', 'chain'],
    ['?sslmode=verify-full', 'chain-and-name'],
    ['?sslmode=verify-full&sslrootcert=system', 'chain-and-name'],
    ['?ssl=true', 'chain-and-name'],
    ['?ssl=0', 'none'],
    ['?sslrootcert=/ca.pem', 'chain-and-name'],
    ['?sslmode=require&host=/var/run/postgresql', 'none'],
  ])('%s mean %s', (parameters, demand) => {
    expect(demandOf(parameters)).toBe(demand);
  });

  it('over a Unix socket mean nothing, however it is written', () => {
    expect(readPostgresTls('postgres:///app?host=/run/pg&sslmode=require').demand).toBe('none');
    expect(readPostgresTls('postgres://%2Frun%2Fpg/app?sslmode=require').demand).toBe('none');
  });

  it('name the files, and `system` is none', () => {
    expect(
      readPostgresTls(`${URL_START}?sslmode=verify-full&sslrootcert=system&sslcert=/c&sslkey=/k`),
    ).toMatchObject({ rootFile: null, certificateFile: '/c', keyFile: '/k' });
  });

  it('are refused where they cannot be meant', () => {
    const problems = (parameters: string): string[] =>
      postgresTlsProblems(`${URL_START}${parameters}`);
    expect(problems('?sslmode=verify-ful')).toEqual([
      expect.stringContaining('did you mean "verify-full"?'),
    ]);
    expect(problems('?sslmode=verify-ca')).toEqual([expect.stringContaining('sslrootcert=FILE')]);
    expect(problems('?sslmode=require&sslrootcert=system')).toHaveLength(1);
    expect(problems('?sslmode=verify-full')).toEqual([]);
    expect(problems('')).toEqual([]);
    expect(postgresTlsProblems('not a URL')).toEqual([]);
  });

  it('come from PGSSLMODE and PGSSLROOTCERT where the URL has none', () => {
    const inherit = (url: string): string =>
      inheritPostgresTls(url, { mode: 'verify-full', rootFile: '/ca.pem' });
    expect(readPostgresTls(inherit(URL_START))).toMatchObject({
      demand: 'chain-and-name',
      rootFile: '/ca.pem',
    });
    expect(readPostgresTls(inherit(`${URL_START}?sslmode=disable`)).demand).toBe('none');
    expect(readPostgresTls(inherit(`${URL_START}?sslrootcert=/own.pem`)).rootFile).toBe('/own.pem');
    expect(inheritPostgresTls(URL_START, { mode: null, rootFile: null })).toBe(URL_START);
    expect(inherit('')).toBe('');
  });

  it('are kept from the driver, which would read them otherwise', () => {
    expect(withoutPostgresTls(`${URL_START}?sslmode=require&application_name=x`)).toBe(
      `${URL_START}?application_name=x`,
    );
    expect(withoutPostgresTls(URL_START)).toBe(URL_START);
  });
});
