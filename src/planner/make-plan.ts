import type { Hazard, HazardSeverity } from '../domain/hazard.ts';
import type { Plan } from '../domain/plan.ts';
import type { Catalogue } from './catalogue.ts';
import { fingerprintOf, planFacts } from './fingerprint.ts';
import { findTableHazards, plannedTables } from './hazards.ts';
import { findKeyHazards } from './key-hazards.ts';
import { orderTables } from './order.ts';
import { findOwners } from './ownership.ts';
import type { PlanRules } from './rules.ts';
import { compareText, mapSchema } from './schema-map.ts';
import { settleRules } from './settled-rules.ts';

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
  const order = orderTables(map, settled, ownership.paths);
  const planned = plannedTables(order.levels);
  const facts = planFacts(map, settled, order.levels, planned);
  return {
    fingerprint: fingerprintOf(facts),
    facts,
    tenant: settled.tenant,
    levels: order.levels,
    core: order.core,
    hazards: sortHazards([
      ...ownership.hazards,
      ...order.hazards,
      ...findTableHazards(map, planned),
      ...findKeyHazards(map, settled, { deleted: planned.deleted, unclear: ownership.unclear }),
    ]),
  };
}

const SEVERITIES: readonly HazardSeverity[] = ['blocks', 'allow', 'info'];

/** What blocks first; then by type and name. */
const sortHazards = (hazards: readonly Hazard[]): Hazard[] =>
  [...hazards].sort(
    (left, right) =>
      SEVERITIES.indexOf(left.severity) - SEVERITIES.indexOf(right.severity) ||
      compareText(left.type, right.type) ||
      compareText(left.table ?? '', right.table ?? '') ||
      compareText(left.foreignKey ?? '', right.foreignKey ?? '') ||
      compareText(left.message, right.message),
  );
