import { PurgeError } from '../domain/errors.ts';
import type { Hazard } from '../domain/hazard.ts';
import type { TenantId } from '../domain/ids.ts';
import type { Plan } from '../domain/plan.ts';
import type { PurgeRecord } from '../domain/records.ts';
import { dataHazards, descendantHazards } from '../planner/hazards/data-hazards.ts';
import { findDescendants } from './campaign/tenant-tree.ts';
import type { EngineParts } from './parts.ts';

type StrangerParts = Pick<EngineParts, 'reader'>;

/**
 * What in the rows stands in the way of this tenant's purge now: references from rows that are not part
 * of it, and tenants below it. Only looks.
 */
export async function findStrangers(
  parts: StrangerParts,
  plan: Plan,
  tenantId: TenantId,
): Promise<Hazard[]> {
  const everyone = await parts.reader.tenantTree(plan);
  const self = everyone.filter(({ id }) => id === tenantId);
  const hazards = [
    ...dataHazards(await parts.reader.references(plan, tenantId)),
    ...descendantHazards(plan, findDescendants(everyone, self)),
  ];
  return hazards.filter(({ severity }) => severity === 'blocks');
}

/** @throws PurgeError HAZARD_BLOCKS with the rows */
export async function refuseStrangers(
  parts: StrangerParts,
  plan: Plan,
  purge: PurgeRecord,
): Promise<void> {
  const hazards = await findStrangers(parts, plan, purge.tenantId);
  if (hazards.length === 0) return;
  throw new PurgeError(
    'HAZARD_BLOCKS',
    `Purge ${purge.id}: rows that are not part of the purge stand in its way; nothing was deleted.\n${lines(hazards)}`,
    { details: { hazards }, remedy: remedyOf(hazards) },
  );
}

/** The error of a transaction that such rows undid, with the rows; the same where none is found now. */
export async function nameStrangers(
  parts: StrangerParts,
  plan: Plan,
  tenantId: TenantId,
  error: PurgeError,
): Promise<PurgeError> {
  const hazards = await findStrangers(parts, plan, tenantId);
  if (hazards.length === 0) return error;
  return new PurgeError(error.code, `${error.message}\n${lines(hazards)}`, {
    details: { ...error.details, hazards },
    cause: error.cause,
    remedy: remedyOf(hazards),
  });
}

const lines = (hazards: readonly Hazard[]): string =>
  hazards.map(({ type, message }) => `  ${type}: ${message}`).join('\n');

const remedyOf = (hazards: readonly Hazard[]): string =>
  [...new Set(hazards.map(({ remedy }) => remedy)), 'Then enqueue again.'].join(' ');
