import type {
  Doubt,
  OrphanDeletion,
  OrphanFindings,
  OrphanRestore,
  SkipReason,
} from '../../../src/domain/orphans.ts';
import type { Session } from '../command.ts';
import { renderTable } from './table.ts';
import { formatNumber, plural } from './text.ts';

/** Samples of keys as text that a terminal and JSON can show: bytes that are no letters as \xNN. */
export function findingsDocument(findings: OrphanFindings): OrphanFindings {
  const { undecided } = findings;
  return { ...findings, undecided: { ...undecided, samples: undecided.samples.map(printableKey) } };
}

export function renderFindings(
  findings: OrphanFindings,
  { columns }: Pick<Session, 'columns'>,
): string[] {
  const { orphans, scanned, owned } = findings;
  const { top, tenants, keys, beyond } = orphans;
  return [
    `${plural(scanned, 'key')} looked at: ${formatNumber(owned)} of tenants that exist, ${formatNumber(keys)} of tenants that are not in the tenant table (${formatNumber(tenants)}).`,
    ...(top.length === 0
      ? []
      : [
          renderTable(
            [{ head: 'no such tenant' }, { head: 'keys', align: 'right' }],
            top.map(({ tenantId, keys: some }) => [printable(tenantId), formatNumber(some)]),
            columns,
          ),
        ]),
    ...(tenants > top.length ? [`… and ${plural(tenants - top.length, 'tenant')} more.`] : []),
    ...(beyond === 0
      ? []
      : [`${plural(beyond, 'key')} of further tenants: too many for one run; run it again then.`]),
    ...undecidedLines(findings),
    ...skippedLines(findings),
  ];
}

const DOUBT_WORDS: Readonly<Record<Doubt, string>> = {
  'no-id': 'what stands for the id cannot be one',
  'several-ids': 'the templates can be read in several ways',
  'another-spelling': 'a tenant exists whose id is spelled otherwise',
};

const SKIP_WORDS: Readonly<Record<SkipReason, string>> = {
  kept: 'on the keep list',
  'live-purge': 'of tenants with a live purge or restore, which sees to them',
  restorable: 'of tenants whose purge can still be undone (until its archive is expired)',
  'not-confirmed': 'of tenants that were not among those confirmed: run it again',
};

function undecidedLines({ undecided }: OrphanFindings): string[] {
  if (undecided.keys === 0) return [];
  return [
    `Undecided, never deleted: ${plural(undecided.keys, 'key')}`,
    ...reasonLines(undecided.reasons, DOUBT_WORDS),
    `  e.g. ${undecided.samples.map(printableKey).join(', ')}`,
  ];
}

function skippedLines({ skipped }: OrphanFindings): string[] {
  if (skipped.keys === 0) return [];
  return [
    `Skipped: ${plural(skipped.keys, 'key')}`,
    ...reasonLines(skipped.reasons, SKIP_WORDS),
    `  tenants, e.g. ${skipped.samples.map(printable).join(', ')}`,
  ];
}

const reasonLines = <Reason extends string>(
  counts: Readonly<Record<Reason, number>>,
  words: Readonly<Record<Reason, string>>,
): string[] =>
  (Object.keys(words) as Reason[])
    .filter((reason) => counts[reason] > 0)
    .map((reason) => `  ${formatNumber(counts[reason])}: ${words[reason]}`);

export function renderDeletion(deletion: OrphanDeletion, findings: OrphanFindings): string[] {
  const { deleted, putBack, left, runId, isDone, isResumed, location } = deletion;
  return [
    `${plural(deleted, 'key')} deleted${isResumed ? ', besides those that this run had deleted before' : ''}.`,
    ...(putBack === 0
      ? []
      : [`${plural(putBack, 'key')} put back: the tenant was created in the same moment.`]),
    ...(left === 0
      ? []
      : [
          `${plural(left, 'key')} left: written to whenever they were to go. Find out who writes them, then run it again.`,
        ]),
    ...undecidedLines(findings),
    ...skippedLines(findings),
    `Archive: ${location}`,
    isDone
      ? `Bring them back: tenant-purge redis orphans --restore ${runId}`
      : `Stopped before the end of the pass (run ${runId}): the same command goes on.`,
  ];
}

export const renderOrphanRestore = (report: OrphanRestore): string =>
  [
    `${plural(report.restored, 'key')} of run ${report.runId} restored.`,
    ...(report.same === 0 ? [] : [`${plural(report.same, 'key')} were there already.`]),
    ...(report.taken === 0
      ? []
      : [`${plural(report.taken, 'key')} left alone: there with another value.`]),
    ...(report.expired === 0 ? [] : [`${plural(report.expired, 'key')} expired meanwhile.`]),
  ].join('\n');

const CHARACTERS_MAX = 120;

/** A key or an id may hold anything: nothing of it reaches the terminal as a control sequence. */
function printable(text: string): string {
  const shown = text.replaceAll(
    /[\p{C}\p{Zl}\p{Zp}\\]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return shown.length > CHARACTERS_MAX ? `${shown.slice(0, CHARACTERS_MAX)}…` : shown;
}

/** @param key byte text */
function printableKey(key: string): string {
  const shown = key.replaceAll(
    /[^\x20-\x5b\x5d-\x7e]/g,
    (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return shown.length > CHARACTERS_MAX ? `${shown.slice(0, CHARACTERS_MAX)}…` : shown;
}
