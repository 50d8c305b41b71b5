import type { PurgeId, TenantId } from './ids.ts';

/**
 * The phrase an operator types. It names what goes, so that a phrase typed for 30 tenants does not
 * open the door for 750; and that there is no way back, so that one typed for an archived purge does
 * not open the door for one without.
 */
export function confirmationPhrase(
  tenantIds: readonly TenantId[],
  { archive }: { readonly archive: boolean } = { archive: true },
): string {
  const [first] = tenantIds;
  const phrase =
    tenantIds.length === 1 && first !== undefined
      ? `DELETE ${first}`
      : `DELETE ${tenantIds.length} TENANTS`;
  return archive ? phrase : `${phrase} FOREVER`;
}

/** The phrase for throwing archives away. */
export function expiryPhrase(purgeIds: readonly PurgeId[]): string {
  const [first] = purgeIds;
  return purgeIds.length === 1 && first !== undefined
    ? `EXPIRE ${first}`
    : `EXPIRE ${purgeIds.length} ARCHIVES`;
}

/** Said wherever a purge without archive is planned, asked for, or reported. */
export const CANNOT_BE_UNDONE = 'No archive is written: this purge cannot be undone.';
