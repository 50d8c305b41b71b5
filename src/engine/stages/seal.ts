import { PurgeError } from '../../domain/errors.ts';
import type { Outcome } from '../../domain/outcome.ts';
import type { Residue } from '../../domain/report.ts';
import type { Run } from '../parts.ts';
import type { ProgressMeter } from '../progress.ts';
import { makePurgeReport } from '../purge-report.ts';
import { whyNotWritten } from '../stop.ts';
import { nameWriters } from './late-writers.ts';
import { deleteLevels } from './levels.ts';
import { findResidue } from './verify.ts';

/** Rows that arrived during the purge get this many more walks before they are reported. */
const EXTRA_WALKS_MAX = 2;

/**
 * Verifies and writes the final status: `completed` when a fresh look finds nothing of the tenant,
 * `incomplete` with the list otherwise.
 * @throws StopAsked, StaleFence when the purge was stopped or taken meanwhile
 */
export async function seal(run: Run, meter: ProgressMeter): Promise<Outcome> {
  meter.enter('verify', null);
  let residue = await findResidue(run);
  for (let walk = 1; walk <= EXTRA_WALKS_MAX && residue.some(isRow); walk += 1) {
    run.control.onMilestone(`Rows arrived during the purge; walk ${walk} over all levels again`);
    await deleteLevels(run, meter, 'afresh');
    residue = await findResidue(run);
  }
  await run.parts.failpoint('before-seal');
  const complete = residue.length === 0;
  const error = complete
    ? null
    : (await nameWriters(run, leftOver(run, residue), residue)).toReport();
  const sealed = await run.parts.purges.write(
    run.fence,
    complete ? 'completed' : 'incomplete',
    { stage: 'seal', level: null, rowsDeleted: meter.rowsDeleted, residue, error, ended: true },
    { kind: complete ? 'completed' : 'incomplete', details: { rows: meter.rowsDeleted } },
  );
  if (sealed === null) throw await whyNotWritten(run);
  await run.parts.failpoint('sealed');
  meter.enter('seal', null);
  const report = await makePurgeReport(run.parts, sealed, residue);
  return error === null ? { kind: 'completed', report } : { kind: 'incomplete', report, error };
}

const leftOver = ({ purge }: Run, residue: readonly Residue[]): PurgeError =>
  new PurgeError(
    'RESIDUE',
    `Purge ${purge.id}: ${residue.map(({ table, count }) => `${table} ${count}`).join(', ')} left of tenant ${purge.tenantId}.`,
    { details: { residue } },
  );

const isRow = ({ table }: { readonly table: string }): boolean => table !== 'redis';
