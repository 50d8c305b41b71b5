import { type ErrorCode, PurgeError } from '../../domain/errors.ts';
import { KeepList } from '../../domain/keep-list.ts';
import { nearestMatch } from '../../domain/near-miss.ts';
import type { Tenant } from '../../postgres/tenant-directory.ts';
import { findDescendants, leavesFirst } from './tenant-tree.ts';

/** What the operator named. */
export type TargetRequest =
  | {
      readonly kind: 'tenants';
      readonly ids: readonly string[];
      /** Also every tenant below one of these. */
      readonly withDescendants?: boolean;
    }
  | { readonly kind: 'all-except'; readonly ids: readonly string[] };

/** A tenant that is not purged, and why. */
export interface Refusal {
  readonly tenantId: string;
  readonly code: ErrorCode;
  readonly message: string;
}

export interface Targets {
  /** Each after those below it. */
  readonly tenants: readonly Tenant[];
  readonly refused: readonly Refusal[];
}

/** What the request is checked against. */
export interface TargetFacts {
  /** Every tenant there is; with its parents where they are a tree. */
  readonly tenants: readonly Tenant[];
  /** Of the named ids those that were purged before: the tenant row may be gone, and rows be left. */
  readonly former: readonly Tenant[];
  /** Keep list, ids as written by people. */
  readonly keep: readonly string[];
  /** Tenants with a live purge. */
  readonly busy: ReadonlySet<string>;
}

const WILDCARD = /[*?%]/;

/**
 * Checks every id the operator named, and reports every refusal at once. One refusal stops the whole
 * campaign: a list with a mistake in it is a list to be read again. Pure.
 */
export function resolveTargets(request: TargetRequest, facts: TargetFacts): Targets {
  const former = request.kind === 'tenants' ? facts.former : [];
  const known = new Map(
    [...former, ...facts.tenants].map((tenant) => [tenant.id as string, tenant]),
  );
  const refused = checkIds(request.ids, known, request.kind);
  // Upper and lower case protect alike: PostgreSQL prints uuids in lower case, people do not.
  const keep = new KeepList(facts.keep);
  const isKept = (tenant: Tenant): boolean => keep.has(tenant.id);
  if (request.kind === 'all-except') {
    const spared = new Set<string>(request.ids);
    const tenants = facts.tenants.filter((tenant) => !spared.has(tenant.id) && !isKept(tenant));
    refused.push(...keptNobody(facts));
    // Everybody below who does not go is kept or spared.
    for (const { tenant, below } of findDescendants(facts.tenants, tenants)) {
      refused.push(keptBelow(tenant, below, isKept(tenant) ? 'on the keep list' : 'spared'));
    }
    return inOrder(tenants, refused, facts);
  }
  const named = request.ids.flatMap((id) => known.get(id) ?? []);
  for (const tenant of named) {
    if (!isKept(tenant)) continue;
    refused.push({
      tenantId: tenant.id,
      code: 'TENANT_KEPT',
      message: `${tenant.id} (${tenant.label}) is on the keep list.`,
    });
  }
  const tenants = [...new Map(named.map((tenant) => [tenant.id, tenant])).values()].filter(
    (tenant) => !isKept(tenant),
  );
  if (request.withDescendants !== true) return inOrder(tenants, refused, facts);
  const descendants = findDescendants(facts.tenants, tenants);
  for (const { tenant, below } of descendants) {
    // One that was named as well has been refused above.
    if (isKept(tenant) && !request.ids.includes(tenant.id)) {
      refused.push(keptBelow(tenant, below, 'on the keep list'));
    }
  }
  const added = descendants.map(({ tenant }) => tenant).filter((tenant) => !isKept(tenant));
  return inOrder([...tenants, ...added], refused, facts);
}

/** A tenant cannot go while one that refers to it stays. */
const keptBelow = (tenant: Tenant, above: Tenant, why: string): Refusal => ({
  tenantId: tenant.id,
  code: 'TENANT_KEPT',
  message: `${tenant.id} (${tenant.label}) is ${why}, and ${above.id} (${above.label}) above it would go: keep both, or neither.`,
});

function inOrder(
  tenants: readonly Tenant[],
  refused: readonly Refusal[],
  facts: TargetFacts,
): Targets {
  const { order, circle } = leavesFirst(tenants);
  return {
    tenants: circle.length === 0 ? order : tenants,
    refused: [...refused, ...busyOnes(tenants, facts.busy), ...refuseCircle(circle)],
  };
}

/** Of a long circle so many are named. */
const CIRCLE_SHOWN_MAX = 10;

function refuseCircle(circle: readonly Tenant[]): Refusal[] {
  const [first] = circle;
  if (first === undefined) return [];
  const shown = circle.slice(0, CIRCLE_SHOWN_MAX).map(({ id }) => id);
  const more = circle.length - shown.length;
  return [
    {
      tenantId: first.id,
      code: 'TENANT_CYCLE',
      message: `${shown.join(', ')}${more === 0 ? '' : ` and ${more} more`} are above each other in a circle: none of them can go first.`,
    },
  ];
}

/**
 * Where everybody else goes, an entry of the keep list that fits no tenant is a tenant about to be
 * purged by a slip of the pen.
 */
function keptNobody(facts: TargetFacts): Refusal[] {
  const ids = new Set(facts.tenants.map((tenant) => tenant.id.toLowerCase()));
  return facts.keep
    .filter((id) => !ids.has(id.toLowerCase()))
    .map((id) => ({
      tenantId: id,
      code: 'TENANT_UNKNOWN' as const,
      message: `The keep list names ${id}, which is no tenant: it would protect nobody.`,
    }));
}

function checkIds(
  ids: readonly string[],
  known: ReadonlyMap<string, Tenant>,
  kind: TargetRequest['kind'],
): Refusal[] {
  const refused: Refusal[] = [];
  const seen = new Set<string>();
  for (const id of ids) {
    if (id.trim() === '') {
      refused.push({ tenantId: id, code: 'TENANT_BLANK', message: 'An id is blank.' });
    } else if (seen.has(id)) {
      refused.push({ tenantId: id, code: 'TENANT_DUPLICATE', message: `${id} is named twice.` });
    } else if (!known.has(id)) {
      refused.push(unknownId(id, known, kind));
    }
    seen.add(id);
  }
  return refused;
}

/** Looking for a near miss among more tenants than this would take seconds. */
const NEAR_MISS_TENANTS_MAX = 10_000;

function unknownId(
  id: string,
  known: ReadonlyMap<string, Tenant>,
  kind: TargetRequest['kind'],
): Refusal {
  if (WILDCARD.test(id)) {
    return {
      tenantId: id,
      code: 'TENANT_WILDCARD',
      message: `${id} looks like a wildcard; no tenant has this id.`,
    };
  }
  const near =
    known.size > NEAR_MISS_TENANTS_MAX
      ? null
      : ([...known.values()].find((tenant) => tenant.label === id)?.id ??
        nearestMatch(id.trim().toLowerCase(), [...known.keys()]));
  const hint = near === null ? '' : ` Did you mean ${near}?`;
  const what = kind === 'all-except' ? 'to be spared ' : '';
  return {
    tenantId: id,
    code: 'TENANT_UNKNOWN',
    message: `No tenant ${what}has the id ${id}.${hint}`,
  };
}

/** Ids that name no tenant. */
export const unknownIds = ({ refused }: Targets): string[] =>
  refused.filter(({ code }) => code === 'TENANT_UNKNOWN').map(({ tenantId }) => tenantId);

/** An id may be in this many tables before the rest is only counted. */
const TABLES_SHOWN_MAX = 3;

/** Says of unknown ids whose they are instead: ids of two kinds look alike. Pure. */
export const explainUnknown = (
  targets: Targets,
  elsewhere: ReadonlyMap<string, readonly string[]>,
): Targets => ({
  ...targets,
  refused: targets.refused.map((refusal) => {
    const tables = elsewhere.get(refusal.tenantId) ?? [];
    if (refusal.code !== 'TENANT_UNKNOWN' || tables.length === 0) return refusal;
    const more = tables.length - TABLES_SHOWN_MAX;
    const shown = `${tables.slice(0, TABLES_SHOWN_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
    return {
      ...refusal,
      message: `${refusal.message} ${refusal.tenantId} is an id of ${shown}.`,
    };
  }),
});

const busyOnes = (tenants: readonly Tenant[], busy: ReadonlySet<string>): Refusal[] =>
  tenants
    .filter((tenant) => busy.has(tenant.id))
    .map((tenant) => ({
      tenantId: tenant.id,
      code: 'TENANT_BUSY' as const,
      message: `${tenant.id} (${tenant.label}) has a live purge already.`,
    }));

/** @throws PurgeError TARGETS_REFUSED with every refusal, or USAGE when nothing is left to do */
export function requireTargets(targets: Targets): readonly Tenant[] {
  if (targets.refused.length > 0) {
    const lines = targets.refused.map((refusal) => `  ${refusal.code}  ${refusal.message}`);
    throw new PurgeError(
      'TARGETS_REFUSED',
      `${targets.refused.length} of the named tenants cannot be purged:\n${lines.join('\n')}`,
      { details: { refused: targets.refused } },
    );
  }
  if (targets.tenants.length === 0) {
    throw new PurgeError('USAGE', 'No tenant is left to purge: every one is kept or excepted.');
  }
  return targets.tenants;
}
