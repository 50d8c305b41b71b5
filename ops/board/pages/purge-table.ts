import type { PurgeStatus } from '../../../src/domain/purge.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { bar, gone, statusWord } from './elements.ts';
import { type Html, html } from './html.ts';
import { purgePath } from './links.ts';
import { plural } from './text.ts';

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

/** Purges, each with its bar; a bounded number. */
export function purgeTable(purges: readonly PurgeRecord[]): Html {
  if (purges.length === 0) return html`<p class="dim">None.</p>`;
  const sorted = purges.toSorted((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
  const more = sorted.length - SHOWN_MAX;
  return html`<table>
<tr><th>tenant</th><th>status</th><th>rows</th></tr>
${sorted.slice(0, SHOWN_MAX).map(purgeRow)}
</table>${more > 0 ? html`<p class="dim">… and ${plural(more, 'more purge')}; all of them: <code>tenant-purge status --json</code></p>` : null}`;
}

const purgeRow = (purge: PurgeRecord): Html => html`<tr>
<td class="text"><a href="${purgePath(purge.id)}">${purge.tenantLabel}</a></td>
<td>${statusWord(purge.status)}${purge.error === null ? null : html`<br><code>${purge.error.code}</code>`}</td>
<td class="text">${bar(purge.rowsDeleted, purge.rowsTotal, 'rows gone')}<br><span class="dim">${gone(purge.rowsDeleted, purge.rowsTotal)}</span></td>
</tr>`;
