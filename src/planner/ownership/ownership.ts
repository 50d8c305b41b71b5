import type { Hazard } from '../../domain/hazard.ts';
import type { TableName } from '../../domain/ids.ts';
import type { TenantPath } from '../../domain/plan.ts';
import type { CatalogueForeignKey, CatalogueTable } from '../catalogue.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import {
  areComparable,
  areEquatable,
  columnOf,
  type SchemaMap,
  sameColumns,
} from '../schema-map.ts';
import {
  bestOf,
  type Claim,
  claimByChild,
  claimByColumn,
  claimByCondition,
  claimByKey,
  distinctClaims,
  insertClaim,
  leadsTo,
  type ParentClaim,
} from './claim.ts';
import { configuredClaims } from './configured-claims.ts';
import { keyRole, ownsByTenantKey } from './key-role.ts';
import {
  ambiguousOwner,
  columnWithoutKey,
  incomparableColumn,
  incomparableReference,
  likelyColumn,
  nothingOwned,
  oddTenantColumn,
  operatorCondition,
  rowsOfNobody,
  unclearOwner,
} from './ownership-hazards.ts';
import {
  claimsByName,
  likelyTenantColumn,
  type OddColumn,
  type TenantClaim,
  tenantColumnNames,
} from './tenant-columns.ts';
import { makePaths } from './tenant-paths.ts';

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
export const findOwners = (map: SchemaMap, rules: SettledRules): Ownership =>
  new OwnershipWalk(map, rules).run();

class OwnershipWalk {
  readonly #map: SchemaMap;
  readonly #rules: SettledRules;
  readonly #tenant: TenantClaim;
  /** Settled tables in the order in which they were; the best claim first. */
  readonly #claims = new Map<TableName, readonly Claim[]>();
  /** Claims over keys to settled tables, of tables that are not settled themselves. */
  readonly #candidates = new Map<TableName, Claim[]>();
  /** The same, all tables' in one list, best first. */
  readonly #queue: Claim[] = [];
  /** Tables whose owner the configuration names, by their columns or by a key. */
  readonly #configured: ReadonlySet<TableName>;
  readonly #direct = new Map<TableName, readonly Claim[]>();
  readonly #byName = new Map<TableName, readonly Claim[]>();
  readonly #odd = new Map<TableName, readonly OddColumn[]>();
  /** Tables some rows of which may be nobody's, as far as that is known. */
  readonly #nobodys = new Map<TableName, boolean>();
  readonly #hazards: Hazard[] = [];

  constructor(map: SchemaMap, rules: SettledRules) {
    this.#map = map;
    this.#rules = rules;
    const { table, key } = rules.tenant;
    const claim: Claim = {
      ...claimByColumn(map, table, key, 'tenant'),
      ownNullable: false,
      nullable: false,
    };
    this.#tenant = { ...rules.tenant, claim };
    const owning = map.foreignKeys.filter((key) => rules.keyRules.get(key.name) === 'own');
    this.#configured = new Set([...rules.owners.keys(), ...owning.map((key) => key.child)].sort());
  }

  run(): Ownership {
    const others = this.#map.tables.filter(({ name }) => name !== this.#tenant.table);
    const open = others.filter(
      ({ name }) => !this.#rules.kept.has(name) && !this.#rules.staying.has(name),
    );
    const staying = others.filter(({ name }) => this.#rules.staying.has(name));
    this.#findOwnColumns([...open, ...staying]);
    this.#settle(this.#tenant.table, [this.#tenant.claim]);
    for (const table of open) this.#settleByItself(table);
    const waiting = new Set(open.map(({ name }) => name).filter((name) => !this.#claims.has(name)));
    const followed = this.#walk(waiting);
    for (const table of this.#claims.keys()) this.#addFallbacks(table);
    const stayingClaims = new Map(
      staying.map((table) => [table.name, this.#claimsOfStaying(table)] as const),
    );
    for (const [table, claims] of [...this.#claims, ...stayingClaims]) {
      if (table !== this.#tenant.table && !followed.has(table)) this.#report(table, claims);
    }
    const unclear = new Set(
      open
        .filter(({ name }) => !this.#claims.has(name))
        .filter((table) => this.#reportUnowned(table))
        .map(({ name }) => name),
    );
    if (this.#claims.size === 1 && open.length > 0 && this.#hazards.length === 0) {
      this.#hazards.push(nothingOwned(this.#tenant.table, open.length));
    }
    return {
      ...makePaths({ map: this.#map, keyType: this.#tenant.keyType }, this.#claims, stayingClaims),
      followed,
      unclear,
      hazards: this.#hazards,
    };
  }

  /** Keys to the tenant table, and columns called like those that have one. */
  #findOwnColumns(tables: readonly CatalogueTable[]): void {
    for (const { name } of tables) {
      const keys = (this.#map.keysFrom.get(name) ?? []).filter(
        (key) => key.parent === this.#tenant.table && ownsByTenantKey(this.#map, this.#rules, key),
      );
      const claims = keys.map((key) =>
        claimByKey(this.#map, key, this.#tenant.claim, 'foreign-key'),
      );
      this.#direct.set(name, distinctClaims(claims));
    }
    const names = tenantColumnNames(
      this.#map,
      this.#rules,
      this.#tenant,
      new Map([...this.#direct].map(([table, claims]) => [table, bestOf(claims)])),
    );
    for (const table of tables) {
      const found = claimsByName(this.#map, this.#rules, this.#tenant, names, table);
      this.#byName.set(table.name, found.claims);
      this.#odd.set(table.name, found.odd);
    }
  }

  /** Tables that need no other: by the operator's SQL, or by a tenant column of their own. */
  #settleByItself({ name }: CatalogueTable): void {
    const condition = this.#rules.conditions.get(name);
    if (condition !== undefined) return this.#settle(name, [claimByCondition(name, condition)]);
    if (this.#configured.has(name)) return;
    const direct = this.#direct.get(name) ?? [];
    const claims = bestOf(direct.length > 0 ? direct : (this.#byName.get(name) ?? []));
    if (claims.length > 0) this.#settle(name, claims);
  }

  /**
   * Dijkstra's walk from the tables settled so far: a path is only ever made longer or nullable by
   * one more hop, so the best open claim of all is final, and everything equally good is known.
   * Configured tables are settled once what they lead to is. One-to-one parents come when nothing
   * else is left, and others may hang on them.
   * @returns the one-to-one parents
   */
  #walk(waiting: Set<TableName>): Set<TableName> {
    const followed = new Set<TableName>();
    const settle = (table: TableName, claims: readonly Claim[]): void => {
      waiting.delete(table);
      this.#settle(table, claims);
    };
    for (;;) {
      const configured = this.#nextConfigured(waiting, 'complete');
      if (configured !== null) {
        settle(configured.table, configured.claims);
        continue;
      }
      const best = this.#bestCandidate(waiting);
      if (best !== null) {
        settle(best.table, best.claims);
        continue;
      }
      const partial = this.#nextConfigured(waiting, 'partial') ?? this.#nextFollowed(waiting);
      if (partial === null) return followed;
      if (partial.claims[0]?.kind === 'child') followed.add(partial.table);
      settle(partial.table, partial.claims);
    }
  }

  #nextConfigured(
    waiting: ReadonlySet<TableName>,
    how: 'complete' | 'partial',
  ): { readonly table: TableName; readonly claims: readonly Claim[] } | null {
    for (const table of this.#configured) {
      if (!waiting.has(table)) continue;
      const found = configuredClaims(this.#map, this.#rules, this.#claims, table);
      const isReady = how === 'complete' ? !found.waits : found.claims.length > 0;
      if (isReady && found.claims.length > 0) return { table, claims: found.claims };
    }
    return null;
  }

  #bestCandidate(
    waiting: ReadonlySet<TableName>,
  ): { readonly table: TableName; readonly claims: readonly Claim[] } | null {
    for (;;) {
      const best = this.#queue.shift();
      if (best === undefined) return null;
      const { table } = best;
      if (!waiting.has(table) || this.#configured.has(table)) continue;
      return { table, claims: bestOf(this.#candidates.get(table) ?? []) };
    }
  }

  #nextFollowed(
    waiting: ReadonlySet<TableName>,
  ): { readonly table: TableName; readonly claims: readonly Claim[] } | null {
    for (const table of waiting) {
      const claims = this.#rules.follow.flatMap((key) => {
        const [child] = this.#claims.get(key.child) ?? [];
        return key.parent === table && child !== undefined ? [claimByChild(key, child)] : [];
      });
      if (claims.length > 0) return { table, claims };
    }
    return null;
  }

  #settle(table: TableName, claims: readonly Claim[]): void {
    const [best] = claims;
    if (best === undefined) return;
    this.#claims.set(table, claims);
    this.#reportAmbiguity(table, claims);
    for (const key of this.#map.keysTo.get(table) ?? []) {
      if (keyRole(this.#map, this.#rules, key) !== 'owns') continue;
      const known = this.#candidates.get(key.child) ?? [];
      const claim = claimByKey(this.#map, key, best, 'parent');
      known.push(claim);
      insertClaim(this.#queue, claim);
      this.#candidates.set(key.child, known);
    }
  }

  /**
   * Where the best way may have no value, the next best decides, and so on down to one that always
   * has one. Never by way of a table that is itself explained by this one.
   */
  #addFallbacks(table: TableName): void {
    const settled = this.#claims.get(table) ?? [];
    const [best] = settled;
    if (best === undefined || table === this.#tenant.table || best.kind === 'child') return;
    if (this.#rules.owners.has(table)) return;
    const others = [
      ...(this.#direct.get(table) ?? []),
      ...(this.#byName.get(table) ?? []),
      ...distinctClaims(this.#candidates.get(table) ?? []),
    ].filter((claim) => {
      const parent = leadsTo(claim);
      return parent === null || !this.#uses(parent, table);
    });
    this.#claims.set(table, untilCertain([...settled, ...others]));
  }

  /** True where the owner of `table`'s rows is found by way of `other`. */
  #uses(table: TableName, other: TableName): boolean {
    const seen = new Set<TableName>([table]);
    for (const next of seen) {
      if (next === other) return true;
      for (const claim of this.#claims.get(next) ?? []) {
        const parent = leadsTo(claim);
        if (parent !== null) seen.add(parent);
      }
    }
    return false;
  }

  #claimsOfStaying({ name }: CatalogueTable): readonly Claim[] {
    const condition = this.#rules.conditions.get(name);
    if (condition !== undefined) return [claimByCondition(name, condition)];
    if (this.#rules.owners.has(name)) {
      return configuredClaims(this.#map, this.#rules, this.#claims, name).claims;
    }
    const found = [
      configuredClaims(this.#map, this.#rules, this.#claims, name).claims,
      this.#direct.get(name) ?? [],
      this.#byName.get(name) ?? [],
      distinctClaims(this.#candidates.get(name) ?? []),
    ];
    const best = bestOf(found.find((claims) => claims.length > 0) ?? []);
    this.#reportAmbiguity(name, best);
    return untilCertain([...best, ...found.flat()]);
  }

  #reportAmbiguity(table: TableName, claims: readonly Claim[]): void {
    const isAmbiguous = claims.length > 1 && claims.every((claim) => claim.via !== 'configuration');
    if (isAmbiguous) this.#hazards.push(ambiguousOwner(table, claims));
  }

  #report(table: TableName, claims: readonly Claim[]): void {
    const [best] = claims;
    if (best === undefined) return;
    if (best.kind === 'condition') this.#hazards.push(operatorCondition(table, best.sql));
    if (this.#mayBeNobodys(claims)) this.#hazards.push(rowsOfNobody(table, claims));
    for (const claim of claims) {
      const [column] = claim.columns;
      if (claim.via === 'column' && column !== undefined) {
        this.#hazards.push(columnWithoutKey(table, column, this.#tenant.table));
      }
      if (claim.kind === 'parent') this.#reportReference(table, claim);
      if (claim.kind !== 'column') continue;
      const type = columnTypeOf(this.#map, table, claim.column);
      const mayBeText = claim.when.length > 0 && areComparable(type, 'text');
      if (
        claim.via === 'configuration' &&
        !mayBeText &&
        !areComparable(type, this.#tenant.keyType)
      ) {
        this.#hazards.push(incomparableColumn(table, claim.column, type, this.#tenant.keyType));
      }
    }
  }

  /** A reference that only the configuration declares: PostgreSQL has never compared the two. */
  #reportReference(table: TableName, { columns, parent, referencedColumns }: ParentClaim): void {
    const entry = this.#rules.owners
      .get(table)
      ?.find(({ to, columns: own }) => to === parent && sameColumns(own, columns));
    const [column, referenced] = [columns[0], referencedColumns[0]];
    if (entry === undefined || column === undefined || referenced === undefined) return;
    const type = columnTypeOf(this.#map, table, column);
    const expected = columnTypeOf(this.#map, parent, referenced);
    if (!areEquatable(type, expected)) {
      this.#hazards.push(incomparableReference(table, { column, type, entry, parent, expected }));
    }
  }

  /** True where the way that decides for a row may end without an owner. */
  #mayBeNobodys(claims: readonly Claim[]): boolean {
    if (claims.every((claim) => claim.ownNullable)) return true;
    return claims.some((claim) => {
      const parent = leadsTo(claim);
      return parent !== null && this.#mayHaveRowsOfNobody(parent);
    });
  }

  #mayHaveRowsOfNobody(table: TableName): boolean {
    const known = this.#nobodys.get(table);
    if (known !== undefined) return known;
    const found = this.#mayBeNobodys(this.#claims.get(table) ?? []);
    this.#nobodys.set(table, found);
    return found;
  }

  /** True where the table is now blocked by OWNER_UNCLEAR. */
  #reportUnowned(table: CatalogueTable): boolean {
    const { name } = table;
    const keys = (this.#map.keysFrom.get(name) ?? []).filter(
      (key) =>
        key.parent !== name &&
        this.#claims.has(key.parent) &&
        keyRole(this.#map, this.#rules, key) === 'may-own',
    );
    const owners = this.#rules.owners.get(name);
    for (const odd of this.#odd.get(name) ?? []) {
      const isTold = odd.reason === 'key' && this.#hasReferenceToTenant(name, odd.column.name);
      if (!isTold) this.#hazards.push(oddTenantColumn(name, odd));
    }
    const isMeant =
      this.#rules.asked.has(name) || this.#rules.core.has(name) || this.#configured.has(name);
    if (keys.length === 0 && !isMeant) {
      const likely = likelyTenantColumn(this.#map, this.#tenant, table);
      if (likely !== undefined) this.#hazards.push(likelyColumn(name, likely.name, this.#tenant));
      return false;
    }
    const configured = owners?.flatMap(({ columns }) => columns) ?? this.#ownKeyColumns(name);
    this.#hazards.push(unclearOwner(name, { keys, configured }));
    return true;
  }

  #ownKeyColumns(table: TableName): readonly string[] | undefined {
    return (this.#map.keysFrom.get(table) ?? []).find(
      (key: CatalogueForeignKey) => this.#rules.keyRules.get(key.name) === 'own',
    )?.columns;
  }

  /** SET NULL keys to the tenant table are reported with every other reference from outside. */
  #hasReferenceToTenant(table: TableName, column: string): boolean {
    return (this.#map.keysFrom.get(table) ?? []).some(
      (key) => key.parent === this.#tenant.table && key.columns.includes(column),
    );
  }
}

const columnTypeOf = (map: SchemaMap, table: TableName, column: string): string => {
  const found = map.byName.get(table);
  return (found && columnOf(found, column)?.type) ?? '';
};

/** The claims up to the first that has a value in every row, each once. */
function untilCertain(claims: readonly Claim[]): readonly Claim[] {
  const kept: Claim[] = [];
  for (const claim of claims) {
    if (kept.at(-1)?.ownNullable === false) break;
    const isKnown = kept.some((known) => distinctClaims([known, claim]).length === 1);
    if (!isKnown) kept.push(claim);
  }
  return kept;
}
