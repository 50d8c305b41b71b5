import type { PurgeStatus } from '../../../src/domain/purge.ts';
import { PURGE_STATUSES } from '../../../src/domain/purge.ts';
import type { StatusCount } from '../../../src/postgres/ledger/purges.ts';
import { type Html, html } from './html.ts';
import { type Statement, TONES } from './state.ts';
import { formatNumber, percentOf } from './text.ts';

export const statusWord = (status: PurgeStatus): Html =>
  html`<span class="word ${TONES[status]}">${status}</span>`;

export const statement = ({ tone, word, sentence }: Statement): Html =>
  html`<div class="state ${tone}" role="status"><strong>${word}</strong><p>${sentence}</p></div>`;

/** `bar` for a machine's eye and a reader's: the figures stand beside it, always. */
export const bar = (done: number, total: number, label: string): Html =>
  html`<progress value="${percentOf(done, total) ?? 0}" max="100" aria-label="${label}"></progress>`;

/** `1,204 of 2,520 rows gone, 1,316 remain (47 %)`. */
export function gone(deleted: number, expected: number): string {
  const percent = percentOf(deleted, expected);
  const share = percent === null ? '' : ` (${percent} %)`;
  return `${formatNumber(deleted)} of ${formatNumber(expected)} rows gone, ${formatNumber(Math.max(0, expected - deleted))} remain${share}`;
}

interface Action {
  readonly label: string;
  readonly path: string;
  readonly enabled: boolean;
}

/** A click that changes something: a form of its own, so that it works without JavaScript. */
export const postButton = ({ label, path, enabled }: Action): Html =>
  html`<form method="post" action="${path}">${enabled ? html`<button>${label}</button>` : html`<button disabled>${label}</button>`}</form>`;

/** Leads to a page that asks again. */
export const dangerLink = ({ label, path, enabled }: Action): Html =>
  enabled
    ? html`<a class="button danger" href="${path}">${label}</a>`
    : html`<span class="button danger" aria-disabled="true">${label}</span>`;

export const figure = (name: string, value: string | null): Html | null =>
  value === null ? null : html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

/** `2 running, 16 queued`, each in its colour. */
export function countedStatuses(counts: readonly StatusCount[]): Html {
  const found = PURGE_STATUSES.flatMap((status) => {
    const purges = counts
      .filter((count) => count.status === status)
      .reduce((sum, count) => sum + count.purges, 0);
    return purges === 0 ? [] : [html`${formatNumber(purges)} ${statusWord(status)}`];
  });
  return found.length === 0
    ? html`none`
    : html`${found.map((part, index) => (index === 0 ? part : html`, ${part}`))}`;
}
