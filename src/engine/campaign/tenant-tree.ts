import type { TenantId } from '../../domain/ids.ts';
import type { Tenant } from '../../postgres/tenant-directory.ts';

/** A tenant below one that was asked for. */
export interface Descendant {
  readonly tenant: Tenant;
  /** The nearest of those asked for that stands above it. */
  readonly below: Tenant;
}

/**
 * Every tenant below one of `tops` and not itself among them, the nearest first. Pure; ends also
 * where tenants stand in a circle.
 */
export function findDescendants(
  everyone: readonly Tenant[],
  tops: readonly Tenant[],
): Descendant[] {
  const children = childrenOf(everyone);
  const seen = new Set<string>(tops.map(({ id }) => id));
  const found: Descendant[] = [];
  let layer: readonly Descendant[] = tops.map((top) => ({ tenant: top, below: top }));
  while (layer.length > 0) {
    const next: Descendant[] = [];
    for (const { tenant, below } of layer) {
      for (const child of children.get(tenant.id) ?? []) {
        if (seen.has(child.id)) continue;
        seen.add(child.id);
        next.push({ tenant: child, below });
      }
    }
    found.push(...next);
    layer = next;
  }
  return found;
}

export interface TreeOrder<Node extends Tenant> {
  /** Each tenant after all of those below it; the given order otherwise. */
  readonly order: readonly Node[];
  /** Tenants of which each is below the others: none of them can go first. */
  readonly circle: readonly Node[];
}

/** Leaves first. Parents that are not among the tenants count for nothing. Pure. */
export function leavesFirst<Node extends Tenant>(tenants: readonly Node[]): TreeOrder<Node> {
  const up = (tenant: Node): readonly TenantId[] => parentsOf(tenant);
  const children = childrenOf(tenants);
  const down = (tenant: Node): readonly TenantId[] =>
    (children.get(tenant.id) ?? []).map(({ id }) => id);
  const { order, rest } = peel(tenants, up);
  // What is above a circle cannot go either, but is not its cause.
  const circle = peel(rest, down).rest;
  return { order, circle };
}

/**
 * Takes away, again and again, the nodes that no remaining node leads to.
 * @returns those taken, in the order of their taking, and those that are left
 */
function peel<Node extends Tenant>(
  nodes: readonly Node[],
  leadsTo: (node: Node) => readonly TenantId[],
): { readonly order: readonly Node[]; readonly rest: readonly Node[] } {
  const byId = new Map<string, Node>(nodes.map((node) => [node.id, node]));
  const pending = new Map<string, number>();
  for (const node of byId.values()) {
    for (const id of leadsTo(node)) pending.set(id, (pending.get(id) ?? 0) + 1);
  }
  const order = [...byId.values()].filter((node) => !pending.has(node.id));
  // The list grows while it is walked.
  for (const node of order) {
    for (const id of leadsTo(node)) {
      const left = (pending.get(id) ?? 0) - 1;
      pending.set(id, left);
      const freed = left === 0 ? byId.get(id) : undefined;
      if (freed !== undefined) order.push(freed);
    }
  }
  const taken = new Set<string>(order.map(({ id }) => id));
  return { order, rest: nodes.filter((node) => !taken.has(node.id)) };
}

/** Where a tenant stands among others that go with it. */
export interface TreePlace {
  /** Tenants above it on the longest way up; 0 for one with nobody above. */
  readonly depth: number;
  /** The top of that way; the tenant itself where nobody is above. */
  readonly top: TenantId;
}

/** @param tenants leaves first, without a circle */
export function placesInTree(tenants: readonly Tenant[]): ReadonlyMap<string, TreePlace> {
  const places = new Map<string, TreePlace>();
  for (const tenant of [...tenants].reverse()) {
    let place: TreePlace = { depth: 0, top: tenant.id };
    for (const parent of parentsOf(tenant)) {
      const above = places.get(parent);
      if (above !== undefined && above.depth >= place.depth) {
        place = { depth: above.depth + 1, top: above.top };
      }
    }
    places.set(tenant.id, place);
  }
  return places;
}

/** For each of the tenants those of them directly below it, whose purges its own has to wait for. */
export function childrenOf<Node extends Tenant>(
  tenants: readonly Node[],
): ReadonlyMap<string, readonly Node[]> {
  const children = new Map<string, Node[]>();
  for (const tenant of tenants) {
    for (const parent of parentsOf(tenant)) {
      const siblings = children.get(parent);
      if (siblings === undefined) children.set(parent, [tenant]);
      else siblings.push(tenant);
    }
  }
  return children;
}

/** A tenant that refers to itself, as roots often do, is not below itself. */
const parentsOf = (tenant: Tenant): TenantId[] =>
  [...new Set(tenant.parents ?? [])].filter((id) => id !== tenant.id);
