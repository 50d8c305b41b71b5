import { EXIT } from '../../../src/domain/errors.ts';
import { isLive } from '../../../src/domain/purge.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { ThrottleStore } from '../../../src/postgres/ledger/throttle.ts';
import type { Answer, Session } from '../command.ts';
import type { LedgerView } from '../open.ts';
import { purgeDocument } from '../output/purges.ts';
import { renderPurge } from '../output/status.ts';
import { throttleDocument, throttleLines } from '../output/throttle.ts';
import { sleep } from '../wait.ts';
import { readPurgeDetail } from './purge-detail.ts';
import { type StatusParts, stopLines } from './status-parts.ts';
import { describeStopper } from './stop-wording.ts';

const LOOK_EVERY_MS = 500;

/** One purge in full; with `watch` once it has ended. */
export async function showPurge(
  session: Session,
  parts: StatusParts,
  found: PurgeRecord,
  { watch }: { readonly watch: boolean },
): Promise<Answer> {
  const { desk, ledger } = parts;
  const purge = watch ? await watchPurge(session, ledger, found) : found;
  const live = isLive(purge.status);
  const detail = await readPurgeDetail(parts, purge);
  const throttle = await new ThrottleStore(desk.database).read(purge.id);
  const stops = await ledger.commands.pendingStops({ kind: 'purge', id: purge.id });
  const control = await ledger.commands.readControl();
  const throttled = live ? throttleLines(throttle) : [];
  return {
    exitCode: session.io.interrupted.aborted ? EXIT.interrupted : EXIT.done,
    document: {
      campaignId: purge.campaignId,
      purges: [
        {
          ...purgeDocument(purge),
          archive: detail.archive?.state ?? null,
          level: purge.level,
          worker: purge.worker,
          waitsFor: purge.waitsFor,
          stop: stops[0] ?? null,
          ...throttleDocument(throttle),
          rowsPerSec: detail.rowsPerSec,
          tables: detail.tables,
          events: detail.events,
        },
      ],
      refused: [],
    },
    text:
      renderPurge(detail, session) +
      throttled.map((line) => `\n${line}`).join('') +
      stopLines(stops, desk.config.worker.lockMs) +
      (live && control.stopped
        ? `\nThe fleet is paused${describeStopper(control)}: nothing runs until \`resume --all\`.`
        : ''),
  };
}

/** Tells of each new status and stage. @returns the purge as it was when it ended, or at Ctrl-C */
async function watchPurge(
  session: Session,
  ledger: LedgerView,
  found: PurgeRecord,
): Promise<PurgeRecord> {
  let purge = found;
  while (isLive(purge.status) && !session.io.interrupted.aborted) {
    await sleep(LOOK_EVERY_MS, session.io.interrupted);
    const [now] = await ledger.purges.select({ kind: 'purge', id: purge.id });
    if (now === undefined) break;
    if (now.status !== purge.status || now.stage !== purge.stage) {
      session.note(`${now.status}, stage ${now.stage}, ${now.rowsDeleted} rows deleted`);
    }
    purge = now;
  }
  return purge;
}
