import type { CampaignId, PurgeId } from '../../src/domain/ids.ts';
import { appendEvent } from '../../src/postgres/ledger/events.ts';
import type { BoardParts } from './parts.ts';
import { actorOf, currentVisitor } from './visitor.ts';

/** What was clicked, where the ledger's own commands write no event of it. */
interface Click {
  /** In the words of the other events, e.g. `promote asked`. */
  readonly kind: string;
  readonly purgeId?: PurgeId | null;
  readonly campaignId?: CampaignId | null;
  readonly details?: Readonly<Record<string, string>>;
}

/** Longest text of an event's detail; some are what a browser sent. */
const TEXT_MAX = 500;

/** Appends a click to the ledger's events, under the visitor's name. Not idempotent. */
export async function recordClick(parts: BoardParts, click: Click): Promise<void> {
  const details = Object.entries(click.details ?? {}).map(([key, text]) => [
    key,
    text.slice(0, TEXT_MAX),
  ]);
  await appendEvent(parts.database.ledger, {
    kind: click.kind,
    actor: actorOf(currentVisitor()),
    purgeId: click.purgeId ?? null,
    campaignId: click.campaignId ?? null,
    details: Object.fromEntries(details),
  });
}

/** What was refused must not be let through, nor answered otherwise, because the ledger is away. */
export async function recordRefusal(
  parts: BoardParts,
  refusal: { readonly asked: string; readonly reason: string; readonly purgeId: PurgeId | null },
): Promise<void> {
  const { asked, reason, purgeId } = refusal;
  try {
    await recordClick(parts, {
      kind: 'board action refused',
      purgeId,
      details: { asked, reason },
    });
  } catch (error) {
    parts.log.error({ err: error, asked, reason }, 'a refused click could not be recorded');
  }
}
