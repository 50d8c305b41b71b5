import type { Holding } from '../../../src/domain/load.ts';
import type { PurgeStatus } from '../../../src/domain/purge.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { Holdings } from '../../../src/postgres/ledger/throttle.ts';
import { bar, gone, statusWord } from './elements.ts';
import { type Html, html } from './html.ts';
import { purgePath } from './links.ts';
import { formatTime, plural } from './text.ts';

const SHOWN_MAX = 100;

/** What needs eyes first: trouble, then what moves, then what waits, then what is done. */
const ORDER: readonly PurgeStatus[] = [
  'failed',
  'refused',
  'incomplete',
  'interrupted',
  'cancelling',
  'pausing',
  'running',
  'restoring',
  'paused',
  'queued',
  'scheduled',
  'planned',
  'cancelled',
  'restored',
  'completed',
];

/** Purges, each with its bar and why it holds, if it does; a bounded number. */
export function purgeTable(purges: readonly PurgeRecord[], holdings: Holdings): Html {
  if (purges.length === 0) return html`<p class="dim">None.</p>`;
  const sorted = purges.toSorted((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
  const more = sorted.length - SHOWN_MAX;
  return html`<table>
<tr><th>tenant</th><th>status</th><th>rows</th></tr>
${sorted.slice(0, SHOWN_MAX).map((purge) => purgeRow(purge, holdings.get(purge.id) ?? null))}
</table>${more > 0 ? html`<p class="dim">… and ${plural(more, 'more purge')}; all of them: <code>tenant-purge status --json</code></p>` : null}`;
}

const purgeRow = (purge: PurgeRecord, holding: Holding | null): Html => html`<tr>
<td class="text"><a href="${purgePath(purge.id)}">${purge.tenantLabel}</a></td>
<td>${statusWord(purge.status)}${purge.error === null ? null : html`<br><code>${purge.error.code}</code>`}</td>
<td class="text">${bar(purge.rowsDeleted, purge.rowsTotal, 'rows gone')}<br><span class="dim">${gone(purge.rowsDeleted, purge.rowsTotal)}</span>${holding === null ? null : html`<br><span class="holds">holds since ${formatTime(holding.since)}: ${holding.reasons.join('; ')}</span>`}</td>
</tr>`;
