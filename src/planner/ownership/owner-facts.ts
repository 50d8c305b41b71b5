import type { TableName } from '../../domain/ids.ts';
import type { CatalogueTable } from '../catalogue.ts';
import type { SettledRules } from '../rules/settled-rules.ts';
import type { SchemaMap } from '../schema-map.ts';
import { bestOf, type Claim, claimByColumn, claimByKey, distinctClaims } from './claim.ts';
import { ownsByTenantKey } from './key-role.ts';
import {
  claimsByName,
  type OddColumn,
  type TenantClaim,
  tenantColumnNames,
} from './tenant-columns.ts';

/** What is known of tables before any of them is settled. */
export interface OwnerFacts {
  readonly map: SchemaMap;
  readonly rules: SettledRules;
  readonly tenant: TenantClaim;
  /** Tables whose owner the configuration names, by their columns or by a key; sorted. */
  readonly configured: ReadonlySet<TableName>;
  /** Claims over foreign keys to the tenant table. */
  readonly direct: ReadonlyMap<TableName, readonly Claim[]>;
  /** Claims over columns called like those that have such a key. */
  readonly byName: ReadonlyMap<TableName, readonly Claim[]>;
  /** Columns called so that cannot be tenant columns. */
  readonly odd: ReadonlyMap<TableName, readonly OddColumn[]>;
}

/** @param tables those whose owners are looked for; without the tenant table */
export function gatherOwnerFacts(
  map: SchemaMap,
  rules: SettledRules,
  tables: readonly CatalogueTable[],
): OwnerFacts {
  const tenant = tenantClaim(map, rules);
  const direct = directClaims(map, rules, tenant, tables);
  const bestDirect = new Map([...direct].map(([table, claims]) => [table, bestOf(claims)]));
  const names = tenantColumnNames(map, rules, tenant, bestDirect);
  const found = tables.map(
    (table) => [table.name, claimsByName(map, rules, tenant, names, table)] as const,
  );
  return {
    map,
    rules,
    tenant,
    configured: configuredTables(map, rules),
    direct,
    byName: new Map(found.map(([table, { claims }]) => [table, claims])),
    odd: new Map(found.map(([table, { odd }]) => [table, odd])),
  };
}

/** The tenant's own row always has its key, whatever the catalogue says of the column. */
function tenantClaim(map: SchemaMap, { tenant }: SettledRules): TenantClaim {
  const claim = claimByColumn(map, tenant.table, tenant.key, 'tenant');
  return { ...tenant, claim: { ...claim, ownNullable: false, nullable: false } };
}

const directClaims = (
  map: SchemaMap,
  rules: SettledRules,
  tenant: TenantClaim,
  tables: readonly CatalogueTable[],
): ReadonlyMap<TableName, readonly Claim[]> =>
  new Map(
    tables.map(({ name }) => {
      const keys = (map.keysFrom.get(name) ?? []).filter(
        (key) => key.parent === tenant.table && ownsByTenantKey(map, rules, key),
      );
      const claims = keys.map((key) => claimByKey(map, key, tenant.claim, 'foreign-key'));
      return [name, distinctClaims(claims)];
    }),
  );

function configuredTables(map: SchemaMap, rules: SettledRules): ReadonlySet<TableName> {
  const owning = map.foreignKeys.filter((key) => rules.keyRules.get(key.name) === 'own');
  return new Set([...rules.owners.keys(), ...owning.map((key) => key.child)].sort());
}
