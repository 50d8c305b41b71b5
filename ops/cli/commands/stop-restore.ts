import { EXIT, PurgeError } from '../../../src/domain/errors.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { Target } from '../../../src/engine/campaign/find-target.ts';
import { RESTORE_SILENT_MS } from '../../../src/engine/restore/hold.ts';
import { RestoreStore } from '../../../src/postgres/restore/restore-store.ts';
import type { Answer, Session } from '../command.ts';
import { operatorIdentity } from '../operator.ts';
import { renderRestore } from '../output/restore.ts';
import { formatNumber } from '../output/text.ts';
import type { LedgerDesk } from './ledger-desk.ts';
import { restoreOne } from './restore.ts';

const LOOK_EVERY_MS = 200;

/** Stops a restore after the batch in hand; the purge stays `restoring`, and `restore` goes on. */
export async function stopRestore(
  { database }: LedgerDesk,
  purge: PurgeRecord,
  { waitMs }: { readonly waitMs: number },
): Promise<Answer> {
  const store = new RestoreStore(database);
  const deadline = performance.now() + waitMs;
  let record = await store.askStop(purge.id, operatorIdentity());
  const isHeld = (): boolean =>
    record !== null &&
    record.held &&
    record.endedAt === null &&
    record.silentMs < RESTORE_SILENT_MS;
  while (isHeld() && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    record = await store.find(purge.id);
  }
  const pending = isHeld();
  const rows = formatNumber(record?.rowsRestored ?? 0);
  const ended = record?.endedAt != null;
  return {
    exitCode: EXIT.done,
    document: { command: 'pause', purgeId: purge.id, restore: record, pending: pending ? 1 : 0 },
    text: ended
      ? `The restore of purge ${purge.id} had ended: ${rows} rows are back.`
      : pending
        ? `The restore of purge ${purge.id} was asked to stop; ${record?.holder ?? 'its process'} has a batch in hand.`
        : `The restore of purge ${purge.id} has stopped: ${rows} rows are back.\nGo on with: tenant-purge restore ${purge.id}`,
  };
}

/** The second half of `cancel --restore`: what is cancelled now is put back. */
export async function undo(
  session: Session,
  desk: LedgerDesk,
  {
    stopped,
    purges,
    target,
  }: {
    readonly stopped: Answer;
    readonly purges: readonly PurgeRecord[];
    readonly target: Target | null;
  },
): Promise<Answer> {
  const [purge] = purges;
  if (target?.kind !== 'purge' || purge === undefined) {
    throw new PurgeError('USAGE', 'cancel --restore takes one purge or tenant, not a campaign.', {
      remedy: 'The campaign is cancelled; restore its purges one after the other.',
    });
  }
  // It failed or was refused before it could be cancelled: that is undone just as well.
  if (stopped.exitCode !== EXIT.done && purge.status !== 'failed') return stopped;
  const report = await restoreOne(session, desk, purge, {
    into: null,
    dryRun: false,
    rules: null,
    confirmation: null,
    waitMs: 0,
  });
  return {
    exitCode: EXIT.done,
    document: { cancel: stopped.document, restore: report },
    text: [stopped.text, renderRestore(report, session)].filter((text) => text !== '').join('\n'),
  };
}
