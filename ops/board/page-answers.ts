import type { Request, Response } from 'express';
import { asCampaignId, asPurgeId, isUuid } from '../../src/domain/ids.ts';
import type { CampaignRecord, PurgeRecord } from '../../src/domain/records.ts';
import type { Html } from './pages/html.ts';
import { renderMessage, renderPage } from './pages/layout.ts';
import type { BoardParts } from './parts.ts';
import { currentVisitor } from './visitor.ts';

/** Answers with a page of ours, which nobody may keep. */
export function sendPage(
  parts: BoardParts,
  response: Response,
  page: { readonly title: string; readonly live: boolean; readonly main: Html },
): void {
  const frame = { ...page, environment: parts.config.environment, visitor: currentVisitor() };
  response.set('Cache-Control', 'no-store').type('html').send(renderPage(frame, page.main));
}

export const notFound = (response: Response, what: string): void =>
  void response
    .status(404)
    .type('html')
    .send(renderMessage('Not found', `The ledger knows no such ${what}.`));

/** The id in the address, null where it is none. */
export function idOf(request: Request): string | null {
  const id = String(request.params['id']).toLowerCase();
  return isUuid(id) ? id : null;
}

export async function purgeOf(parts: BoardParts, request: Request): Promise<PurgeRecord | null> {
  const id = idOf(request);
  return id === null ? null : parts.purges.find(asPurgeId(id));
}

export async function campaignOf(
  parts: BoardParts,
  request: Request,
): Promise<CampaignRecord | null> {
  const id = idOf(request);
  return id === null ? null : parts.campaigns.find(asCampaignId(id));
}

/** What the next page has to say of a click besides how things stand. */
export type Came = 'late' | 'untold' | 'idle' | 'tuned';

/** Words of ours only: what stands in an address may have been written by anybody. */
export function noticeOf(request: Request): string | null {
  switch (request.query['came']) {
    case 'late':
      return 'It was asked for, and not confirmed in time. What stands below is what the ledger says.';
    case 'untold':
      return 'The ledger holds it. The queue does not know yet, and is told once Redis answers; until then Bull Board shows the old state.';
    case 'idle':
      return 'There was nothing to do: the status below allows no such thing, or it was so already.';
    case 'tuned':
      return 'The ledger holds the knobs that stand below. Workers follow within about a second.';
    default:
      return null;
  }
}

/** One field of a form, without the blanks around it; empty where the form has no such field. */
export function fieldOf(request: Request, name: string): string {
  const body: unknown = request.body;
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return '';
  // Twice the same field is a list, which no field of ours takes.
  return String((body as Record<string, unknown>)[name]).trim();
}
