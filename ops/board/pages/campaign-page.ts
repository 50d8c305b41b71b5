import type { CampaignRecord, PurgeRecord } from '../../../src/domain/records.ts';
import { COMMAND_EFFECTS, type CommandName } from '../../../src/postgres/ledger/commands.ts';
import type { Holdings } from '../../../src/postgres/ledger/throttle.ts';
import type { FleetState, PurgesFigures } from '../figures.ts';
import type { Visitor } from '../visitor.ts';
import { bar, countedStatuses, dangerLink, gone, postButton, statement } from './elements.ts';
import { type Html, html } from './html.ts';
import { campaignPath } from './links.ts';
import { purgeTable } from './purge-table.ts';
import { describeFleet } from './state.ts';
import { formatTime, plural } from './text.ts';

interface CampaignView {
  readonly campaign: CampaignRecord;
  readonly fleet: FleetState;
  readonly figures: PurgesFigures;
  readonly purges: readonly PurgeRecord[];
  readonly holdings: Holdings;
}

/** The purges asked for together. */
export function renderCampaign(
  view: CampaignView,
  { visitor, notice }: { readonly visitor: Visitor; readonly notice: string | null },
): Html {
  const { campaign, figures, fleet } = view;
  const isHeld = fleet.stopped || fleet.queuePaused !== false;
  return html`
<h1>Campaign of ${formatTime(campaign.createdAt)}</h1>
<p class="dim">by ${campaign.operator} in ${campaign.environment} · <span class="id">${campaign.id}</span></p>
${notice === null ? null : html`<p role="status">${notice}</p>`}
<section id="state" data-live>${isHeld ? statement(describeFleet(fleet)) : null}
<p>${plural(view.purges.length, 'purge')}: ${countedStatuses(figures.counts)}</p></section>
<section id="actions" data-live>${actions(view, visitor)}</section>
<section id="figures" data-live>${bar(figures.rowsDeleted, figures.rowsTotal, 'rows gone')}
<p><strong id="gone">${gone(figures.rowsDeleted, figures.rowsTotal)}</strong></p></section>
<h2>Purges</h2>
<section id="purges" data-live class="wide">${purgeTable(view.purges, view.holdings)}</section>`;
}

function actions({ campaign, purges }: CampaignView, visitor: Visitor): Html {
  const path = campaignPath(campaign.id);
  const action = (name: CommandName, label: string): Parameters<typeof postButton>[0] => ({
    label,
    path: `${path}/${name}`,
    enabled:
      visitor.role === 'operator' &&
      purges.some(({ status }) => COMMAND_EFFECTS[name][status] !== undefined),
  });
  return html`<div class="actions">
${postButton(action('pause', 'Pause all'))}
${postButton(action('resume', 'Resume all'))}
${dangerLink(action('cancel', 'Cancel all…'))}
</div>`;
}
