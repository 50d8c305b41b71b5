import { dayOf, describeUndo } from '../../../src/domain/archive-state.ts';
import type { ErrorReport } from '../../../src/domain/errors.ts';
import { isLive } from '../../../src/domain/purge.ts';
import type { EffectiveKnobs } from '../../../src/engine/throttle.ts';
import { COMMAND_EFFECTS, type CommandName } from '../../../src/postgres/ledger/commands.ts';
import type { LedgerEvent } from '../../../src/postgres/ledger/history.ts';
import type { LevelFigures, PurgeFigures } from '../figures.ts';
import type { Visitor } from '../visitor.ts';
import { bar, dangerLink, figure, gone, postButton, statement } from './elements.ts';
import { type Html, html } from './html.ts';
import { campaignPath, purgePath } from './links.ts';
import { describePurge } from './state.ts';
import { formatBytes, formatDuration, formatNumber, formatTime, plural } from './text.ts';
import { paceSection } from './tune-form.ts';

interface PurgePageOptions {
  readonly visitor: Visitor;
  /** A holder silent for longer is taken to be dead. */
  readonly lockMs: number;
  readonly configured: EffectiveKnobs;
  /** What the visitor's last click came to, or null. */
  readonly notice: string | null;
}

/** One purge: how it stands, what to do about it, what is gone and what remains. */
export function renderPurge(figures: PurgeFigures, options: PurgePageOptions): Html {
  const { purge, campaign } = figures;
  return html`
<h1>${purge.tenantLabel}</h1>
<p class="dim">tenant <span class="id">${purge.tenantId}</span> · purge <span class="id">${purge.id}</span>
 · <a href="${campaignPath(purge.campaignId)}">its campaign</a>${campaign === null ? null : ` by ${campaign.operator}`}</p>
${options.notice === null ? null : html`<p role="status">${options.notice}</p>`}
<section id="state" data-live>${statement(describePurge({ ...figures, lockMs: options.lockMs }))}
${purge.error === null ? null : errorBox(purge.error)}
${residueBox(figures)}</section>
<section id="actions" data-live>${actions(figures, options.visitor)}</section>
<section id="archive" data-live>${archiveOf(figures)}</section>
<section id="figures" data-live>${figuresOf(figures)}</section>
<h2>Levels</h2>
<section id="levels" data-live>${levels(figures)}</section>
${isLive(purge.status) ? paceSection({ ...figures.tuned, configured: options.configured }, purgePath(purge.id)) : null}
<h2>Last events</h2>
<section id="events" data-live class="wide">${eventTable(figures.events)}</section>`;
}

/** Always in the same places, so that no click lands on another button than the one aimed at. */
function actions({ purge, pending }: PurgeFigures, visitor: Visitor): Html {
  const path = purgePath(purge.id);
  const mayAct = visitor.role === 'operator';
  const can = (name: CommandName): boolean =>
    mayAct && COMMAND_EFFECTS[name][purge.status] !== undefined;
  const levelStop = pending?.levelStop ?? null;
  const isInLevel = purge.status === 'running' && purge.level !== null;
  return html`<div class="actions">
${postButton({ label: 'Pause', path: `${path}/pause`, enabled: can('pause') })}
${postButton({ label: 'Pause after this level', path: `${path}/pause-after-level`, enabled: mayAct && isInLevel && levelStop === null })}
${postButton({ label: 'Resume', path: `${path}/resume`, enabled: can('resume') || (mayAct && levelStop !== null) })}
${dangerLink({ label: 'Cancel…', path: `${path}/cancel`, enabled: can('cancel') })}
</div>`;
}

function figuresOf({ purge, rowsPerSec, etaSec, silentMs }: PurgeFigures): Html {
  const isRunning = purge.status === 'running';
  const where = purge.level ?? purge.stage;
  return html`
${bar(purge.rowsDeleted, purge.rowsTotal, 'rows gone')}
<p><strong id="gone">${gone(purge.rowsDeleted, purge.rowsTotal)}${purge.status === 'restored' ? '; all of them are back' : null}</strong></p>
<dl class="figures">
${figure(isRunning ? 'rate' : 'rate of the whole run', rowsPerSec === null ? null : `${formatNumber(rowsPerSec)} rows/s`)}
${figure('time left', isRunning ? (etaSec === null ? 'not known' : `about ${formatDuration(etaSec)}`) : null)}
${figure('stage', purge.status === 'completed' ? null : where)}
${figure('Redis keys gone', purge.redisKeysDeleted === 0 ? null : formatNumber(purge.redisKeysDeleted))}
${figure('last batch', isRunning && silentMs !== null ? `${formatDuration(silentMs / 1_000)} ago` : null)}
${figure('worker', purge.worker)}
${figure('interruptions', purge.interruptions === 0 ? null : String(purge.interruptions))}
${figure('ended', purge.endedAt === null ? null : formatTime(purge.endedAt))}
</dl>`;
}

/** Where it is, its size, until when it is kept, and whether there is a way back now. */
function archiveOf({ archive, purge }: PurgeFigures): Html | null {
  if (archive === null) return null;
  const { state, undo } = archive;
  const sentence = html`<p class="dim" id="undo">${describeUndo(undo, purge.id)}</p>`;
  if (state === null) return sentence;
  const expired = state.expiredAt === null ? null : formatTime(new Date(state.expiredAt));
  const until = state.keptUntil === null ? null : dayOf(new Date(state.keptUntil));
  return html`<dl class="figures">
${figure(expired === null ? 'archive' : 'archive was at', `${state.location}/${state.folder}`)}
${figure('archived', `${formatBytes(state.bytes)}, ${plural(state.rows, 'row')}`)}
${expired === null ? figure('kept until', until) : figure('expired', expired)}
</dl>
${sentence}`;
}

const levels = ({ levels: all }: PurgeFigures): Html =>
  all.length === 0
    ? html`<p class="dim">The tenant had no rows when it was enqueued.</p>`
    : html`${all.map(levelOf)}`;

function levelOf(level: LevelFigures, index: number): Html {
  return html`<details class="level" id="level-${index}">
<summary><span class="name">${level.name}</span>${bar(level.deleted, level.expected, level.name)}
<span class="count">${gone(level.deleted, level.expected)}</span></summary>
<div class="wide"><table>
<tr><th>table</th><th class="number">gone</th><th class="number">remain</th></tr>
${level.tables.map(
  ({ table, expected, deleted }) => html`<tr><td class="text">${table}</td>
<td class="number">${formatNumber(deleted)}</td><td class="number">${formatNumber(Math.max(0, expected - deleted))}</td></tr>`,
)}
</table></div></details>`;
}

const errorBox = (error: ErrorReport): Html =>
  html`<div class="state bad"><p><code>${error.code}</code> ${error.message}</p><p><b>What to do:</b> ${error.remedy}</p></div>`;

function residueBox({ purge }: PurgeFigures): Html | null {
  if (purge.residue.length === 0) return null;
  const left = purge.residue
    .map(({ table, count }) => `${table} ${formatNumber(count)}`)
    .join(', ');
  return html`<div class="state"><p><b>Left when it ended:</b> ${left}</p></div>`;
}

function eventTable(events: readonly LedgerEvent[]): Html {
  if (events.length === 0) return html`<p class="dim">None yet.</p>`;
  return html`<table>${events.map(
    ({ at, kind, actor, details }) => html`<tr><td class="time">${formatTime(at)}</td>
<td class="text">${kind}${detailsOf(details)}</td><td class="text dim">${actor}</td></tr>`,
  )}</table>`;
}

function detailsOf(details: LedgerEvent['details']): Html | null {
  const facts = Object.entries(details)
    .filter(([, value]) => typeof value !== 'object' && value !== '')
    .map(([key, value]) => `${key} ${String(value)}`);
  return facts.length === 0 ? null : html` <span class="dim">${facts.join(', ')}</span>`;
}
