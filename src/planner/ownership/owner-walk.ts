import type { TableName } from '../../domain/ids.ts';
import type { CatalogueTable } from '../catalogue.ts';
import {
  bestOf,
  type Claim,
  claimByChild,
  claimByCondition,
  claimByKey,
  insertClaim,
} from './claim.ts';
import { configuredClaims } from './configured-claims.ts';
import { keyRole } from './key-role.ts';
import type { OwnerFacts } from './owner-facts.ts';

/** The tables that have an owner, and what else was found on the way. */
export interface Settled {
  /** In the order in which they were settled; claims that are equally good, as a rule only one. */
  readonly claims: ReadonlyMap<TableName, readonly Claim[]>;
  /** Claims over keys to settled tables, by the table that has the key. */
  readonly candidates: ReadonlyMap<TableName, readonly Claim[]>;
  /** One-to-one parents that go with the rows that refer to them. */
  readonly followed: ReadonlySet<TableName>;
}

/** Settles the tenant table, and of the `open` tables each that something explains. Pure. */
export const settleOwners = (facts: OwnerFacts, open: readonly CatalogueTable[]): Settled =>
  new OwnerWalk(facts, open).run();

interface NextTable {
  readonly table: TableName;
  readonly claims: readonly Claim[];
}

class OwnerWalk {
  readonly #facts: OwnerFacts;
  readonly #open: readonly CatalogueTable[];
  readonly #waiting: Set<TableName>;
  readonly #claims = new Map<TableName, readonly Claim[]>();
  readonly #candidates = new Map<TableName, Claim[]>();
  /** The candidates of all tables in one list, best first. */
  readonly #queue: Claim[] = [];

  constructor(facts: OwnerFacts, open: readonly CatalogueTable[]) {
    this.#facts = facts;
    this.#open = open;
    this.#waiting = new Set(open.map(({ name }) => name));
  }

  run(): Settled {
    const { tenant } = this.#facts;
    this.#settle(tenant.table, [tenant.claim]);
    for (const table of this.#open) this.#settleByItself(table);
    const followed = this.#walk();
    return { claims: this.#claims, candidates: this.#candidates, followed };
  }

  /** Tables that need no other: by the operator's SQL, or by a tenant column of their own. */
  #settleByItself({ name }: CatalogueTable): void {
    const { rules, configured, direct, byName } = this.#facts;
    const condition = rules.conditions.get(name);
    if (condition !== undefined) return this.#settle(name, [claimByCondition(name, condition)]);
    if (configured.has(name)) return;
    const keyed = direct.get(name) ?? [];
    const claims = bestOf(keyed.length > 0 ? keyed : (byName.get(name) ?? []));
    if (claims.length > 0) this.#settle(name, claims);
  }

  /**
   * Dijkstra's walk from the tables settled so far: a path is only ever made longer or nullable by
   * one more hop, so the best open claim of all is final, and everything equally good is known.
   * Configured tables are settled once what they lead to is. One-to-one parents come when nothing
   * else is left, and others may hang on them.
   * @returns the one-to-one parents
   */
  #walk(): Set<TableName> {
    const followed = new Set<TableName>();
    for (;;) {
      const certain = this.#nextConfigured('complete') ?? this.#bestCandidate();
      const next = certain ?? this.#nextConfigured('partial') ?? this.#nextFollowed();
      if (next === null) return followed;
      if (next.claims[0]?.kind === 'child') followed.add(next.table);
      this.#settle(next.table, next.claims);
    }
  }

  /** `partial`: one whose configured owners are not all settled, and never will be. */
  #nextConfigured(how: 'complete' | 'partial'): NextTable | null {
    const { map, rules, configured } = this.#facts;
    for (const table of configured) {
      if (!this.#waiting.has(table)) continue;
      const { claims, waits } = configuredClaims(map, rules, this.#claims, table);
      if (claims.length > 0 && (how === 'partial' || !waits)) return { table, claims };
    }
    return null;
  }

  #bestCandidate(): NextTable | null {
    for (;;) {
      const best = this.#queue.shift();
      if (best === undefined) return null;
      const { table } = best;
      if (!this.#waiting.has(table) || this.#facts.configured.has(table)) continue;
      return { table, claims: bestOf(this.#candidates.get(table) ?? []) };
    }
  }

  #nextFollowed(): NextTable | null {
    for (const table of this.#waiting) {
      const claims = this.#facts.rules.follow.flatMap((key) => {
        const [child] = this.#claims.get(key.child) ?? [];
        return key.parent === table && child !== undefined ? [claimByChild(key, child)] : [];
      });
      if (claims.length > 0) return { table, claims };
    }
    return null;
  }

  #settle(table: TableName, claims: readonly Claim[]): void {
    const { map, rules } = this.#facts;
    const [best] = claims;
    if (best === undefined) return;
    this.#waiting.delete(table);
    this.#claims.set(table, claims);
    for (const key of map.keysTo.get(table) ?? []) {
      if (keyRole(map, rules, key) !== 'owns') continue;
      const known = this.#candidates.get(key.child) ?? [];
      const claim = claimByKey(map, key, best, 'parent');
      known.push(claim);
      insertClaim(this.#queue, claim);
      this.#candidates.set(key.child, known);
    }
  }
}
