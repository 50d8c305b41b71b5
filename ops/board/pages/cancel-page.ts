import { CANNOT_BE_UNDONE } from '../../../src/domain/confirmation.ts';
import { type Html, html } from './html.ts';

export interface CancelPage {
  /** What is to be cancelled, in words, e.g. `the purge of Northwind`. */
  readonly what: string;
  /** How far it is. */
  readonly stands: string;
  /** What must be typed, and what it is, e.g. `the tenant's id`. */
  readonly phrase: string;
  readonly phraseIs: string;
  /** Where to post it, and where to go instead. */
  readonly path: string;
  readonly back: string;
  readonly archive: boolean;
  /** What was typed before, when it was something else; else null. */
  readonly typed: string | null;
}

const CAN_BE_RESTORED = 'The archive can bring it back afterwards: tenant-purge restore.';

/** Asks once more, on a page that never reloads by itself. */
export function renderCancel(page: CancelPage): Html {
  return html`
<h1>Cancel ${page.what}?</h1>
<p>${page.stands}</p>
<div class="state bad"><p>It ends within one batch and is not resumed. What is gone stays gone; the rest remains, half
a tenant. To stop for a while, <a href="${page.back}">go back</a> and pause. ${page.archive ? CAN_BE_RESTORED : CANNOT_BE_UNDONE}</p></div>
${page.typed === null ? null : html`<p class="wrong bad" role="alert">That was not ${page.phraseIs}. Nothing was cancelled.</p>`}
<form method="post" action="${page.path}" autocomplete="off">
<label for="phrase">Type ${page.phraseIs}, <code>${page.phrase}</code></label>
<input id="phrase" name="phrase" value="${page.typed ?? ''}" spellcheck="false" autocapitalize="off" autofocus required>
<div class="actions"><button class="danger">Cancel ${page.what}</button><a class="button" href="${page.back}">Go back</a></div>
</form>`;
}
