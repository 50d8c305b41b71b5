import { describe, expect, it } from 'vitest';
import type { PurgeError } from '../../../src/domain/errors.ts';
import { asTenantId } from '../../../src/domain/ids.ts';
import {
  requireTargets,
  resolveTargets,
  type TargetFacts,
  type TargetRequest,
} from '../../../src/engine/campaign/targets.ts';

const tenant = (id: string, label = `Tenant ${id}`) => ({ id: asTenantId(id), label });
const ACME = 'a3f1c2d4-0000-4000-8000-00000000000a';

const facts = (more: Partial<TargetFacts> = {}): TargetFacts => ({
  tenants: [tenant('1'), tenant('10'), tenant(ACME, 'Acme')],
  former: [],
  keep: [],
  busy: new Set(),
  ...more,
});

const named = (...ids: string[]): TargetRequest => ({ kind: 'tenants', ids });
const withDescendants = (...ids: string[]): TargetRequest => ({
  kind: 'tenants',
  ids,
  withDescendants: true,
});
const allExcept = (...ids: string[]): TargetRequest => ({ kind: 'all-except', ids });

const idsOf = (request: TargetRequest, more: Partial<TargetFacts> = {}): string[] =>
  resolveTargets(request, facts(more)).tenants.map(({ id }) => id);
const codesOf = (request: TargetRequest, more: Partial<TargetFacts> = {}): string[] =>
  resolveTargets(request, facts(more)).refused.map(({ code }) => code);

describe('Tenants named one by one', () => {
  it('are exactly those, and `1` is not `10`', () => {
    expect(idsOf(named('1'))).toEqual(['1']);
    expect(codesOf(named('1', ACME))).toEqual([]);
  });

  it.each([
    ['a blank', [''], 'TENANT_BLANK'],
    ['blanks only', ['  '], 'TENANT_BLANK'],
    ['a wildcard', ['1*'], 'TENANT_WILDCARD'],
    ['a SQL wildcard', ['%'], 'TENANT_WILDCARD'],
    ['nobody', ['11'], 'TENANT_UNKNOWN'],
    ['one with blanks around it', [' 1'], 'TENANT_UNKNOWN'],
    ['the same one twice', ['1', '1'], 'TENANT_DUPLICATE'],
  ])('are refused where the list names %s', (_, ids, code) => {
    expect(codesOf(named(...ids))).toEqual([code]);
  });

  it('are not wildcards where a tenant has that very id', () => {
    expect(idsOf(named('1*'), { tenants: [tenant('1*'), tenant('10')] })).toEqual(['1*']);
  });

  it('may be named again for what they left, once their own row is gone', () => {
    const more = { former: [tenant('99', 'Gone Ltd')] };
    expect(idsOf(named('99'), more)).toEqual(['99']);
    expect(idsOf(allExcept(), more)).not.toContain('99');
  });

  it('are refused where they are kept, in whatever case the keep list spells them', () => {
    const refused = resolveTargets(named(ACME), facts({ keep: [ACME.toUpperCase()] }));
    expect(refused.tenants).toEqual([]);
    expect(refused.refused.map(({ code }) => code)).toEqual(['TENANT_KEPT']);
  });

  it('are refused while another purge of theirs is live', () => {
    expect(codesOf(named('1', '10'), { busy: new Set(['10']) })).toEqual(['TENANT_BUSY']);
  });

  it('are all reported at once, each with its reason and the near miss', () => {
    const { refused } = resolveTargets(named('', '1', '1', 'Acme', 'zzzzzzzz'), facts());
    expect(refused.map(({ code }) => code)).toEqual([
      'TENANT_BLANK',
      'TENANT_DUPLICATE',
      'TENANT_UNKNOWN',
      'TENANT_UNKNOWN',
    ]);
    expect(refused[2]?.message).toContain(`Did you mean ${ACME}?`);
    expect(refused[3]?.message).not.toContain('Did you mean');
  });
});

describe('Everybody but some', () => {
  it('leaves out the spared and the kept', () => {
    expect(idsOf(allExcept('1'), { keep: ['10'] })).toEqual([ACME]);
    expect(idsOf(allExcept())).toEqual(['1', '10', ACME]);
  });

  it('is refused where a spared or a kept id is nobody: it would protect nobody', () => {
    expect(codesOf(allExcept('11'))).toEqual(['TENANT_UNKNOWN']);
    expect(codesOf(allExcept('1'), { keep: ['11'] })).toEqual(['TENANT_UNKNOWN']);
  });

  it('takes a keep list that protects nobody for no mistake where tenants are named', () => {
    expect(codesOf(named('1'), { keep: ['11'] })).toEqual([]);
  });
});

describe('Tenants with others below them', () => {
  const below = (id: string, ...parents: string[]) => ({
    ...tenant(id),
    parents: parents.map(asTenantId),
  });
  const tree = { tenants: [below('1'), below('2', '1'), below('3', '2'), tenant('4')] };

  it('bring all of them where that was asked for, the lowest first', () => {
    expect(idsOf(withDescendants('1'), tree)).toEqual(['3', '2', '1']);
    expect(idsOf(withDescendants('2', '4'), tree)).toEqual(['4', '3', '2']);
    expect(idsOf(withDescendants('2', '3'), tree)).toEqual(['3', '2']);
  });

  it('bring nobody where it was not, and are put in order all the same', () => {
    expect(idsOf(named('1'), tree)).toEqual(['1']);
    expect(idsOf(named('1', '3', '2'), tree)).toEqual(['3', '2', '1']);
    expect(idsOf(allExcept('4'), tree)).toEqual(['3', '2', '1']);
  });

  it('are refused where one of those below is kept, once, naming both', () => {
    const { refused } = resolveTargets(withDescendants('1'), facts({ ...tree, keep: ['3'] }));
    expect(refused).toEqual([
      { tenantId: '3', code: 'TENANT_KEPT', message: expect.stringMatching(/^3 .* 1 /) },
    ]);
    expect(codesOf(withDescendants('1', '3'), { ...tree, keep: ['3'] })).toEqual(['TENANT_KEPT']);
  });

  it('are refused where one of those below is spared while everybody else goes', () => {
    const { refused } = resolveTargets(allExcept('3'), facts(tree));
    expect(refused).toEqual([
      { tenantId: '3', code: 'TENANT_KEPT', message: expect.stringMatching(/spared.* 2 /) },
    ]);
    expect(codesOf(allExcept('1', '2', '3'), tree)).toEqual([]);
    expect(codesOf(allExcept('4'), { ...tree, keep: ['2'] })).toEqual(['TENANT_KEPT']);
  });

  it('are refused while one of those below has a live purge', () => {
    expect(codesOf(withDescendants('1'), { ...tree, busy: new Set(['3']) })).toEqual([
      'TENANT_BUSY',
    ]);
  });

  it('are refused where they stand in a circle', () => {
    const tenants = [below('1', '3'), below('2', '1'), below('3', '2')];
    expect(codesOf(withDescendants('2'), { tenants })).toEqual(['TENANT_CYCLE']);
    expect(codesOf(allExcept(), { tenants })).toEqual(['TENANT_CYCLE']);
    expect(codesOf(named('2'), { tenants })).toEqual([]);
  });
});

describe('One refusal', () => {
  const thrownBy = (request: TargetRequest): PurgeError => {
    try {
      requireTargets(resolveTargets(request, facts()));
    } catch (error) {
      return error as PurgeError;
    }
    throw new Error('nothing was refused');
  };

  it('stops all of them', () => {
    const error = thrownBy(named('1', 'x*'));
    expect(error.code).toBe('TARGETS_REFUSED');
    expect(error.message).toContain('x*');
  });

  it('is also that nobody is left', () => {
    expect(thrownBy(allExcept('1', '10', ACME)).code).toBe('USAGE');
  });
});
