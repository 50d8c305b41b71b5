import type { TenantId } from '../../domain/ids.ts';
import type { Residue } from '../../domain/report.ts';
import { inTransaction, READ_ONLY } from '../../postgres/database.ts';
import { readPlan } from '../../postgres/read-plan.ts';
import { findTenants } from '../../postgres/tenant-directory.ts';
import type { PrepareParts } from './prepare.ts';

export interface TenantVerification {
  /** Whether the tenant table still has it. */
  readonly exists: boolean;
  /** Rows per table, and keys under `redis`, that are there now; empty when nothing is left. */
  readonly residue: readonly Residue[];
}

/**
 * What is left of one tenant, by fresh queries over the live catalogue and one pass over Redis. Asks
 * no ledger, so it serves for a tenant that was purged by other means too. Reads only.
 */
export async function verifyTenant(
  parts: Pick<PrepareParts, 'database' | 'reader' | 'rules' | 'keyspace'>,
  tenantId: TenantId,
): Promise<TenantVerification> {
  const plan = await inTransaction(parts.database.pool, READ_ONLY, async (client) =>
    readPlan(client, parts.rules),
  );
  const exists = (await findTenants(parts.database.pool, plan.tenant, [tenantId])).length > 0;
  const rows = await parts.reader.residue(plan, tenantId);
  const keys = (await parts.keyspace?.count(new Set<string>([tenantId])))?.get(tenantId) ?? 0;
  return { exists, residue: keys > 0 ? [...rows, { table: 'redis', count: keys }] : rows };
}
