import { findMove, type MovedSequence, moveSequence } from '../../postgres/restore/sequences.ts';
import type { RestoreRun } from './restore-run.ts';

/** Moves the sequences of restored columns on where a value came back that they have yet to give out. */
export async function moveSequences(run: RestoreRun): Promise<MovedSequence[]> {
  const needed = await run.sessions.look(async (session) => {
    const found: { readonly sequence: string; readonly value: string }[] = [];
    for (const { target, deleted } of run.tables) {
      if (deleted.length === 0) continue;
      for (const { sequence, column } of target.sequences) {
        run.signal.throwIfAborted();
        const value = await findMove(session, target, { sequence, column });
        if (value !== null) found.push({ sequence, value });
      }
    }
    return found;
  });
  const moved: MovedSequence[] = [];
  if (needed.length === 0) return moved;
  await run.sessions.batch(run.hold, async (session) => {
    for (const { sequence, value } of needed) {
      const result = await moveSequence(session, sequence, value);
      if (result !== null) moved.push(result);
    }
  });
  return moved;
}
