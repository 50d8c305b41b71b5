import { PurgeError } from '../../domain/errors.ts';
import type { RestoreHold } from '../../domain/restore.ts';
import type { RestoreStore } from '../../postgres/restore/restore-store.ts';
import { stopAsked } from './restore-run.ts';

/** A holder that is silent for longer is taken to be dead. */
export const RESTORE_SILENT_MS = 15_000;
const BEAT_MS = 2_000;

/**
 * Shows signs of life while a restore is under way, and hears of stops: its signal is aborted when the
 * caller's is, when a stop was asked for, and when another process holds the restore. A beat that fails
 * says nothing: the next batch finds out whether the database is there.
 */
export function keepHold(
  store: RestoreStore,
  hold: RestoreHold,
  interrupted: AbortSignal,
): { readonly signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  // Some who interrupt say why; Ctrl-C does not.
  const stop = (): void =>
    controller.abort(
      interrupted.reason instanceof PurgeError ? interrupted.reason : stopAsked(hold.purgeId),
    );
  if (interrupted.aborted) stop();
  else interrupted.addEventListener('abort', stop, { once: true });
  const beat = async (): Promise<void> => {
    const isOurs = await store.beat(hold);
    if (isOurs) return;
    const record = await store.find(hold.purgeId);
    if (record?.epoch === hold.epoch) stop();
    else {
      controller.abort(
        new PurgeError('STALE_FENCE', `Another process restores purge ${hold.purgeId} now.`),
      );
    }
  };
  const timer = setInterval(() => void beat().catch(() => undefined), BEAT_MS);
  return {
    signal: controller.signal,
    end: () => {
      clearInterval(timer);
      interrupted.removeEventListener('abort', stop);
    },
  };
}
