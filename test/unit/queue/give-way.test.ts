import { describe, expect, it } from 'vitest';
import { givesWay, INTERRUPTED_PRIORITY, priorityOf } from '../../../src/queue/give-way.ts';

const slots = (...priorities: number[]) => priorities.map((priority, slot) => ({ slot, priority }));
/** Which slots give way. */
const givers = (priorities: readonly number[], count: number, waiting: number | null): number[] => {
  const taken = slots(...priorities);
  return taken.filter((mine) => givesWay(mine, taken, count, waiting)).map(({ slot }) => slot);
};

describe('The turn of a purge', () => {
  it('goes by its size: one later with every digit above 10,000 rows', () => {
    const rows = [0, 1, 9_999, 10_000, 99_999, 100_000, 2_520_009, 1e9];
    expect(rows.map(priorityOf)).toEqual([0, 0, 0, 1, 1, 2, 3, 6]);
    expect(priorityOf(1e12)).toBeLessThan(INTERRUPTED_PRIORITY);
  });
});

describe('A slot', () => {
  it.each<[string, number[], number, number | null, number[]]>([
    ['is kept while nobody waits', [3, 3], 2, null, []],
    ['is kept while another is free', [3], 2, 0, []],
    ['is kept while another serves purges as small', [3, 0], 2, 0, []],
    ['is kept before one as large', [3, 3], 2, 3, []],
    ['is kept before a larger one', [2, 2], 2, 3, []],
    ['is given back by the largest where all are larger', [2, 3, 1], 3, 0, [1]],
    ['is given back by one only of equals', [3, 3], 2, 0, [0]],
    ['is given back by the only one', [3], 1, 0, [0]],
    ['is given back by one that was interrupted, first of all', [3, 100], 2, 1, [1]],
  ])('%s', (_, priorities, count, waiting, expected) => {
    expect(givers(priorities, count, waiting)).toEqual(expected);
  });
});
