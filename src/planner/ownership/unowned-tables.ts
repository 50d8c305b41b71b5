import type { Hazard } from '../../domain/hazard.ts';
import type { TableName } from '../../domain/ids.ts';
import type { CatalogueForeignKey, CatalogueTable } from '../catalogue.ts';
import { keyRole } from './key-role.ts';
import type { OwnerFacts } from './owner-facts.ts';
import { likelyColumn, oddTenantColumn, unclearOwner } from './ownership-hazards.ts';
import { likelyTenantColumn } from './tenant-columns.ts';

interface UnownedTables {
  /** Those that block by OWNER_UNCLEAR. */
  readonly unclear: ReadonlySet<TableName>;
  readonly hazards: readonly Hazard[];
}

/**
 * Tells the tables that have nothing to do with the tenant from those that might, or are meant to.
 * Pure.
 * @param unowned the tables that nothing explains
 * @param owned the tables whose rows go
 */
export function judgeUnowned(
  facts: OwnerFacts,
  unowned: readonly CatalogueTable[],
  owned: Pick<ReadonlySet<TableName>, 'has'>,
): UnownedTables {
  const unclear = new Set<TableName>();
  const hazards: Hazard[] = [];
  for (const table of unowned) {
    const keys = keysThatMayOwn(facts, table.name, owned);
    hazards.push(...oddColumns(facts, table.name));
    if (keys.length > 0 || isMeant(facts, table.name)) {
      unclear.add(table.name);
      const configured = configuredColumns(facts, table.name);
      hazards.push(unclearOwner(table.name, { keys, configured }));
      continue;
    }
    const likely = likelyTenantColumn(facts.map, facts.tenant, table);
    if (likely !== undefined) hazards.push(likelyColumn(table.name, likely.name, facts.tenant));
  }
  return { unclear, hazards };
}

const keysThatMayOwn = (
  { map, rules }: OwnerFacts,
  table: TableName,
  owned: Pick<ReadonlySet<TableName>, 'has'>,
): CatalogueForeignKey[] =>
  (map.keysFrom.get(table) ?? []).filter(
    (key) =>
      key.parent !== table && owned.has(key.parent) && keyRole(map, rules, key) === 'may-own',
  );

/** True where the configuration wants something done with the table's rows. */
const isMeant = ({ rules, configured }: OwnerFacts, table: TableName): boolean =>
  rules.asked.has(table) || rules.core.has(table) || configured.has(table);

function oddColumns(facts: OwnerFacts, table: TableName): Hazard[] {
  const odd = facts.odd.get(table) ?? [];
  return odd
    .filter((each) => each.reason !== 'key' || !hasKeyToTenant(facts, table, each.column.name))
    .map((each) => oddTenantColumn(table, each));
}

/** SET NULL keys to the tenant table are reported with every other reference from outside. */
const hasKeyToTenant = ({ map, tenant }: OwnerFacts, table: TableName, column: string): boolean =>
  (map.keysFrom.get(table) ?? []).some(
    (key) => key.parent === tenant.table && key.columns.includes(column),
  );

/** Columns that the configuration names as the table's owner. */
function configuredColumns(
  { map, rules }: OwnerFacts,
  table: TableName,
): readonly string[] | undefined {
  const entries = rules.owners.get(table);
  if (entries !== undefined) return entries.flatMap(({ columns }) => columns);
  const keys = map.keysFrom.get(table) ?? [];
  return keys.find((key) => rules.keyRules.get(key.name) === 'own')?.columns;
}
