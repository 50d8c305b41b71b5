import type { TableName } from '../../domain/ids.ts';
import { bestOf, type Claim, claimByCondition, distinctClaims } from './claim.ts';
import { configuredClaims } from './configured-claims.ts';
import { untilCertain } from './fallbacks.ts';
import type { OwnerFacts } from './owner-facts.ts';

/** How the rows of a table that stays reach the tenant. */
interface StayingClaims {
  /** In the order in which they decide. */
  readonly claims: readonly Claim[];
  /** Those among them that came first equally good; empty where the operator has chosen. */
  readonly best: readonly Claim[];
}

/**
 * The claims of a table whose rows stay, changed. It is settled after all others, because nothing
 * may be owned by way of it.
 * @param settled the claims of the tables whose rows go
 * @param candidates the table's claims over keys to those
 */
export function claimStaying(
  { map, rules, direct, byName }: OwnerFacts,
  table: TableName,
  settled: ReadonlyMap<TableName, readonly Claim[]>,
  candidates: readonly Claim[],
): StayingClaims {
  const condition = rules.conditions.get(table);
  if (condition !== undefined) return { claims: [claimByCondition(table, condition)], best: [] };
  const configured = configuredClaims(map, rules, settled, table).claims;
  if (rules.owners.has(table)) return { claims: configured, best: [] };
  const found = [
    configured,
    direct.get(table) ?? [],
    byName.get(table) ?? [],
    distinctClaims(candidates),
  ];
  const best = bestOf(found.find((claims) => claims.length > 0) ?? []);
  return { claims: untilCertain([...best, ...found.flat()]), best };
}
