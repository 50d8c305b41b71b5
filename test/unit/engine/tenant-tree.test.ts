import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asTenantId } from '../../../src/domain/ids.ts';
import {
  childrenOf,
  findDescendants,
  leavesFirst,
  placesInTree,
} from '../../../src/engine/campaign/tenant-tree.ts';
import type { Tenant } from '../../../src/postgres/tenant-directory.ts';

const tenant = (id: string, ...parents: string[]): Tenant => ({
  id: asTenantId(id),
  label: id,
  parents: parents.map(asTenantId),
});
const idsOf = (tenants: readonly Tenant[]): string[] => tenants.map(({ id }) => id);

/** Tenants 0 … n, each below some of those before it; with circles also below some after it. */
const forests = (withCircles: boolean): fc.Arbitrary<Tenant[]> =>
  fc.integer({ min: 1, max: 14 }).chain((size) =>
    fc
      .array(fc.array(fc.nat(size - 1), { maxLength: 3 }), { minLength: size, maxLength: size })
      .map((edges) =>
        edges.map((parents, at) =>
          tenant(`${at}`, ...parents.filter((up) => withCircles || up <= at).map(String)),
        ),
      )
      .chain((tenants) => fc.shuffledSubarray(tenants, { minLength: size, maxLength: size })),
  );

describe('The order of tenants', () => {
  it('has each of them once, and after all of those below it', () => {
    fc.assert(
      fc.property(forests(false), (tenants) => {
        const { order, circle } = leavesFirst(tenants);
        expect(circle).toEqual([]);
        expect(idsOf(order).sort()).toEqual(idsOf(tenants).sort());
        const at = new Map(order.map(({ id }, index) => [id, index]));
        for (const [parent, children] of childrenOf(order)) {
          for (const child of children) {
            expect(at.get(child.id)).toBeLessThan(at.get(asTenantId(parent)) ?? -1);
          }
        }
      }),
    );
  });

  it('is the given one where nobody is below another', () => {
    expect(idsOf(leavesFirst([tenant('b', 'x'), tenant('a', 'a'), tenant('c')]).order)).toEqual([
      'b',
      'a',
      'c',
    ]);
  });

  it('ends where there are circles, and names those in them and not those above', () => {
    const tenants = [
      tenant('top'),
      tenant('a', 'b', 'top'),
      tenant('b', 'a'),
      tenant('below', 'a'),
      tenant('apart'),
    ];
    const { order, circle } = leavesFirst(tenants);
    expect(idsOf(circle)).toEqual(['a', 'b']);
    expect(idsOf(order)).toEqual(['below', 'apart']);
    fc.assert(
      fc.property(forests(true), (all) => {
        const found = leavesFirst(all);
        for (const one of found.circle) expect(idsOf(all)).toContain(one.id);
        expect(found.circle.length > 0).toBe(found.order.length < all.length);
      }),
    );
  });
});

describe('Descendants', () => {
  const family = [
    tenant('top', 'top'),
    tenant('left', 'top'),
    tenant('leaf', 'left', 'top'),
    tenant('right', 'top'),
    tenant('apart'),
  ];

  it('are all of those below, each once, with the nearest named above', () => {
    const found = findDescendants(
      family,
      family.filter(({ id }) => ['top', 'left'].includes(id)),
    );
    expect(found.map(({ tenant: one, below }) => [one.id, below.id])).toEqual([
      ['leaf', 'top'],
      ['right', 'top'],
    ]);
  });

  it('are found in a circle as well', () => {
    const circle = [tenant('a', 'c'), tenant('b', 'a'), tenant('c', 'b')];
    expect(findDescendants(circle, circle.slice(0, 1)).map(({ tenant: one }) => one.id)).toEqual([
      'b',
      'c',
    ]);
  });

  it('have a place: how far below, by the longest way, and below whom', () => {
    const places = placesInTree(leavesFirst(family).order);
    expect(Object.fromEntries(places)).toEqual({
      top: { depth: 0, top: 'top' },
      left: { depth: 1, top: 'top' },
      right: { depth: 1, top: 'top' },
      leaf: { depth: 2, top: 'top' },
      apart: { depth: 0, top: 'apart' },
    });
  });
});
