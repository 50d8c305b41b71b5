import type { Hazard, HazardSeverity } from '../domain/hazard.ts';
import type { TableName } from '../domain/ids.ts';
import type { Plan, TenantPath } from '../domain/plan.ts';
import type { Catalogue } from './catalogue.ts';
import { fingerprintOf, planFacts } from './explain/fingerprint.ts';
import { findKeyHazards } from './hazards/key-hazards.ts';
import { findTenantPartitions } from './hazards/partitions.ts';
import {
  type Doomed,
  findReferences,
  isTreeKey,
  referringRows,
  ruleOf,
} from './hazards/references.ts';
import { findTableHazards, plannedTables } from './hazards/table-hazards.ts';
import { findFixedColumns } from './order/clear-columns.ts';
import { orderTables } from './order/order.ts';
import { findOrderHazards } from './order/order-hazards.ts';
import { makeLevels } from './order/steps.ts';
import { findOwners, type Ownership } from './ownership/ownership.ts';
import { findStayingHazards } from './ownership/staying.ts';
import { type SettledRules, settleRules } from './rules/settled-rules.ts';
import type { PlanRules } from './rules.ts';
import { compareText, mapSchema, type SchemaMap } from './schema-map.ts';

/**
 * Decides what a purge deletes, in which order, and what stands in its way. The same facts give the
 * same plan, in whatever order the catalogue lists them. A plan with blocking hazards is complete
 * enough to be shown, and must not be run. Pure.
 * @throws PurgeError TABLE_MISSING, COLUMN_MISSING, CONFIG_INVALID where the rules name what the
 * catalogue does not have, or contradict each other
 */
export function makePlan(catalogue: Catalogue, rules: PlanRules): Plan {
  const map = mapSchema(catalogue);
  const settled = settleRules(map, rules);
  const ownership = findOwners(map, settled);
  const doomed = findDoomed(map, settled, ownership);
  const order = orderTables(map, {
    paths: doomed.paths,
    also: doomed.also,
    fixed: doomed.fixed,
    followed: doomed.followed,
    core: settled.core,
    tenant: settled.tenant.table,
  });
  const levels = makeLevels({ map, rules: settled, ownership, doomed, order });
  const planned = plannedTables(
    levels,
    map.foreignKeys,
    settled.quiesce === null ? null : settled.tenant.table,
  );
  const references = findReferences(map, settled, doomed);
  const facts = planFacts(map, settled, levels, planned);
  return {
    fingerprint: fingerprintOf(facts),
    facts,
    tenant: settled.tenant,
    ...(settled.quiesce === null ? {} : { quiesce: settled.quiesce }),
    ...(settled.hold === null ? {} : { hold: settled.hold }),
    levels,
    core: order.core,
    references,
    tree: map.foreignKeys
      .filter((key) => isTreeKey(settled, key))
      .map(({ name, columns, referencedColumns }) => ({
        foreignKey: name,
        columns,
        referencedColumns,
      })),
    partitions: findTenantPartitions(map, doomed.paths),
    hazards: sortHazards([
      ...ownership.hazards,
      ...findOrderHazards(map, settled, { order, levels }),
      ...findTableHazards(map, planned),
      ...findKeyHazards(map, settled, { planned, doomed, ownership }),
      ...findStayingHazards(map, settled, ownership, planned),
    ]),
  };
}

/** What goes: the tenant's rows, and by `delete` rules those of others that refer to them. */
function findDoomed(map: SchemaMap, rules: SettledRules, ownership: Ownership): Doomed {
  const { paths, followed } = ownership;
  const fixed = findFixedColumns(map, paths);
  const also = new Map<TableName, TenantPath[]>();
  for (const key of map.foreignKeys) {
    const parent = paths.get(key.parent);
    if (parent === undefined || key.enforced === false || followed.has(key.parent)) continue;
    if (ruleOf(map, rules, fixed, key) !== 'delete') continue;
    also.set(key.child, [...(also.get(key.child) ?? []), referringRows(map, key, parent)]);
  }
  return { paths, also, followed, fixed };
}

const SEVERITIES: readonly HazardSeverity[] = ['blocks', 'allow', 'info'];

/** What blocks first; then by type and name. */
export const sortHazards = (hazards: readonly Hazard[]): Hazard[] =>
  [...hazards].sort(
    (left, right) =>
      SEVERITIES.indexOf(left.severity) - SEVERITIES.indexOf(right.severity) ||
      compareText(left.type, right.type) ||
      compareText(left.table ?? '', right.table ?? '') ||
      compareText(left.foreignKey ?? '', right.foreignKey ?? '') ||
      compareText(left.message, right.message),
  );
