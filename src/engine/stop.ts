import { readFault } from '../postgres/sqlstate.ts';
import type { Run, RunControl } from './parts.ts';

/** A stop was asked for: in the ledger, by a paused queue, or by the shutdown of this process. */
export class StopAsked extends Error {
  override readonly name = 'StopAsked';
}

/** Another worker holds the purge: nothing more may be written under this fence. */
export class StaleFence extends Error {
  override readonly name = 'StaleFence';
}

/** @throws StopAsked for a reason outside the ledger; the ledger's own is checked in each batch */
export async function checkControl(control: RunControl): Promise<void> {
  const reason = await control.stopReason();
  if (reason !== null) throw new StopAsked(reason);
}

/** The signals that `enter_batch` sends, as errors of their own; any other error as it is. */
export function translateSignal(error: unknown): unknown {
  const fault = readFault(error);
  if (fault.faultClass === 'stale') return new StaleFence(fault.message, { cause: error });
  if (fault.faultClass === 'stop') return new StopAsked(fault.message, { cause: error });
  return error;
}

/** Why the ledger took no write of this holder: the fence is stale, or a stop was asked for. */
export async function whyNotWritten(run: Run): Promise<StaleFence | StopAsked> {
  const now = await run.parts.purges.find(run.purge.id);
  return now?.fence === run.fence.epoch
    ? new StopAsked(`purge is ${now.status}`)
    : new StaleFence('another worker holds the purge');
}
