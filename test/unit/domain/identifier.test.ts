import { expect, it } from 'vitest';
import { quoteIdentifier } from '../../../src/domain/identifier.ts';

it.each([
  ['agents', 'agents'],
  ['agent_2', 'agent_2'],
  ['Order', '"Order"'],
  ['order', '"order"'],
  ['user', '"user"'],
  ['two words', '"two words"'],
  ['7th', '"7th"'],
  ['a"b', '"a""b"'],
  ['größe', '"größe"'],
])('quotes %s as %s, as PostgreSQL would', (name, quoted) => {
  expect(quoteIdentifier(name)).toBe(quoted);
});
