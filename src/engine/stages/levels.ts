import type { Checkpoint } from '../../domain/checkpoint.ts';
import { PurgeError } from '../../domain/errors.ts';
import { deletesOf, type PlanLevel, type PlanStep } from '../../domain/plan.ts';
import { stepKey } from '../../postgres/rows/step-key.ts';
import { readFault } from '../../postgres/sqlstate.ts';
import { runStep } from '../batch-loop.ts';
import { emptyComponent } from '../component.ts';
import { atTable } from '../fault-place.ts';
import type { Run } from '../parts.ts';
import type { ProgressMeter } from '../progress.ts';
import { meansReference, withBackOff } from '../retry.ts';
import { checkControl, whyNotWritten } from '../stop.ts';
import { findStrangers } from '../strangers.ts';
import { refuseProtected } from './quiesce.ts';

/**
 * Rows that the application inserts while the purge runs appear in levels that are done; the next
 * level then fails on a foreign key, or by the guard where the key cascades. So often all levels are
 * walked again.
 */
const WALKS_MAX = 3;

/**
 * Deletes level by level, the tables of a level side by side. Goes on from the checkpoints that the
 * ledger holds; a walk after the first looks at every table afresh.
 */
export async function deleteLevels(
  run: Run,
  meter: ProgressMeter,
  from: 'checkpoints' | 'afresh' = 'checkpoints',
): Promise<void> {
  let saved: ReadonlyMap<string, Checkpoint> =
    from === 'checkpoints'
      ? await withBackOff(
          () => run.parts.reader.checkpoints(run.purge.id),
          () => checkControl(run.control),
        )
      : new Map();
  for (let walk = 1; ; walk += 1) {
    try {
      for (const level of run.plan.levels) await deleteLevel(run, meter, level, saved);
      return;
    } catch (error) {
      if (!meansReference(error)) throw error;
      if (walk >= WALKS_MAX) throw (await rowsKeptArriving(run)) ?? error;
      if (await strangersRefer(run)) throw error;
      saved = new Map();
      run.parts.log.warn(
        { purgeId: run.purge.id, walk, constraint: readFault(error).constraint },
        'rows arrived in a level that was done; walking the levels again',
      );
    }
  }
}

/** Rows that are not part of the purge: no walk would move them. `settle` names them. */
async function strangersRefer({ parts, purge }: Run): Promise<boolean> {
  const plan = await parts.livePlan.current();
  return (await findStrangers(parts, plan, purge.tenantId)).length > 0;
}

/** Late rows of the tenant itself in tables that were empty before, or null where there are none. */
async function rowsKeptArriving(run: Run): Promise<PurgeError | null> {
  const checkpoints = await run.parts.reader.checkpoints(run.purge.id);
  const done = new Set(
    run.plan.levels
      .flatMap(({ steps }) => steps)
      .filter((step) => checkpoints.get(stepKey(step))?.done === true)
      .flatMap(deletesOf)
      .map(({ table }) => table as string),
  );
  const residue = await run.parts.reader.residue(run.plan, run.purge.tenantId);
  const late = residue.filter(({ table }) => done.has(table));
  if (late.length === 0) return null;
  const tables = late.map(({ table }) => table).join(', ');
  return new PurgeError(
    'RESIDUE',
    `Purge ${run.purge.id}: rows of ${tables} kept arriving for ${WALKS_MAX} walks over all levels.`,
    { details: { tables: late } },
  );
}

async function deleteLevel(
  run: Run,
  meter: ProgressMeter,
  level: PlanLevel,
  saved: ReadonlyMap<string, Checkpoint>,
): Promise<void> {
  const open = level.steps.filter((step) => saved.get(stepKey(step))?.done !== true);
  if (open.length === 0) return;
  await refuseProtected(run, meter);
  await enterLevel(run, meter, level);
  // Clearing references comes first: it is what makes the deletes of the level possible.
  for (const clears of [true, false]) {
    const steps = open.filter((step) => (step.kind === 'clear') === clears);
    await sideBySide(steps, run.parts.limits.connections, (step) => {
      const checkpoint = saved.get(stepKey(step)) ?? null;
      return atTable(step.table, () =>
        step.kind === 'component'
          ? emptyComponent({ run, level, step, meter }, checkpoint)
          : runStep({ run, level, step, meter }, checkpoint),
      );
    });
  }
}

async function enterLevel(run: Run, meter: ProgressMeter, level: PlanLevel): Promise<void> {
  const written = await run.parts.purges.write(
    run.fence,
    'running',
    { stage: level.stage, level: level.name, rowsDeleted: meter.rowsDeleted },
    { kind: 'level entered', details: { stage: level.stage, level: level.name } },
  );
  // Not running any more: the stop that was asked for the end of the level before.
  if (written?.status !== 'running') throw await whyNotWritten(run);
  await run.parts.failpoint('level-entered');
  meter.enter(level.stage, level.name);
  run.control.onMilestone(
    `Level ${level.name}: ${level.steps.map((step) => step.table).join(', ')}`,
  );
}

/**
 * Works through `items` on `lanes` at once. When one fails the others finish the item they are at,
 * so that nothing runs on after the error has risen.
 */
async function sideBySide(
  items: readonly PlanStep[],
  lanes: number,
  work: (item: PlanStep) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      try {
        await work(item);
      } catch (error) {
        failures.push(error);
        queue.length = 0;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
}
