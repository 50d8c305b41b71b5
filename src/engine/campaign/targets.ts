import { type ErrorCode, PurgeError } from '../../domain/errors.ts';
import { KeepList } from '../../domain/keep-list.ts';
import { nearestMatch } from '../../domain/near-miss.ts';
import type { Tenant } from '../../postgres/tenant-directory.ts';

/** What the operator named. */
export type TargetRequest =
  | { readonly kind: 'tenants'; readonly ids: readonly string[] }
  | { readonly kind: 'all-except'; readonly ids: readonly string[] };

/** A tenant that is not purged, and why. */
export interface Refusal {
  readonly tenantId: string;
  readonly code: ErrorCode;
  readonly message: string;
}

export interface Targets {
  readonly tenants: readonly Tenant[];
  readonly refused: readonly Refusal[];
}

/** What the request is checked against. */
export interface TargetFacts {
  /** Every tenant there is. */
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
    return { tenants, refused: [...refused, ...busyOnes(tenants, facts.busy)] };
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
  return { tenants, refused: [...refused, ...busyOnes(tenants, facts.busy)] };
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
