import type { Knobs } from '../../../src/domain/load.ts';
import { type EffectiveKnobs, effectiveKnobs } from '../../../src/engine/throttle.ts';
import { KNOB_BOUNDS, KNOB_NAMES } from '../../cli/knobs.ts';
import type { Visitor } from '../visitor.ts';
import { type Html, html } from './html.ts';
import { formatNumber } from './text.ts';

/** Knobs as far as each hand has turned them. */
export interface KnobsView {
  /** Of the purge itself; null on a page of all purges. */
  readonly own: Knobs | null;
  readonly fleet: Knobs;
  readonly configured: EffectiveKnobs;
}

export type TypedKnobs = Readonly<Partial<Record<keyof Knobs, string>>>;

interface TunePage {
  /** What is tuned, in words, e.g. `the purge of Northwind`. */
  readonly what: string;
  readonly knobs: KnobsView;
  /** The page of what is tuned; `/tune` and `/tune/clear` follow it. */
  readonly path: string;
  readonly visitor: Visitor;
  readonly typed: TypedKnobs;
  /** Why nothing was changed, or null. */
  readonly wrong: string | null;
}

/** What a knob is, in words. */
export const KNOB_LABELS: Readonly<Record<keyof Knobs, string>> = {
  maxRowsPerSec: 'Most rows per second of each purge',
  targetMs: 'Time of a batch, in ms',
  maxRows: 'Most rows of a batch',
};

/** On a live page, where a form would move under the finger whenever a section above it grows. */
export const paceSection = (knobs: KnobsView, path: string): Html => html`<h2>Pace</h2>
<section id="knobs" data-live class="wide">${knobsInForce(knobs)}</section>
<div class="actions"><a class="button" href="${path}/tune">Tune…</a></div>`;

/** The form, on a page that neither reloads nor moves. */
export const renderTunePage = (page: TunePage): Html => html`
<h1>Tune ${page.what}</h1>
<p class="dim">A field that is left empty changes nothing. A purge that is tuned by itself keeps its own, whatever all purges are given.</p>
${page.wrong === null ? null : html`<p class="wrong bad" role="alert">${page.wrong} Nothing was changed.</p>`}
<section id="knobs" class="wide">${knobsInForce(page.knobs)}</section>
${tuneForm(page)}
<p><a href="${page.path}">Go back</a></p>`;

/** What counts now and by whose hand; follows by itself on a live page. */
function knobsInForce({ own, fleet, configured }: KnobsView): Html {
  const counts = effectiveKnobs(own ?? {}, fleet, configured);
  const values: Readonly<Record<keyof Knobs, string>> = {
    maxRowsPerSec: counts.rowsPerSecMax === null ? 'no cap' : formatNumber(counts.rowsPerSecMax),
    targetMs: formatNumber(counts.targetMs),
    maxRows: formatNumber(counts.maxRows),
  };
  const from = (knob: keyof Knobs): string => {
    if (own?.[knob] !== undefined) return 'tuned for this purge';
    return fleet[knob] === undefined ? 'as configured' : 'tuned for all purges';
  };
  return html`<table><tr><th>knob</th><th class="number">in force</th><th></th></tr>${KNOB_NAMES.map(
    (knob) => html`<tr><td class="text">${KNOB_LABELS[knob]}</td>
<td class="number">${values[knob]}</td><td class="text dim">${from(knob)}</td></tr>`,
  )}</table>`;
}

/**
 * Fields begin empty, and an empty one changes nothing: no knob is turned back by a form that was
 * opened before somebody else turned it.
 */
function tuneForm({ path, visitor, typed }: TunePage): Html {
  const begin = visitor.role === 'operator' ? html`<fieldset>` : html`<fieldset disabled>`;
  return html`<form method="post" action="${path}/tune" autocomplete="off">${begin}<div class="knobs">${KNOB_NAMES.map(
    (
      knob,
    ) => html`<div><label for="${knob}">${KNOB_LABELS[knob]}${knob === 'maxRowsPerSec' ? ' (0: no cap)' : null}</label>
<input id="${knob}" name="${knob}" type="number" step="1" min="${KNOB_BOUNDS[knob].min}" max="${KNOB_BOUNDS[knob].max}" value="${typed[knob] ?? ''}"></div>`,
  )}</div>
<div class="actions"><button>Tune</button>
<button formaction="${path}/tune/clear" formnovalidate>Take all back</button></div></fieldset></form>`;
}
