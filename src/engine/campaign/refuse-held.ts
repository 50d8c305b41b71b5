import type { Targets } from './targets.ts';

/** Tenants on hold are refused, also where everybody but the spared ones goes. Pure. */
export function refuseHeld(targets: Targets, held: ReadonlySet<string>): Targets {
  if (held.size === 0) return targets;
  return {
    tenants: targets.tenants.filter(({ id }) => !held.has(id)),
    refused: [
      ...targets.refused,
      ...targets.tenants
        .filter(({ id }) => held.has(id))
        .map(({ id, label }) => ({
          tenantId: id,
          code: 'TENANT_HELD' as const,
          message: `${id} (${label}) is on hold.`,
        })),
    ],
  };
}
