import type { TableName } from '../../domain/ids.ts';
import { type Claim, distinctClaims, leadsTo } from './claim.ts';
import type { OwnerFacts } from './owner-facts.ts';
import type { Settled } from './owner-walk.ts';

/**
 * The settled claims, each table's followed by its next best ones: where the best way may have no
 * value, the next decides, and so on down to one that always has one. Never by way of a table that
 * is itself explained by this one. Pure.
 */
export function addFallbacks(
  facts: OwnerFacts,
  settled: Settled,
): ReadonlyMap<TableName, readonly Claim[]> {
  const claims = new Map(settled.claims);
  for (const [table, own] of settled.claims) {
    if (!mayFallBack(facts, table, own)) continue;
    const others = [
      ...(facts.direct.get(table) ?? []),
      ...(facts.byName.get(table) ?? []),
      ...distinctClaims(settled.candidates.get(table) ?? []),
    ].filter((claim) => {
      const parent = leadsTo(claim);
      return parent === null || !uses(claims, parent, table);
    });
    claims.set(table, untilCertain([...own, ...others]));
  }
  return claims;
}

/** The claims up to the first that has a value in every row, each once. */
export function untilCertain(claims: readonly Claim[]): readonly Claim[] {
  const kept: Claim[] = [];
  for (const claim of claims) {
    if (kept.at(-1)?.ownNullable === false) break;
    const isKnown = kept.some((known) => distinctClaims([known, claim]).length === 1);
    if (!isKnown) kept.push(claim);
  }
  return kept;
}

/** What the operator has named as owners is all there is; a one-to-one parent has only its row. */
const mayFallBack = (
  { tenant, rules }: OwnerFacts,
  table: TableName,
  [best]: readonly Claim[],
): boolean => table !== tenant.table && best?.kind !== 'child' && !rules.owners.has(table);

/** True where the owner of `table`'s rows is found by way of `other`. */
function uses(
  claims: ReadonlyMap<TableName, readonly Claim[]>,
  table: TableName,
  other: TableName,
): boolean {
  const seen = new Set<TableName>([table]);
  for (const next of seen) {
    if (next === other) return true;
    for (const claim of claims.get(next) ?? []) {
      const parent = leadsTo(claim);
      if (parent !== null) seen.add(parent);
    }
  }
  return false;
}
