import { expect, test } from 'vitest';
import { stepKey } from '../../../src/postgres/rows/step-key.ts';
import { clearStep, deleteStep, handMadePlan, pathOf } from '../../support/hand-made-plan.ts';

const notes = pathOf('notes');
const clear = (reason: Parameters<typeof clearStep>[1]['reason']): string =>
  stepKey(clearStep(notes, { foreignKey: 'public.notes.reply', columns: ['reply_id'], reason }));

test('a step is named by what it does and to what, so that one key can be cleared twice', () => {
  expect(stepKey(deleteStep(notes))).toBe('delete public.notes');
  expect(clear('cycle')).toBe('clear public.notes.reply');
  expect(clear('self')).toBe('clear public.notes.reply');
  expect(clear('rule')).toBe('unlink public.notes.reply');
  expect(clear('table')).toBe('table public.notes');
  expect(clear('operator')).toBe('update public.notes');
});

test('no two steps of a plan share a name', () => {
  const keys = handMadePlan.levels.flatMap(({ steps }) => steps.map(stepKey));
  expect(new Set(keys).size).toBe(keys.length);
});
