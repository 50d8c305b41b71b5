import { describe, expect, it } from 'vitest';
import { planAsJson } from '../../../src/planner/explain/explain.ts';
import { deleteStep, handMadePlan, pathOf, planOf } from '../../support/hand-made-plan.ts';

describe('The plan as data', () => {
  const document = planAsJson(handMadePlan, new Map([['public.notes', 12]]));
  const level = (name: string) => document.levels.find((one) => one.name === name);

  it('lists the tables of a circle among the tables of its level, and says what goes together', () => {
    expect(level('dependents 2')).toMatchObject({
      together: [{ way: 'one-statement', tables: ['public.members', 'public.teams'] }],
      tables: [
        { table: 'public.logs', path: 'tenant_id' },
        { table: 'public.notes', path: 'agent_id → public.agents.tenant_id' },
        { table: 'public.members' },
        { table: 'public.teams' },
      ],
    });
  });

  it('has an estimate for every table, and rows for those that were counted', () => {
    const rows = level('dependents 2')?.tables.map(({ estimatedRows, rows }) => [
      estimatedRows,
      rows,
    ]);
    expect(rows).toEqual([
      [2_528_475, undefined],
      [1_200, 12],
      [0, undefined],
      [null, undefined],
    ]);
  });

  it('names rows of others that a delete rule takes along', () => {
    expect(level('dependents 2')?.tables[1]?.also).toEqual([
      'shared_with_id → public.agents.tenant_id',
    ]);
  });

  it('gives every clear its reason, and a key only where a key is meant', () => {
    expect(level('dependents 1')?.clears).toEqual([
      {
        table: 'public.agents',
        foreignKey: 'public.agents_last_note_id_fkey',
        columns: ['last_note_id'],
        reason: 'cycle',
        path: 'tenant_id',
      },
      {
        table: 'public.notes',
        foreignKey: 'public.notes_reply_to_id_fkey',
        columns: ['reply_to_id'],
        reason: 'self',
        path: 'agent_id → public.agents.tenant_id',
      },
      {
        table: 'public.reviews',
        foreignKey: 'public.reviews_agent_id_fkey',
        columns: ['agent_id'],
        reason: 'rule',
        path: 'agent_id → public.agents.tenant_id',
      },
      { table: 'public.archive', columns: ['tenant_id'], reason: 'table', path: 'tenant_id' },
      {
        table: 'public.invoices',
        columns: ['state', 'note'],
        values: ['closed', null],
        reason: 'operator',
        path: 'tenant_id',
      },
    ]);
  });

  it('leaves out what a level does not have', () => {
    const steps = [deleteStep(pathOf('agents'))];
    const { levels } = planAsJson(planOf([{ name: 'core', stage: 'core', steps }], []));
    expect(levels).toEqual([
      {
        name: 'core',
        tables: [{ table: 'public.agents', path: 'tenant_id', estimatedRows: null }],
      },
    ]);
  });
});
