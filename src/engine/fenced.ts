import { PurgeError } from '../domain/errors.ts';
import type { Run } from './parts.ts';
import { passesUnder, withBackOff } from './retry.ts';
import { checkControl, translateSignal } from './stop.ts';

/**
 * A row that was to go and is still there may be new: the application added it between the delete
 * and the look. So often a batch is tried; the same row twice is one that something keeps.
 */
const TRIES_MAX = 3;

/**
 * A fenced transaction with everything around it: stop check, fault point, back-off, one more try
 * where a row stayed, our own signals as errors of their own.
 * @throws StopAsked, StaleFence, InterruptedRun; PurgeError ROWS_KEPT; what `work` throws besides
 */
export async function fenced<Result>(run: Run, work: () => Promise<Result>): Promise<Result> {
  let rowBefore: unknown = null;
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt(run, work);
    } catch (error) {
      const row = keptRow(error);
      if (row === null || row === rowBefore || tries >= TRIES_MAX) throw translateSignal(error);
      rowBefore = row;
    }
  }
}

const attempt = <Result>(run: Run, work: () => Promise<Result>): Promise<Result> =>
  withBackOff(
    async () => {
      await checkControl(run.control);
      await run.parts.failpoint('before-batch');
      return work();
    },
    () => checkControl(run.control),
    passesUnder(run.parts.limits.statementTimeoutMs),
  );

const keptRow = (error: unknown): unknown =>
  error instanceof PurgeError && error.code === 'ROWS_KEPT' ? (error.details['row'] ?? null) : null;
