import { expect, it } from 'vitest';
import { asTableName, type TableName } from '../../../src/domain/ids.ts';
import { deletesOf } from '../../../src/domain/plan.ts';
import { createdGroups } from '../../../src/engine/archive/created-groups.ts';
import { handMadePlan } from '../../support/hand-made-plan.ts';

const deleted = handMadePlan.levels.flatMap(({ steps }) =>
  steps.flatMap((step) => deletesOf(step).map(({ table }) => table)),
);
const placeOf = (groups: readonly (readonly TableName[])[], table: TableName): number =>
  groups.findIndex((group) => group.includes(table));

it('puts the tables in the reverse order of the deletes, each once', () => {
  const groups = createdGroups(handMadePlan, []);
  expect(groups.flat().sort()).toEqual([...new Set(deleted)].sort());
  const [firstDeleted] = deleted;
  const lastDeleted = deleted.at(-1);
  if (firstDeleted === undefined || lastDeleted === undefined) throw new Error('an empty plan');
  expect(placeOf(groups, lastDeleted)).toBe(0);
  expect(placeOf(groups, firstDeleted)).toBe(groups.length - 1);
});

it('puts together all that lies between a table and a later one it refers to, and only that', () => {
  const plain = createdGroups(handMadePlan, []);
  expect(plain.length).toBeGreaterThan(3);
  const [child] = plain[1] ?? [];
  const [parent] = plain[3] ?? [];
  if (child === undefined || parent === undefined) throw new Error('too small a plan');
  const groups = createdGroups(handMadePlan, [
    { child, parent },
    // Toward an earlier table the order is right; a stranger's key does not count.
    { child: parent, parent: child },
    { child, parent: asTableName('public.strangers') },
  ]);
  expect(groups).toEqual([plain[0], plain.slice(1, 4).flat(), ...plain.slice(4)]);
});
