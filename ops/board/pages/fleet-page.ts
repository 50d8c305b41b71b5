import type { CampaignRecord, PurgeRecord } from '../../../src/domain/records.ts';
import type { Holdings } from '../../../src/postgres/ledger/throttle.ts';
import type { FleetState, PurgesFigures } from '../figures.ts';
import type { Visitor } from '../visitor.ts';
import { countedStatuses, postButton, statement } from './elements.ts';
import { type Html, html } from './html.ts';
import { campaignPath, fleetPath } from './links.ts';
import { purgeTable } from './purge-table.ts';
import { describeFleet } from './state.ts';
import { formatNumber, formatTime } from './text.ts';
import { type KnobsView, paceSection } from './tune-form.ts';

interface FleetView {
  readonly fleet: FleetState;
  readonly live: readonly PurgeRecord[];
  readonly liveFigures: PurgesFigures;
  readonly holdings: Holdings;
  readonly knobs: KnobsView;
  /** Newest first, a bounded number. */
  readonly campaigns: readonly {
    readonly campaign: CampaignRecord;
    readonly figures: PurgesFigures;
  }[];
}

/** Everything at once, and the switch for it. */
export function renderFleet(
  view: FleetView,
  { visitor, notice }: { readonly visitor: Visitor; readonly notice: string | null },
): Html {
  const { fleet, live } = view;
  const mayAct = visitor.role === 'operator';
  const isHeld = fleet.stopped || fleet.queuePaused === true;
  const pausedOnes = live.filter(({ status }) => status === 'paused' || status === 'pausing');
  const holds = view.holdings.size;
  return html`
<h1>The fleet</h1>
${notice === null ? null : html`<p role="status">${notice}</p>`}
<section id="state" data-live>${statement(describeFleet(fleet))}
<p>Live purges: ${countedStatuses(view.liveFigures.counts)}${holds === 0 ? null : `; ${formatNumber(holds)} of them ${holds === 1 ? 'holds' : 'hold'}, and ${holds === 1 ? 'goes' : 'go'} on by ${holds === 1 ? 'itself' : 'themselves'}`}</p></section>
<section id="actions" data-live><div class="actions">
${postButton({ label: 'Pause everything', path: `${fleetPath}/pause`, enabled: mayAct && !fleet.stopped })}
${postButton({ label: 'Resume everything', path: `${fleetPath}/resume`, enabled: mayAct && (isHeld || pausedOnes.length > 0) })}
</div><p class="dim">Resume releases every paused purge, also those paused one by one before.</p></section>
<h2>Live purges</h2>
<section id="purges" data-live class="wide">${purgeTable(live, view.holdings)}</section>
${paceSection(view.knobs, fleetPath)}
<h2>Campaigns</h2>
<section id="campaigns" data-live class="wide">${campaignTable(view)}</section>`;
}

function campaignTable({ campaigns }: FleetView): Html {
  if (campaigns.length === 0) {
    return html`<p class="dim">None yet. Begin with <code>tenant-purge plan</code>.</p>`;
  }
  return html`<table><tr><th>enqueued</th><th>by</th><th>purges</th></tr>${campaigns.map(
    ({ campaign, figures }) => html`<tr>
<td class="text"><a href="${campaignPath(campaign.id)}">${formatTime(campaign.createdAt)}</a></td>
<td class="text">${campaign.operator}</td><td class="text">${countedStatuses(figures.counts)}</td></tr>`,
  )}</table>`;
}
