import type { Checkpoint } from '../domain/checkpoint.ts';
import { PurgeError } from '../domain/errors.ts';
import type { PurgeId, TenantId } from '../domain/ids.ts';
import type { PlanLevel, PlanStep } from '../domain/plan.ts';
import type { BatchRange, TableStep } from '../postgres/rows/change-statements.ts';
import type { Leaf } from '../postgres/rows/row-reader.ts';
import { stepKey } from '../postgres/rows/step-key.ts';
import { readFault } from '../postgres/sqlstate.ts';
import { chooseAccessPath } from './access-path.ts';
import { type BatchSizeLimits, halveBatchSize, nextBatchSize } from './batch-size.ts';
import { fenced } from './fenced.ts';
import { batchRowsUnder } from './pace.ts';
import type { Run } from './parts.ts';
import type { ProgressMeter } from './progress.ts';
import { withBackOff } from './retry.ts';
import { rowsRemain } from './rows-remain.ts';
import { checkControl } from './stop.ts';

/** Where a step of a level is carried out. */
export interface StepContext<Step extends PlanStep = TableStep> {
  readonly run: Run;
  readonly level: PlanLevel;
  readonly step: Step;
  readonly meter: ProgressMeter;
}

/** First batch of a table, before anything is known of its speed. */
const FIRST_BLOCKS = 128;
const FIRST_ROWS = 2_000;
/** Addresses fetched at once on the index path; about 10 MB. */
const PAGE_ROWS = 100_000;

/**
 * Carries out one step to its end: passes over the table, leaf by leaf, batch by batch, until a
 * fresh query finds nothing left to do. Goes on from `saved`, and restarts a leaf whose filenode has
 * changed (VACUUM FULL, CLUSTER): its block numbers mean other rows now.
 * @throws PurgeError ROWS_KEPT, RESIDUE, POISON_ROW; StopAsked; StaleFence; driver errors
 */
export async function runStep(context: StepContext, saved: Checkpoint | null): Promise<void> {
  const { run, step } = context;
  let checkpoint = saved;
  for (;;) {
    const pass = checkpoint?.pass ?? 1;
    const rowsBefore = checkpoint?.rows ?? 0;
    checkpoint = await runPass(context, pass, checkpoint);
    const left = await withBackOff(
      () => run.parts.reader.hasRows(step, whoOf(run)),
      () => checkControl(run.control),
    );
    if (!left) break;
    if (pass >= run.parts.limits.maxPasses)
      throw rowsRemain(run, step.table, checkpoint.rows > rowsBefore);
    checkpoint = { ...checkpoint, pass: pass + 1, nextBlock: 0, leaf: '' };
  }
  const done = checkpoint;
  await fenced(run, () => run.parts.rows.markDone(run.fence, step, done, run.parts.limits));
  await run.parts.failpoint('step-done');
}

async function runPass(
  context: StepContext,
  pass: number,
  saved: Checkpoint | null,
): Promise<Checkpoint> {
  const { run, step } = context;
  let checkpoint: Checkpoint = saved ?? {
    pass,
    leaf: '',
    filenode: 0,
    nextBlock: 0,
    done: false,
    rows: 0,
  };
  const leaves = await withBackOff(
    () => run.parts.reader.leaves(step),
    () => checkControl(run.control),
  );
  for (const leaf of leaves) {
    if (checkpoint.leaf !== '' && leaf.name < checkpoint.leaf) continue;
    const resumes = checkpoint.leaf === leaf.name && checkpoint.filenode === leaf.filenode;
    checkpoint = {
      ...checkpoint,
      pass,
      leaf: leaf.name,
      filenode: leaf.filenode,
      nextBlock: resumes ? checkpoint.nextBlock : 0,
    };
    const access = chooseAccessPath({
      ...leaf,
      tenantRows: Math.max(run.purge.rowsExpected[step.table] ?? 0, 0),
    });
    checkpoint =
      access === 'heap'
        ? await passOverHeap(context, leaf, checkpoint)
        : await passOverIndex(context, leaf, checkpoint);
  }
  return checkpoint;
}

/** Block range by block range to the end that the leaf had when the pass entered it. */
async function passOverHeap(
  context: StepContext,
  leaf: Leaf,
  start: Checkpoint,
): Promise<Checkpoint> {
  const { run, step } = context;
  const rowsPerBlock = leaf.estimatedRows > 0 ? Math.max(leaf.estimatedRows / leaf.blocks, 1) : 100;
  let size = FIRST_BLOCKS;
  let batches = 0;
  let checkpoint = start;
  while (checkpoint.nextBlock < leaf.blocks) {
    const sizeLimits = await admitBatch(context, leaf, rowsPerBlock);
    size = Math.min(size, sizeLimits.max);
    const from = checkpoint.nextBlock;
    const to = Math.min(from + size, leaf.blocks);
    const next = { ...checkpoint, nextBlock: to };
    const result = await runSizedBatch(context, leaf, { kind: 'blocks', from, to }, next);
    if (result.kind === 'too-slow') {
      const half = halveBatchSize(to - from, sizeLimits);
      if (half !== null) {
        size = half;
        continue;
      }
      // Too slow already: what is in it goes row by row, so that the row to blame has a name.
      const tids = await readTids(run, () =>
        run.parts.reader.tidsOfBlock(step, leaf.name, whoOf(run), from),
      );
      const rows = await deleteRows(context, leaf, tids, {
        checkpoint,
        size: 1,
        sizeMax: 1,
        batches: 0,
      });
      checkpoint = { ...rows.checkpoint, nextBlock: to };
      continue;
    }
    checkpoint = { ...next, rows: result.checkpointRows };
    batches += 1;
    // A short last range says nothing about the speed of a full one.
    if (to - from === size) size = nextBatchSize(size, { ...result, batches }, sizeLimits);
  }
  return checkpoint;
}

/** The rows' addresses from the tenant's index, in heap order, page by page. */
async function passOverIndex(
  context: StepContext,
  leaf: Leaf,
  start: Checkpoint,
): Promise<Checkpoint> {
  const { run, step } = context;
  let progress: RowProgress = {
    checkpoint: start,
    size: FIRST_ROWS,
    sizeMax: Number.POSITIVE_INFINITY,
    batches: 0,
  };
  for (;;) {
    const page = { fromBlock: progress.checkpoint.nextBlock, limit: PAGE_ROWS };
    const tids = await readTids(run, () =>
      run.parts.reader.tids(step, leaf.name, whoOf(run), page),
    );
    progress = await deleteRows(context, leaf, tids, progress);
    const { checkpoint } = progress;
    if (tids.length < PAGE_ROWS) return checkpoint;
    // A full page ended inside its last block, whose other rows the next page begins with. Only
    // rows that stay although they were deleted could keep it there.
    if (blockOf(tids.at(-1)) === page.fromBlock) return checkpoint;
  }
}

const readTids = (run: Run, read: () => Promise<string[]>): Promise<string[]> =>
  withBackOff(read, () => checkControl(run.control));

interface RowProgress {
  readonly checkpoint: Checkpoint;
  /** Rows of the next batch. */
  readonly size: number;
  readonly sizeMax: number;
  readonly batches: number;
}

/**
 * Batches over rows by their addresses. A checkpoint among them names their block: who goes on from it
 * asks for the block's rows again.
 * @throws PurgeError POISON_ROW with the key of a row that is too slow by itself
 */
async function deleteRows(
  context: StepContext,
  leaf: Leaf,
  tids: readonly string[],
  start: RowProgress,
): Promise<RowProgress> {
  let { checkpoint, size, batches } = start;
  for (let index = 0; index < tids.length; ) {
    const admitted = await admitBatch(context, leaf, 1);
    const sizeLimits = { ...admitted, max: Math.min(admitted.max, start.sizeMax) };
    size = Math.min(size, sizeLimits.max);
    const range: BatchRange = { kind: 'rows', tids: tids.slice(index, index + size) };
    const next = { ...checkpoint, nextBlock: blockOf(range.tids.at(-1)) };
    const result = await runSizedBatch(context, leaf, range, next);
    if (result.kind === 'too-slow') {
      const half = halveBatchSize(range.tids.length, sizeLimits);
      if (half === null) throw await poisonRow(context, leaf, range.tids[0] ?? '');
      size = half;
      continue;
    }
    checkpoint = { ...next, rows: result.checkpointRows };
    batches += 1;
    index += range.tids.length;
    if (range.tids.length === size) size = nextBatchSize(size, { ...result, batches }, sizeLimits);
  }
  return { ...start, checkpoint, size, batches };
}

/**
 * Holds until the next batch may start, and says how large it may be by the knobs that stand then.
 * @param rowsPerUnit rows in one of what the size counts: a block, or a row itself
 */
async function admitBatch(
  { run, step, meter }: StepContext,
  leaf: Leaf,
  rowsPerUnit: number,
): Promise<BatchSizeLimits> {
  const { throttle } = run.parts;
  await throttle.admit(run, meter, [...new Set([step.table, leaf.name])]);
  const { targetMs, maxRows, rowsPerSecMax } = throttle.knobs(run);
  const rows = batchRowsUnder(maxRows, rowsPerSecMax);
  return { targetMs, min: 1, max: Math.max(1, Math.floor(rows / rowsPerUnit)) };
}

type SizedResult =
  | { readonly kind: 'done'; readonly checkpointRows: number; readonly durationMs: number }
  | { readonly kind: 'too-slow' };

async function runSizedBatch(
  context: StepContext,
  leaf: Leaf,
  range: BatchRange,
  checkpoint: Checkpoint,
): Promise<SizedResult> {
  const { run, level, step, meter } = context;
  try {
    const result = await fenced(run, () =>
      run.parts.rows.runBatch({
        fence: run.fence,
        tenantId: run.purge.tenantId,
        stage: level.stage,
        level: level.name,
        step,
        leaf: leaf.name,
        range,
        checkpoint,
        limits: run.parts.limits,
        archive: run.archive?.sinkOf(stepKey(step), step.table) ?? null,
      }),
    );
    const deleted = step.kind === 'delete' ? result.rows : 0;
    run.parts.throttle.spend(run, result.rows);
    meter.add(step.table, deleted);
    await run.parts.failpoint('batch-committed');
    return {
      kind: 'done',
      checkpointRows: checkpoint.rows + deleted,
      durationMs: result.durationMs,
    };
  } catch (error) {
    if (readFault(error).faultClass === 'shrink') return { kind: 'too-slow' };
    throw error;
  }
}

/** The same oversized batch is never tried again unchanged: a single row too slow ends the purge. */
async function poisonRow({ run, step }: StepContext, leaf: Leaf, tid: string): Promise<PurgeError> {
  const { reader, limits } = run.parts;
  const row = await withBackOff(
    () => reader.nameRow(leaf.name, tid, step.kind === 'delete' ? step.primaryKey : null),
    () => checkControl(run.control),
  );
  const verb = step.kind === 'delete' ? 'deleted' : 'changed';
  return new PurgeError(
    'POISON_ROW',
    `Purge ${run.purge.id}: the row ${row} of ${leaf.name} cannot be ${verb} within ${limits.statementTimeoutMs} ms.`,
    {
      details: { table: step.table, leaf: leaf.name, row },
      remedy: `See what its delete sets off: a trigger of ${step.table}, or a key that refers to it without an index. Mend that, or raise batch.statementTimeoutMs above ${limits.statementTimeoutMs}; then enqueue again.`,
    },
  );
}

const whoOf = ({ purge }: Run): { tenantId: TenantId; purgeId: PurgeId } => ({
  tenantId: purge.tenantId,
  purgeId: purge.id,
});

const blockOf = (tid: string | undefined): number => Number(tid?.slice(1).split(',')[0] ?? 0);
