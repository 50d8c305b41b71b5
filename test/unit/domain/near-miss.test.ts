import { expect, test } from 'vitest';
import { nearestMatch } from '../../../src/domain/near-miss.ts';

const CANDIDATES = ['levels', 'tables', 'tenant', 'redis'];

test.each([
  ['levles', 'levels'],
  ['Tenants', 'tenant'],
  ['reids', 'redis'],
  ['archive', null],
  ['x', null],
])('the nearest match of %j is %j', (word, expected) => {
  expect(nearestMatch(word, CANDIDATES)).toBe(expected);
});

test('without candidates there is no match', () => {
  expect(nearestMatch('levels', [])).toBe(null);
});
