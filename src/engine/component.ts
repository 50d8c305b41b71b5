import type { Checkpoint } from '../domain/checkpoint.ts';
import { PurgeError } from '../domain/errors.ts';
import type { ComponentStep, DeleteStep } from '../domain/plan.ts';
import { stepKey } from '../postgres/rows/step-key.ts';
import { readFault } from '../postgres/sqlstate.ts';
import type { StepContext } from './batch-loop.ts';
import { fenced } from './fenced.ts';
import { withBackOff } from './retry.ts';
import { rowsRemain } from './rows-remain.ts';
import { checkControl } from './stop.ts';

const START: Checkpoint = { pass: 1, leaf: '', filenode: 0, nextBlock: 0, done: false, rows: 0 };

/**
 * Empties the tables of a circle, all in one transaction, again where rows have arrived meanwhile,
 * until fresh queries find none in any of them. A process that dies begins the pass again; one that
 * has committed finds nothing left.
 * @throws PurgeError POISON_ROW where one transaction is too slow: it cannot be made smaller, and is
 *   not tried again; RESIDUE, ROWS_KEPT; StopAsked; StaleFence; driver errors
 */
export async function emptyComponent(
  context: StepContext<ComponentStep>,
  saved: Checkpoint | null,
): Promise<void> {
  const { run, step } = context;
  let checkpoint = saved ?? START;
  for (;;) {
    const rows = await runPass(context, checkpoint);
    checkpoint = { ...checkpoint, rows: checkpoint.rows + rows };
    const left = await firstWithRows(context);
    if (left === null) break;
    if (checkpoint.pass >= run.parts.limits.maxPasses) throw rowsRemain(run, left.table, rows > 0);
    checkpoint = { ...checkpoint, pass: checkpoint.pass + 1 };
  }
  const done = checkpoint;
  await fenced(run, () => run.parts.rows.markDone(run.fence, step, done, run.parts.limits));
  await run.parts.failpoint('step-done');
}

async function runPass(
  { run, level, step, meter }: StepContext<ComponentStep>,
  checkpoint: Checkpoint,
): Promise<number> {
  const { limits, throttle } = run.parts;
  await throttle.admit(
    run,
    meter,
    step.deletes.map(({ table }) => table),
  );
  try {
    const { rows } = await fenced(run, () =>
      run.parts.rows.runComponent({
        fence: run.fence,
        tenantId: run.purge.tenantId,
        stage: level.stage,
        level: level.name,
        step,
        checkpoint,
        limits,
        archive: run.archive?.sinkOf(stepKey(step), step.table) ?? null,
      }),
    );
    throttle.spend(run, rows);
    meter.add(step.table, rows);
    await run.parts.failpoint('batch-committed');
    return rows;
  } catch (error) {
    if (readFault(error).faultClass !== 'shrink') throw error;
    const tables = step.deletes.map(({ table }) => table);
    const what =
      tables.length === 1
        ? `${tables[0]} refers to itself, so all of the tenant's rows of it must go at once; that took`
        : `${tables.join(', ')} refer to each other in a circle, so all of the tenant's rows of them must go at once; that took`;
    throw new PurgeError(
      'POISON_ROW',
      `Purge ${run.purge.id}: ${what} longer than ${limits.statementTimeoutMs} ms and was rolled back.`,
      {
        details: { tables, statementTimeoutMs: limits.statementTimeoutMs },
        remedy: `Raise batch.statementTimeoutMs above ${limits.statementTimeoutMs}, then enqueue again.`,
        cause: error,
      },
    );
  }
}

async function firstWithRows({
  run,
  step,
}: StepContext<ComponentStep>): Promise<DeleteStep | null> {
  const who = { tenantId: run.purge.tenantId, purgeId: run.purge.id };
  for (const part of step.deletes) {
    const left = await withBackOff(
      () => run.parts.reader.hasRows(part, who),
      () => checkControl(run.control),
    );
    if (left) return part;
  }
  return null;
}
