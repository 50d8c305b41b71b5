import { PurgeError } from '../domain/errors.ts';
import type { PurgeRecord } from '../domain/records.ts';
import type { AwaitedPurges } from '../postgres/ledger/awaited.ts';

/**
 * Why a tenant cannot go: purges of tenants below it that ended otherwise than completed, the first
 * of them the cause.
 * @returns PurgeError DESCENDANT_REMAINS, or null where there is none
 */
export function whyDescendantRemains(
  purge: PurgeRecord,
  { ended, endedTotal }: AwaitedPurges,
): PurgeError | null {
  const [first] = ended;
  if (first === undefined) return null;
  const others = endedTotal === 1 ? '' : `, and ${endedTotal - 1} more did not complete`;
  const nothing = purge.rowsDeleted === 0 ? ` Nothing of ${purge.tenantId} was deleted.` : '';
  return new PurgeError(
    'DESCENDANT_REMAINS',
    `Purge ${purge.id}: tenant ${first.tenantId} (${first.tenantLabel}) below ${purge.tenantId} ` +
      `(${purge.tenantLabel}) remains: its purge ${first.purgeId} ended as ${first.status}${others}.${nothing}`,
    {
      details: {
        tenantId: first.tenantId,
        purgeId: first.purgeId,
        status: first.status,
        descendants: ended.map(({ tenantId, purgeId, status }) => ({ tenantId, purgeId, status })),
        descendantsTotal: endedTotal,
      },
      remedy:
        `See why with \`tenant-purge status ${first.purgeId}\` and settle it. Then enqueue again with ` +
        `\`tenant-purge enqueue --tenant ${purge.tenantId} --with-descendants\`.`,
    },
  );
}
