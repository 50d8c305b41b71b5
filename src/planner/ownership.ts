import type { Hazard } from '../domain/hazard.ts';
import type { TableName } from '../domain/ids.ts';
import type { TenantPath } from '../domain/plan.ts';
import type { CatalogueForeignKey, CatalogueTable } from './catalogue.ts';
import {
  type Claim,
  claimByColumn,
  claimByKey,
  claimByTenantKey,
  compareClaims,
  compareClaimsFully,
} from './claim.ts';
import {
  ambiguousOwner,
  columnWithoutKey,
  incomparableColumn,
  oddTenantColumn,
  rowsOfNobody,
  unclearOwner,
  unsupportedOwner,
} from './ownership-hazards.ts';
import {
  areComparable,
  columnOf,
  isMandatory,
  isReferenceOnly,
  type SchemaMap,
  sameColumns,
} from './schema-map.ts';
import type { SettledRules } from './settled-rules.ts';
import {
  type BestClaims,
  bestOf,
  claimsByName,
  claimsToTenant,
  type OddColumn,
  type TenantClaim,
  tenantColumnNames,
} from './tenant-columns.ts';

export interface Ownership {
  /** Tables whose rows a purge deletes, the tenant table included, with their paths. */
  readonly paths: ReadonlyMap<TableName, TenantPath>;
  /** Tables that block by OWNER_UNCLEAR; other hazards need not repeat them. */
  readonly unclear: ReadonlySet<TableName>;
  readonly hazards: readonly Hazard[];
}

/**
 * Finds how each table's rows reach the tenant: configuration, a foreign key to the tenant table, a
 * tenant column without one, the path over mandatory or cascading keys; in that order, and what
 * none of them explains is a hazard. Pure.
 */
export function findOwners(map: SchemaMap, rules: SettledRules): Ownership {
  const tenant: TenantClaim = {
    ...rules.tenant,
    claim: {
      path: { hops: [], table: rules.tenant.table, column: rules.tenant.key, via: 'tenant' },
      columns: [rules.tenant.key],
      nullable: false,
    },
  };
  const walk = new OwnershipWalk(map, rules, tenant);
  return walk.run();
}

class OwnershipWalk {
  readonly #map: SchemaMap;
  readonly #rules: SettledRules;
  readonly #tenant: TenantClaim;
  readonly #claims = new Map<TableName, Claim>();
  readonly #odd = new Map<TableName, readonly OddColumn[]>();
  readonly #hazards: Hazard[] = [];

  constructor(map: SchemaMap, rules: SettledRules, tenant: TenantClaim) {
    this.#map = map;
    this.#rules = rules;
    this.#tenant = tenant;
  }

  run(): Ownership {
    this.#claims.set(this.#tenant.table, this.#tenant.claim);
    const open = this.#map.tables.filter(
      (table) => table.name !== this.#tenant.table && !this.#rules.kept.has(table.name),
    );
    const direct = new Map<TableName, BestClaims>();
    for (const table of open) {
      if (this.#rules.ownedBy.has(table.name)) this.#claimByConfiguration(table);
      else direct.set(table.name, claimsToTenant(this.#map, this.#tenant, table.name));
    }
    const names = tenantColumnNames(this.#rules, direct);
    for (const table of open) {
      if (!this.#rules.ownedBy.has(table.name)) {
        this.#claimByOwnColumn(table, direct.get(table.name) ?? [], names);
      }
    }
    this.#claimByPaths(new Set(open.map((table) => table.name)));
    const unclear = new Set(
      open
        .filter((table) => !this.#claims.has(table.name) && this.#reportUnowned(table))
        .map((table) => table.name),
    );
    return {
      paths: new Map([...this.#claims].map(([table, claim]) => [table, claim.path])),
      unclear,
      hazards: this.#hazards,
    };
  }

  /** Settles a table by its own column; one that its rule leads to another table waits for that. */
  #claimByConfiguration(table: CatalogueTable): void {
    const columns = this.#rules.ownedBy.get(table.name) ?? [];
    const keys = this.#configuredKeys(table.name);
    const toTenant = keys.filter((key) => key.parent === this.#tenant.table);
    const [best] = bestOf(
      toTenant.map((key) => claimByTenantKey(this.#map, key, this.#tenant, 'configuration')),
    );
    const [column] = columns;
    if (best !== undefined) {
      this.#claims.set(table.name, best);
      this.#warnOfNobody(table.name, best);
    } else if (keys.length > 0 || column === undefined) {
      return;
    } else if (columns.length > 1) {
      this.#hazards.push(unsupportedOwner(table.name, columns));
    } else {
      const type = columnOf(table, column)?.type ?? '';
      const claim = claimByColumn(this.#map, table.name, column, 'configuration');
      this.#claims.set(table.name, claim);
      if (!areComparable(type, this.#tenant.keyType)) {
        this.#hazards.push(incomparableColumn(table.name, column, type, this.#tenant.keyType));
      }
      this.#warnOfNobody(table.name, claim);
    }
  }

  #configuredKeys(table: TableName): readonly CatalogueForeignKey[] {
    const columns = this.#rules.ownedBy.get(table) ?? [];
    return (this.#map.keysFrom.get(table) ?? []).filter(
      (key) => key.parent !== table && sameColumns(key.columns, columns),
    );
  }

  #claimByOwnColumn(table: CatalogueTable, direct: BestClaims, names: readonly string[]): void {
    const byName = claimsByName(this.#map, this.#rules, this.#tenant, names, table);
    this.#odd.set(table.name, byName.odd);
    const claims = direct.length > 0 ? direct : byName.claims;
    const [claim] = claims;
    if (claim === undefined) return;
    this.#settle(table.name, claims);
    if (claim.path.via === 'column') {
      this.#hazards.push(columnWithoutKey(table.name, claim.path.column, this.#tenant.table));
    }
  }

  /**
   * Dijkstra's walk from the tables settled so far: a path is only ever made longer or nullable by
   * one more hop, so the best open claim of all is final, and everything equally good is known.
   */
  #claimByPaths(open: ReadonlySet<TableName>): void {
    for (let settled = 0; settled < open.size; settled += 1) {
      const candidates = this.#map.foreignKeys.flatMap((key) => this.#claimThrough(open, key));
      const best = candidates.reduce<Claim | undefined>(
        (found, claim) =>
          found === undefined || compareClaimsFully(claim, found) < 0 ? claim : found,
        undefined,
      );
      const table = best?.path.hops[0]?.from;
      if (best === undefined || table === undefined) return;
      this.#settle(
        table,
        bestOf(candidates.filter((claim) => claim.path.hops[0]?.from === table)).filter(
          (claim) => compareClaims(claim, best) === 0,
        ),
      );
    }
  }

  #claimThrough(open: ReadonlySet<TableName>, key: CatalogueForeignKey): Claim[] {
    const parent = this.#claims.get(key.parent);
    if (parent === undefined || this.#claims.has(key.child) || !open.has(key.child)) return [];
    const configured = this.#rules.ownedBy.get(key.child);
    if (configured !== undefined) {
      return sameColumns(key.columns, configured)
        ? [claimByKey(this.#map, key, parent, 'configuration')]
        : [];
    }
    const owns =
      !isReferenceOnly(key) &&
      (key.onDelete === 'CASCADE' || isMandatory(this.#map, key.child, key.columns));
    return owns ? [claimByKey(this.#map, key, parent, 'parent')] : [];
  }

  #settle(table: TableName, claims: BestClaims): void {
    const [claim] = claims;
    if (claim === undefined) return;
    this.#claims.set(table, claim);
    if (claims.length > 1 && claim.path.via !== 'configuration') {
      this.#hazards.push(ambiguousOwner(table, claims));
    }
    this.#warnOfNobody(table, claim);
  }

  #warnOfNobody(table: TableName, claim: Claim): void {
    if (claim.nullable) this.#hazards.push(rowsOfNobody(table, claim));
  }

  /** True where the table is now blocked by OWNER_UNCLEAR. */
  #reportUnowned(table: CatalogueTable): boolean {
    const keys = (this.#map.keysFrom.get(table.name) ?? []).filter(
      (key) => key.parent !== table.name && this.#claims.has(key.parent) && !isReferenceOnly(key),
    );
    const configured = this.#rules.ownedBy.get(table.name);
    const isMeant = this.#rules.asked.has(table.name) || this.#rules.core.has(table.name);
    const isReported = this.#hazards.some(
      (hazard) => hazard.type === 'UNSUPPORTED_KEY' && hazard.table === table.name,
    );
    if (isReported) return true;
    for (const odd of this.#odd.get(table.name) ?? []) {
      const isTold =
        odd.reason === 'key' && this.#hasReferenceToTenant(table.name, odd.column.name);
      if (!isTold) this.#hazards.push(oddTenantColumn(table.name, odd, this.#tenant.keyType));
    }
    if (keys.length === 0 && configured === undefined && !isMeant) return false;
    this.#hazards.push(unclearOwner(table.name, { keys, configured }));
    return true;
  }

  /** SET NULL keys to the tenant table are reported with every other reference from outside. */
  #hasReferenceToTenant(table: TableName, column: string): boolean {
    return (this.#map.keysFrom.get(table) ?? []).some(
      (key) => key.parent === this.#tenant.table && key.columns.includes(column),
    );
  }
}
