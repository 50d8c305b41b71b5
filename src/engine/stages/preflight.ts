import { PurgeError } from '../../domain/errors.ts';
import { KeepList } from '../../domain/keep-list.ts';
import type { Plan } from '../../domain/plan.ts';
import type { CampaignRecord, PurgeRecord } from '../../domain/records.ts';
import { explainDrift } from '../../planner/explain/fingerprint.ts';
import type { EngineParts } from '../parts.ts';
import { refuseStrangers } from '../strangers.ts';

/**
 * May this purge run here and now? Asked at each claim, before anything is deleted: the place is the
 * one the campaign was made for, the tenant is not kept, the schema is the one that was approved, and
 * nothing outside refers to the rows that go by batches. A small purge is one transaction, which such a
 * reference undoes as a whole; one that has entered a level was looked at before.
 * @returns the plan, equal to the approved one
 * @throws PurgeError IDENTITY_MISMATCH, TENANT_KEPT, DRIFT, HAZARD_BLOCKS
 */
export async function preflight(
  parts: EngineParts,
  purge: PurgeRecord,
  campaign: CampaignRecord,
): Promise<Plan> {
  await parts.identity.check(campaign);
  refuseKept(parts.keep, purge, campaign);
  const plan = await planAsApproved(parts, purge, campaign);
  const goesByBatches = purge.rowsTotal > parts.limits.smallPurgeRows;
  if (goesByBatches && isUntouched(purge)) await refuseStrangers(parts, plan, purge);
  return plan;
}

/**
 * The plan of the live catalogue, which is the approved one. One that is a second old refuses nothing:
 * the schema may have come back to what was approved.
 * @throws PurgeError DRIFT with every difference
 */
async function planAsApproved(
  parts: EngineParts,
  purge: PurgeRecord,
  campaign: CampaignRecord,
): Promise<Plan> {
  const recent = await parts.livePlan.current();
  return recent.fingerprint === campaign.planFingerprint
    ? recent
    : await freshAsApproved(parts, purge, campaign);
}

/**
 * The same by a catalogue that is read for it.
 * @throws PurgeError DRIFT with every difference
 */
export async function freshAsApproved(
  parts: EngineParts,
  purge: PurgeRecord,
  campaign: CampaignRecord,
): Promise<Plan> {
  const plan = await parts.livePlan.afresh();
  if (plan.fingerprint === campaign.planFingerprint) return plan;
  const approved = await parts.campaigns.plan(campaign.planFingerprint);
  const difference = explainDrift(approved.facts, plan.facts);
  throw new PurgeError(
    'DRIFT',
    `Purge ${purge.id}: the schema is not the one that was approved.\n${difference.join('\n')}`,
    { details: { approved: campaign.planFingerprint, live: plan.fingerprint, difference } },
  );
}

const isUntouched = (purge: PurgeRecord): boolean =>
  purge.level === null && purge.rowsDeleted === 0 && BEFORE_ROWS.has(purge.stage);

const BEFORE_ROWS: ReadonlySet<string> = new Set(['preflight', 'quiesce']);

/**
 * The keep list as it is now, and as it was when the campaign was approved; asked again at each level.
 * @throws PurgeError TENANT_KEPT
 */
export function refuseKept(keep: KeepList, purge: PurgeRecord, campaign: CampaignRecord): void {
  if (!keep.has(purge.tenantId) && !new KeepList(campaign.kept).has(purge.tenantId)) return;
  throw new PurgeError(
    'TENANT_KEPT',
    `Purge ${purge.id}: tenant ${purge.tenantId} (${purge.tenantLabel}) is on the keep list.`,
    { details: { tenantId: purge.tenantId } },
  );
}
