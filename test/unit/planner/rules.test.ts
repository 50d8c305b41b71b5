import { describe, expect, it } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import { asTableName } from '../../../src/domain/ids.ts';
import { makePlan } from '../../../src/planner/make-plan.ts';
import { catalogue, key, rules, table, tenants } from '../../support/catalogue.ts';

const found = catalogue(
  [tenants, table('agents', 'id! tenant_id!'), table('Order', 'id! tenant_id!')],
  [key('agents(tenant_id) → tenants')],
);

function refusal(more: Parameters<typeof rules>[0]): PurgeError {
  try {
    makePlan(found, rules(more));
  } catch (error) {
    if (error instanceof PurgeError) return error;
    throw error;
  }
  throw new Error('the rules were accepted');
}

describe('the rules of a plan', () => {
  it('take the key from the primary key and the label from a column called name', () => {
    expect(makePlan(found, rules()).tenant).toEqual({
      table: 'public.tenants',
      key: 'id',
      keyType: 'uuid',
      label: 'name',
      testColumn: null,
    });
  });

  it('find a table by its bare name where ours has quotes', () => {
    const quoted = { ...table('Order', 'id!'), name: asTableName('public."Order"') };
    const made = makePlan(
      { tables: [quoted], foreignKeys: [] },
      rules({ tenant: { table: 'public.Order' } }),
    );
    expect(made.tenant.table).toBe('public."Order"');
  });

  it('name an unknown tenant table and the nearest one', () => {
    const error = refusal({ tenant: { table: 'public.tenant' } });
    expect(error.code).toBe('TABLE_MISSING');
    expect(error.message).toContain('public.tenant ');
    expect(error.message).toContain('Did you mean public.tenants?');
  });

  it('name an unknown key column and the nearest one', () => {
    const error = refusal({ tenant: { label: 'nam' } });
    expect(error.code).toBe('COLUMN_MISSING');
    expect(error.message).toContain('Did you mean name?');
  });

  it('name every unknown table and column at once', () => {
    const error = refusal({
      core: ['public.agent'],
      tenant: { key: 'uid', testColumn: 'test', columns: ['tenantid'] },
      tables: { 'public.agents': { ownedBy: ['tenat_id'] }, 'public.nowhere': { onPurge: 'keep' } },
    });
    expect(error.message.split('\n')).toHaveLength(6);
    expect(error.message).toContain('tables["public.agents"].ownedBy: there is no column tenat_id');
    expect(error.message).toContain('Did you mean tenant_id?');
  });

  it('say so where the tenant table is a view', () => {
    const withView = { ...found, views: [asTableName('public.tenant_view')] };
    expect(() => makePlan(withView, rules({ tenant: { table: 'public.tenant_view' } }))).toThrow(
      /public\.tenant_view is a view: name the table that holds the rows/,
    );
  });

  it('need a key named where the tenant table has no primary key', () => {
    const bare = catalogue([table('orgs', 'code:text!')], []);
    expect(() => makePlan(bare, rules({ tenant: { table: 'public.orgs' } }))).toThrow(
      /tenant\.key/,
    );
  });

  it('are refused where they contradict each other', () => {
    expect(
      refusal({ tables: { 'public.agents': { ownedBy: ['tenant_id'], onPurge: 'keep' } } }).code,
    ).toBe('CONFIG_INVALID');
    expect(refusal({ tables: { 'public.tenants': { onPurge: 'keep' } } }).code).toBe(
      'CONFIG_INVALID',
    );
  });
});
