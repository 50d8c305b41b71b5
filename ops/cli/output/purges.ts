import type { ErrorReport } from '../../../src/domain/errors.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { Residue } from '../../../src/domain/report.ts';

/** One purge in the JSON of `enqueue` and `status`; programs rely on its shape. */
interface PurgeDocument {
  readonly purgeId: string;
  readonly tenantId: string;
  readonly tenantLabel: string;
  readonly status: string;
  readonly stage: string;
  readonly rowsTotal: number;
  readonly rowsDeleted: number;
  readonly redisKeysDeleted: number;
  /** Where the purge was verified: what was found, empty for nothing. */
  readonly residue?: readonly Residue[];
  readonly error?: ErrorReport;
}

export const purgeDocument = (purge: PurgeRecord): PurgeDocument => ({
  purgeId: purge.id,
  tenantId: purge.tenantId,
  tenantLabel: purge.tenantLabel,
  status: purge.status,
  stage: purge.stage,
  rowsTotal: purge.rowsTotal,
  rowsDeleted: purge.rowsDeleted,
  redisKeysDeleted: purge.redisKeysDeleted,
  ...(['completed', 'incomplete'].includes(purge.status) ? { residue: purge.residue } : {}),
  ...(purge.error === null ? {} : { error: purge.error }),
});
