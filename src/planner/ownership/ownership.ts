import type { Hazard } from '../../domain/hazard.ts';
import type { TableName } from '../../domain/ids.ts';
import type { TenantPath } from '../../domain/plan.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import type { SchemaMap } from '../schema-map.ts';
import { findAmbiguity, findClaimHazards } from './claim-hazards.ts';
import { addFallbacks } from './fallbacks.ts';
import { gatherOwnerFacts } from './owner-facts.ts';
import { settleOwners } from './owner-walk.ts';
import { nothingOwned } from './ownership-hazards.ts';
import { claimStaying } from './staying-claims.ts';
import { makePaths } from './tenant-paths.ts';
import { judgeUnowned } from './unowned-tables.ts';

export interface Ownership {
  /** Tables whose rows a purge deletes, the tenant table included, with their paths. */
  readonly paths: ReadonlyMap<TableName, TenantPath>;
  /** Tables whose rows stay, changed, with the path that says which rows these are. */
  readonly staying: ReadonlyMap<TableName, TenantPath>;
  /** One-to-one parents that go with the rows that refer to them. */
  readonly followed: ReadonlySet<TableName>;
  /** Tables that block by OWNER_UNCLEAR; other hazards need not repeat them. */
  readonly unclear: ReadonlySet<TableName>;
  readonly hazards: readonly Hazard[];
}

/**
 * Finds how each table's rows reach the tenant: configuration, a foreign key to the tenant table, a
 * tenant column without one, the path over mandatory or cascading keys; in that order. Where the
 * best way has no value in a row, the next one decides for it. What none of them explains is a
 * hazard. Pure.
 */
export function findOwners(map: SchemaMap, rules: SettledRules): Ownership {
  const others = map.tables.filter(({ name }) => name !== rules.tenant.table);
  const open = others.filter(({ name }) => !rules.kept.has(name) && !rules.staying.has(name));
  const staying = others.filter(({ name }) => rules.staying.has(name));
  const facts = gatherOwnerFacts(map, rules, [...open, ...staying]);

  const settled = settleOwners(facts, open);
  const claims = addFallbacks(facts, settled);
  const stays = staying.map(({ name }) => ({
    name,
    ...claimStaying(facts, name, claims, settled.candidates.get(name) ?? []),
  }));
  const stayingClaims = new Map(stays.map((each) => [each.name, each.claims] as const));
  const unowned = judgeUnowned(
    facts,
    open.filter(({ name }) => !claims.has(name)),
    claims,
  );

  const judged = [...claims, ...stayingClaims].filter(
    ([table]) => table !== rules.tenant.table && !settled.followed.has(table),
  );
  const hazards = [
    ...[...settled.claims].flatMap(([table, best]) => findAmbiguity(table, best)),
    ...stays.flatMap(({ name, best }) => findAmbiguity(name, best)),
    ...findClaimHazards(facts, claims, judged),
    ...unowned.hazards,
  ];
  if (claims.size === 1 && open.length > 0 && hazards.length === 0) {
    hazards.push(nothingOwned(rules.tenant.table, open.length));
  }
  return {
    ...makePaths({ map, keyType: rules.tenant.keyType }, claims, stayingClaims),
    followed: settled.followed,
    unclear: unowned.unclear,
    hazards,
  };
}
