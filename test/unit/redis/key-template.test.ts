import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PurgeError } from '../../../src/domain/errors.ts';
import { matchTenant, parseKeyTemplate, separatorOf } from '../../../src/redis/key-template.ts';
import { scanPattern } from '../../../src/redis/scan-pattern.ts';

const owner = (templates: string[], key: string, ids: string[]): string | null =>
  matchTenant(templates.map(parseKeyTemplate), key, (id) => ids.includes(id));

describe('a key belongs to', () => {
  test.each([
    [['tenant:{tenantId}:*'], 'tenant:1:cache', '1'],
    [['tenant:{tenantId}:*'], 'tenant:1:', '1'],
    [['tenant:{tenantId}:*'], 'tenant:10:cache', null],
    [['tenant:{tenantId}:*'], 'tenant:1', null],
    [['tenant:{tenantId}:*'], 'xtenant:1:cache', null],
    [['tenant:{tenantId}:*'], 'tenant::cache', null],
    [['ratelimit:{tenantId}'], 'ratelimit:1', '1'],
    [['ratelimit:{tenantId}'], 'ratelimit:1:x', null],
    [['{tenantId}:*'], '1:x', '1'],
    [['{{tenantId}}:*'], '{1}:x', '1'],
    [['*:t:{tenantId}:*:end'], 'a:t:b:t:1:x:end', '1'],
    [['*:t:{tenantId}:*:end'], 'a:t:1:x:end:more', null],
    [['*:t:{tenantId}:*:end'], 'a:t:1:end', null],
    [['a*b*c:{tenantId}:*m*z'], 'a-b-b-c:1:-m-z', '1'],
    [['a*b*c:{tenantId}:*m*z'], 'ac:1:mz', null],
    [['t:{tenantId}:?'], 't:1:x', null],
    [['t:{tenantId}:[ab]'], 't:1:[ab]', '1'],
  ])('by %j, key %j: %j', (templates, key, expected) => {
    expect(owner(templates, key, ['1'])).toBe(expected);
  });

  test('a tenant whose id contains the separator', () => {
    expect(owner(['t:{tenantId}:*'], 't:acme:eu:x', ['acme:eu'])).toBe('acme:eu');
  });

  test('the longest of several waiting ids that fit, over all templates', () => {
    expect(owner(['t:{tenantId}:*'], 't:1:0:x', ['1', '1:0'])).toBe('1:0');
    expect(owner(['t:{tenantId}:*'], 't:1:x', ['1', '1:0'])).toBe('1');
    expect(owner(['t:{tenantId}:*', 't:{tenantId}'], 't:1:0', ['1', '1:0'])).toBe('1:0');
  });

  test('nobody when no template is given', () => {
    expect(owner([], 't:1:x', ['1'])).toBe(null);
  });
});

describe('a template', () => {
  test.each([
    ['tenant:*', /exactly once, e\.g\. "tenant:\{tenantId\}:\*"/],
    ['{tenantId}:{tenantId}', /exactly once/],
    ['tenant:{tenantId}*', /tenant 10's keys for tenant 1; .*"tenant:\{tenantId\}:\*"/],
    ['*{tenantId}:x', /tenant 21's keys for tenant 1; .*"\*:\{tenantId\}:x"/],
  ])('%j is refused with the reason', (text, reason) => {
    expect(() => parseKeyTemplate(text)).toThrow(PurgeError);
    expect(() => parseKeyTemplate(text)).toThrow(reason);
  });

  test('says which text ends an id', () => {
    expect(separatorOf(parseKeyTemplate('t:{tenantId}:cache:*'))).toBe(':cache:');
    expect(separatorOf(parseKeyTemplate('t:{tenantId}'))).toBe('');
  });
});

describe('the SCAN pattern', () => {
  test.each([
    [['tenant:{tenantId}:*'], 'tenant:*'],
    [['tenant:{tenantId}:*', 'tally:{tenantId}'], 't[ea][nl][al][ny][t:]*'],
    [['a[1]?\\{tenantId}'], 'a\\[1\\]\\?\\\\*'],
    [['a*:{tenantId}'], 'a*'],
    [['{tenantId}:*', 'tenant:{tenantId}'], null],
    [['😀{tenantId}', '😁{tenantId}'], '????*'],
    [[], null],
  ])('of %j is %j', (templates, expected) => {
    expect(scanPattern(templates.map(parseKeyTemplate))).toBe(expected);
  });
});

/** Few different characters, so that ids and keys resemble each other; the odd ones among them. */
const oddText = (options: { minLength: number; maxLength: number }): fc.Arbitrary<string> =>
  fc.string({
    unit: fc.constantFrom('1', '0', ':', '*', '?', '[', ']', '\\', 'ä', '😀'),
    ...options,
  });
const literal = oddText({ minLength: 0, maxLength: 3 }).map((text) => text.replaceAll('*', '.'));
const separator = literal.map((text) => `${text}|`);
const ids = fc.uniqueArray(oddText({ minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 6 });

describe('for any ids, without the separator in them', () => {
  test('exactly the keys made for an id are its own, never those of another', () => {
    fc.assert(
      fc.property(
        literal,
        separator,
        ids,
        ids,
        oddText({ minLength: 0, maxLength: 6 }),
        (prefix, end, waiting, others, rest) => {
          const template = `${prefix}{tenantId}${end}*`;
          for (const id of [...waiting, ...others]) {
            const key = `${prefix}${id}${end}${rest}`;
            expect(owner([template], key, waiting)).toBe(waiting.includes(id) ? id : null);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test('any key has the owner that a plain comparison with every id gives', () => {
    const key = oddText({ minLength: 0, maxLength: 12 });
    fc.assert(
      fc.property(literal, literal, ids, key, (prefix, end, waiting, key) => {
        const fits = (id: string): boolean =>
          end === '' ? key === prefix + id : key.startsWith(prefix + id + end);
        const lengthMax = Math.max(...waiting.filter(fits).map((id) => id.length));
        const expected = waiting.find((id) => fits(id) && id.length === lengthMax) ?? null;
        const template = `${prefix}{tenantId}${end}${end === '' ? '' : '*'}`;
        expect(owner([template], key, waiting)).toBe(expected);
      }),
      { numRuns: 3_000 },
    );
  });
});
