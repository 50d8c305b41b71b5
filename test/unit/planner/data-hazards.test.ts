import { describe, expect, it } from 'vitest';
import { asTableName } from '../../../src/domain/ids.ts';
import type { ReferenceCheck } from '../../../src/domain/plan.ts';
import {
  dataHazards,
  descendantHazards,
  type ReferenceFinding,
} from '../../../src/planner/hazards/data-hazards.ts';
import { pathOf, reference } from '../../support/hand-made-plan.ts';

const finding = (
  check: Partial<ReferenceCheck>,
  more: Partial<ReferenceFinding> = {},
): ReferenceFinding => ({
  kind: 'outside',
  check: reference(pathOf('notes'), 'agent_id', pathOf('agents'), check),
  byRule: false,
  count: 1,
  rows: [{ key: 'id = 5', owner: 'b', refersTo: 'a' }],
  clearable: ['agent_id'],
  ...more,
});

const hazardOf = (...of: Parameters<typeof finding>) => dataHazards([finding(...of)])[0];

describe('A reference from outside', () => {
  it.each([
    ['NO ACTION', 'OUTSIDE_REFERENCE'],
    ['RESTRICT', 'OUTSIDE_REFERENCE'],
    ['CASCADE', 'ACTION_OUTSIDE_SET'],
    ['SET NULL', 'ACTION_OUTSIDE_SET'],
    ['SET DEFAULT', 'ACTION_OUTSIDE_SET'],
  ] as const)('blocks under %s as %s', (action, type) => {
    const hazard = hazardOf({ action });
    expect(hazard).toMatchObject({
      type,
      severity: 'blocks',
      table: 'public.notes',
      foreignKey: 'public.notes_agent_id_fkey',
      count: 1,
    });
    expect(hazard?.message).toContain('1 row of public.notes refers');
    expect(hazard?.message).toContain('id = 5 (of tenant b, to tenant a).');
    if (type === 'ACTION_OUTSIDE_SET') expect(hazard?.message).toContain(`ON DELETE ${action}`);
  });

  it('blocks although a rule is there, where it refers to rows that go by a rule themselves', () => {
    const hazard = hazardOf({ rule: 'delete' }, { byRule: true });
    expect(hazard).toMatchObject({ type: 'OUTSIDE_REFERENCE', severity: 'blocks' });
    expect(hazard?.remedy).toContain('Delete or move these rows');
  });

  it.each([
    ['set-null', 'CLEARED_REFERENCE'],
    ['delete', 'DELETED_REFERENCE'],
  ] as const)('under the rule %s is told as %s', (rule, type) => {
    expect(hazardOf({ rule, clearColumns: ['agent_id'] })).toMatchObject({
      type,
      severity: 'info',
    });
  });

  it('can be cleared where its columns can be NULL, else the row deleted', () => {
    expect(hazardOf({})?.remedy).toContain(
      '"foreignKeys": { "public.notes_agent_id_fkey": "set-null" }',
    );
    expect(hazardOf({}, { clearable: [] })?.remedy).toContain(
      '"foreignKeys": { "public.notes_agent_id_fkey": "delete" }',
    );
  });

  it('can make its row the tenant’s where that is nobody’s and would be set to NULL', () => {
    const own = '"public.notes_agent_id_fkey": "own"';
    expect(hazardOf({ childPath: null, action: 'SET NULL' })?.remedy).toContain(own);
    expect(hazardOf({ childPath: null, action: 'CASCADE' })?.remedy).not.toContain(own);
    expect(hazardOf({ action: 'SET NULL' })?.remedy).not.toContain(own);
  });

  it('says how many rows it does not name, and whose nobody’s are', () => {
    const rows = [{ key: 'id = 5', owner: null, refersTo: 'a' }];
    expect(hazardOf({}, { count: 8, rows })?.message).toContain(
      '8 rows of public.notes refer by public.notes_agent_id_fkey to rows of public.agents',
    );
    expect(hazardOf({}, { count: 8, rows })?.message).toContain(
      'id = 5 (of nobody, to tenant a); and 7 more.',
    );
  });
});

it('A reference to another tenant is told, and in nobody’s way', () => {
  expect(hazardOf({}, { kind: 'crossing' })).toMatchObject({
    type: 'CROSS_TENANT_REFERENCE',
    severity: 'info',
  });
});

it('A CHECK that a cleared reference would break blocks, with the number of rows', () => {
  const { check } = finding({ rule: 'set-null', clearColumns: ['agent_id'] });
  const [hazard] = dataHazards([{ kind: 'breaks-check', check, constraint: 'bound', count: 3 }]);
  expect(hazard).toMatchObject({ type: 'CLEAR_BREAKS_CHECK', severity: 'blocks', count: 3 });
  expect(hazard?.message).toContain('CHECK bound (23514)');
});

describe('Tenants below', () => {
  const plan = {
    tenant: {
      table: asTableName('public.tenants'),
      key: 'id',
      keyType: 'text',
      label: null,
      testColumn: null,
    },
    tree: [{ columns: ['parent_id'], referencedColumns: ['id'], foreignKey: 'public.tenants.up' }],
  };
  const below = (count: number) =>
    Array.from({ length: count }, (_, at) => ({
      tenant: { id: `child${at}`, label: `Child ${at}` },
      below: { id: 'top' },
    }));

  it('block, are named, and can go too', () => {
    expect(descendantHazards(plan, below(1))).toEqual([
      expect.objectContaining({
        type: 'TENANT_HAS_DESCENDANTS',
        severity: 'blocks',
        count: 1,
        message: expect.stringContaining('child0 (Child 0) below top'),
        remedy: expect.stringContaining('--with-descendants'),
      }),
    ]);
  });

  it('are ten by name and the rest by number', () => {
    const [hazard] = descendantHazards(plan, below(12));
    expect(hazard?.message).toContain('child9 (Child 9) below top; and 2 more.');
  });

  it('are no hazard where there are none', () => {
    expect(descendantHazards(plan, [])).toEqual([]);
  });
});
