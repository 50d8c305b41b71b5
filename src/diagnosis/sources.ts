import type { DiagnosisSources } from '../domain/diagnosis.ts';
import type { Plan } from '../domain/plan.ts';
import type { Catalogue } from '../planner/catalogue.ts';
import * as guess from './guesses.ts';
import { looseKeys, looseTenantColumns } from './loose-references.ts';
import {
  addressColumn,
  column,
  createdAtColumn,
  emails,
  nameColumns,
  testColumn,
} from './named-columns.ts';
import type { DiagnosisSettings } from './settings.ts';
import { Settlement, type SourceNote } from './settlement.ts';
import { activity, agents, owner, usage } from './tenant-tables.ts';

export interface SettledSources {
  readonly sources: DiagnosisSources;
  readonly origins: readonly SourceNote[];
  /** What the report cannot see, in words. */
  readonly warnings: readonly string[];
  /** False where some activity could not be read: nobody is then known to be inactive. */
  readonly activityIsKnown: boolean;
}

/**
 * Where to read what: the configuration, and where it is silent what names and types of the catalogue
 * suggest. Pure.
 * @throws PurgeError COLUMN_MISSING, TABLE_MISSING, CONFIG_INVALID: every wrong name at once, with near misses
 */
export function settleSources(
  catalogue: Catalogue,
  plan: Plan,
  settings: DiagnosisSettings,
): SettledSources {
  const settlement = new Settlement(catalogue, plan, settings);
  const sources = settle(settlement);
  settlement.throwIfWrong();
  return {
    sources,
    origins: settlement.origins,
    warnings: settlement.warnings,
    activityIsKnown: sources.activity.length > 0 && !settlement.missesActivity,
  };
}

/** In the order in which the report lists them. */
function settle(settlement: Settlement): DiagnosisSources {
  const { tenant, hold, tree } = settlement.plan;
  settlement.warnOfHiddenRows(settlement.tenant);
  return {
    tenant: { table: tenant.table, key: tenant.key, keyType: tenant.keyType, label: tenant.label },
    testColumn: testColumn(settlement),
    holdColumn: hold ?? null,
    nameColumns: nameColumns(settlement),
    ...emails(settlement),
    subdomainColumn: column(settlement, 'subdomainColumn', guess.subdomainColumn),
    createdAtColumn: createdAtColumn(settlement),
    addressColumn: addressColumn(settlement),
    owner: owner(settlement),
    agents: agents(settlement),
    activity: activity(settlement),
    usage: usage(settlement),
    tree,
    looseTenantColumns: looseTenantColumns(settlement),
    looseKeys: looseKeys(settlement),
  };
}
