import { describe, expect, it } from 'vitest';
import { createOrphanReader } from '../../../src/diagnosis/orphan-keys.ts';
import { IDENTITY_KEY } from '../../../src/redis/identity.ts';
import { parseKeyTemplate } from '../../../src/redis/key-template.ts';

const HERE = '11111111-0000-4000-8000-000000000001';
const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
const GONE = '22222222-0000-4000-8000-000000000002';

const reader = (
  keyType: string,
  tenantIds: readonly string[],
  templates = ['tenant:{tenantId}:*', 'rate:{tenantId}'],
) =>
  createOrphanReader({
    keyType,
    tenantIds: new Set(tenantIds),
    templates: templates.map(parseKeyTemplate),
    excludePrefixes: ['bull:'],
  });

describe('A key of a tenant that no longer exists', () => {
  it('has the id of nobody where a template has the id', () => {
    const read = reader('uuid', [HERE]);
    expect(read(`tenant:${GONE}:a`)).toBe(GONE);
    expect(read(`rate:${GONE}`)).toBe(GONE);
  });

  it.each([
    ['of a tenant that is there', `tenant:${HERE}:a`],
    ['whose id could be none', 'tenant:settings:a'],
    [
      'of an id in capitals, which PostgreSQL never prints',
      `tenant:${GONE.toUpperCase().replaceAll('2', 'A')}:a`,
    ],
    ['that no template fits', `tenants:${GONE}:a`],
    ['that goes on behind the id', `rate:${GONE}:more`],
    ['of the queue', `bull:tenant:${GONE}:a`],
    ['that marks the server', IDENTITY_KEY],
  ])('is not one %s', (_what, key) => {
    expect(reader('uuid', [HERE])(key)).toBeNull();
  });

  it('is read the shortest way, and belongs to an existing tenant if any reading gives one', () => {
    const read = reader('text', ['acme:eu']);
    expect(read('tenant:gone:session:7')).toBe('gone');
    expect(read('tenant:acme:eu:x')).toBeNull();
    expect(read('tenant:acme:us:x')).toBe('acme');
  });

  it('has a number for an id where tenants have numbers', () => {
    const read = reader('bigint', ['7']);
    expect(read('tenant:8:x')).toBe('8');
    expect(read('tenant:7:x')).toBeNull();
    expect(read('tenant:08x:x')).toBeNull();
  });

  it('may have an id beyond ASCII', () => {
    const read = reader('text', ['münchen']);
    expect(read(bytes('tenant:köln:x'))).toBe('köln');
    expect(read(bytes('tenant:münchen:x'))).toBeNull();
  });
});
