import type { TenantId } from './ids.ts';

/**
 * The phrase an operator types. It names what goes, so that a phrase typed for 30 tenants does not
 * open the door for 750.
 */
export function confirmationPhrase(tenantIds: readonly TenantId[]): string {
  const [first] = tenantIds;
  return tenantIds.length === 1 && first !== undefined
    ? `DELETE ${first}`
    : `DELETE ${tenantIds.length} TENANTS`;
}

/** Said wherever a purge without archive is planned, asked for, or reported. */
export const CANNOT_BE_UNDONE = 'No archive is written: this purge cannot be undone.';
