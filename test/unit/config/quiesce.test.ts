import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';

const ENVIRONMENT = { DATABASE_URL: 'postgres://localhost/app', REDIS_URL: 'redis://localhost' };

const parse = (quiesce: unknown): unknown =>
  parseConfig({ tenant: { table: 'public.tenants' }, quiesce }, ENVIRONMENT, null).quiesce;

describe('quiesce', () => {
  it('is a column with its value, or two statements', () => {
    const column = { column: 'status', value: 'purging' };
    expect(parse(column)).toEqual(column);
    const sql = { sql: 'update t set a = 1 where id = {tenantId}', undo: 'select {tenantId}' };
    expect(parse(sql)).toEqual(sql);
    expect(parse(undefined)).toBeNull();
  });

  it.each([
    [{ column: 'status' }, 'must be {"column", "value"}, or {"sql", "undo"}'],
    [{ column: 'status', value: 'x', sql: '{tenantId}' }, 'both of one pair, none of the other'],
    [{ sql: 'update {tenantId}' }, 'both of one pair, none of the other'],
    [{ sql: 'update t set a = 1', undo: '{tenantId}' }, 'quiesce.sql: must contain {tenantId}'],
    [{ colum: 'status', value: 'x' }, 'quiesce.colum: unknown key; did you mean "column"?'],
  ])('is refused as %j', (quiesce, message) => {
    expect(() => parse(quiesce)).toThrow(message);
  });
});
