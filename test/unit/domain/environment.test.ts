import { expect, it } from 'vitest';
import { environmentName, isGuardedEnvironment } from '../../../src/domain/environment.ts';

it.each([
  [undefined, 'production', true],
  ['', 'production', true],
  ['  ', 'production', true],
  ['Production', 'production', true],
  [' STAGING ', 'staging', true],
  ['prod', 'prod', true],
  ['live', 'live', true],
  ['development', 'development', false],
  ['demo', 'demo', false],
])('ENVIRONMENT %j is %s, guarded: %s', (value, name, guarded) => {
  expect(environmentName(value)).toBe(name);
  expect(isGuardedEnvironment(environmentName(value))).toBe(guarded);
});
