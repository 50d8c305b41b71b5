import type { Residue } from '../../domain/report.ts';
import type { Run } from '../parts.ts';
import { withBackOff } from '../retry.ts';
import { checkControl } from '../stop.ts';

/**
 * What is left of the tenant, by fresh queries over the live catalogue, never from the ledger: a
 * table that came during the purge is looked at too. Redis keys as the sweep's last pass counted
 * them, after the last UNLINK.
 */
export async function findResidue(run: Run): Promise<Residue[]> {
  const residue = await withBackOff(
    async () => run.parts.reader.residue(await run.parts.livePlan.current(), run.purge.tenantId),
    () => checkControl(run.control),
  );
  return run.purge.redisResidue > 0
    ? [...residue, { table: 'redis', count: run.purge.redisResidue }]
    : residue;
}
