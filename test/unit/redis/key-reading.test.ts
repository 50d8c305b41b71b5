import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { idFormOf } from '../../../src/domain/id-form.ts';
import { IDENTITY_KEY } from '../../../src/redis/identity.ts';
import { createKeyReader, type KeyReading } from '../../../src/redis/key-reading.ts';
import { parseKeyTemplate } from '../../../src/redis/key-template.ts';

const A = '11111111-0000-4000-8000-000000000001';
const B = '22222222-0000-4000-8000-00000000000b';
const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

const reader = (type: string, ...templates: string[]): ((key: string) => KeyReading) =>
  createKeyReader({
    form: idFormOf(type),
    templates: templates.map(parseKeyTemplate),
    excludePrefixes: ['bull:', 'tenant:queue:'],
  });

const sure = (id: string): KeyReading => ({ kind: 'ids', ids: [id], isSure: true });

describe('The id in a key', () => {
  it('is read by whichever template fits', () => {
    const read = reader('uuid', 'tenant:{tenantId}:*', 'rate:{tenantId}', '*/t/{tenantId}/x');
    expect(read(`tenant:${A}:a`)).toEqual(sure(A));
    expect(read(`tenant:${A}:session:${B}`)).toEqual(sure(A));
    expect(read(`tenant:${A}:`)).toEqual(sure(A));
    expect(read(`rate:${A}`)).toEqual(sure(A));
    expect(read(`a/t/b/t/${A}/x`)).toEqual(sure(A));
  });

  it('stands between braces too, those of a hash tag of a cluster', () => {
    const read = reader('uuid', '{{tenantId}}:cache:*', 'q:{{tenantId}}');
    expect(read(`{${A}}:cache:1`)).toEqual(sure(A));
    expect(read(`q:{${A}}`)).toEqual(sure(A));
    expect(read(`${A}:cache:1`)).toEqual({ kind: 'foreign' });
    // Without braces of its own in the template the id would have them: another spelling of a uuid.
    expect(reader('uuid', 'q:{tenantId}')(`q:{${A}}`)).toEqual({ kind: 'no-id' });
  });

  it('takes characters that mean something in patterns as they are', () => {
    const read = reader('text', 'a?[b]{tenantId}.x');
    expect(read('a?[b]x+y.x')).toEqual(sure('x+y'));
    expect(read('aab1.x')).toEqual({ kind: 'foreign' });
  });

  it.each([
    ['that no template fits', `tenants:${A}:a`],
    ['without an id', 'tenant::a'],
    ['that ends before the separator', `tenant:${A}`],
    ['of the queue', `bull:tenant:${A}:a`],
    ['of a queue inside the tenants', 'tenant:queue:7'],
    ['that marks the server', IDENTITY_KEY],
    ['of nothing', ''],
  ])('is in no key %s', (_what, key) => {
    expect(reader('uuid', 'tenant:{tenantId}:*', 'rate:{tenantId}')(key)).toEqual({
      kind: 'foreign',
    });
  });

  it.each([
    ['words', 'tenant:settings:a'],
    ['a uuid in capitals', `tenant:${B.toUpperCase()}:a`],
    ['half a uuid', `tenant:${A.slice(0, 18)}:a`],
    ['bytes that are no text', 'tenant:\xff\xfe:a'],
    ['an id and more', `rate:${A}:more`],
  ])('is not told where %s stand for it', (_what, key) => {
    expect(reader('uuid', 'tenant:{tenantId}:*', 'rate:{tenantId}')(key)).toEqual({
      kind: 'no-id',
    });
  });

  it('is not sure where several ids fit', () => {
    const read = reader('uuid', '*:{tenantId}:*');
    expect(read(`x:${A}:y`)).toEqual(sure(A));
    expect(read(`x:${A}:${B}:y`)).toEqual({ kind: 'ids', ids: [A, B], isSure: false });
    // The application may mean the first by it.
    expect(read(`x:${B.toUpperCase()}:${A}:y`)).toEqual({ kind: 'ids', ids: [A], isSure: false });
    const numbers = reader('bigint', '*:{tenantId}:*');
    expect(numbers('x:7:y')).toEqual(sure('7'));
    expect(numbers('x:7:8:y')).toEqual({ kind: 'ids', ids: ['7', '8'], isSure: false });
    expect(numbers('x:07:8:y')).toEqual({ kind: 'ids', ids: ['8'], isSure: false });
  });

  it('is not sure where two templates read the same key differently', () => {
    const read = reader('bigint', 'c:{tenantId}:*', 'c:9:{tenantId}');
    expect(read('c:9:7')).toEqual({ kind: 'ids', ids: ['9', '7'], isSure: false });
    expect(read('c:8:7')).toEqual(sure('8'));
  });

  it('may be a text that has the separator: then it is sure only where there is none behind it', () => {
    const read = reader('text', 'tenant:{tenantId}:*');
    expect(read('tenant:acme:x')).toEqual(sure('acme'));
    expect(read('tenant:acme:eu:x')).toEqual({
      kind: 'ids',
      ids: ['acme', 'acme:eu'],
      isSure: false,
    });
    // What is too long for the column is no id.
    expect(reader('character varying(4)', 'tenant:{tenantId}:*')('tenant:acme:eu:x')).toEqual(
      sure('acme'),
    );
    expect(reader('text', 'rate:{tenantId}')('rate:acme:eu')).toEqual(sure('acme:eu'));
  });

  it('may be beyond ASCII', () => {
    const read = reader('text', 'müller:{tenantId}:*');
    expect(read(bytes('müller:köln:x'))).toEqual(sure('köln'));
    expect(read('m\xfcller:k\xf6ln:x')).toEqual({ kind: 'foreign' });
    expect(read(bytes('müller:') + 'k\xf6ln:x')).toEqual({ kind: 'no-id' });
    expect(read(bytes('müller:a\0b:x'))).toEqual({ kind: 'no-id' });
  });

  it('is never told for a type whose spellings we do not know', () => {
    expect(reader('citext', 'tenant:{tenantId}:*')('tenant:acme:x')).toEqual({ kind: 'no-id' });
  });

  it('is given up where a key has no end of separators, soon', () => {
    const begun = performance.now();
    expect(reader('text', 'a:{tenantId}:*')(`a${':x'.repeat(500_000)}`).kind).toBe('too-many');
    expect(reader('uuid', '*:{tenantId}:*')(`a${':x'.repeat(500_000)}`).kind).toBe('too-many');
    expect(performance.now() - begun).toBeLessThan(2_000);
  });

  it('comes out as it went in, whatever stands around it', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '7', '-', '{', '}', '*', 'é', '/') });
    fc.assert(
      fc.property(fc.uuid(), text, text, (id, rest, other) => {
        expect(reader('uuid', 't:{tenantId}:*')(bytes(`t:${id}:${rest}`))).toEqual(sure(id));
        const read = reader('uuid', 't:{{tenantId}}:*:z')(bytes(`t:{${id}}:${rest}:z`));
        expect(read).toEqual(sure(id));
        const near = reader('uuid', 't:{tenantId}:*')(bytes(`t:${id}${other}a:${rest}`));
        expect(near.kind).toBe('no-id');
      }),
    );
  });
});
