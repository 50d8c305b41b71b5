import {
  type ArchiveState,
  dayOf,
  describeUndo,
  type UndoAnswer,
} from '../../../src/domain/archive-state.ts';
import type { PurgeArchive } from '../../../src/engine/archive/archive-states.ts';
import type { CampaignArchive } from '../../../src/engine/archive/archive-sum.ts';
import { formatNumber, plural } from './text.ts';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `512 B`, `1.4 MiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1_024 && unit < UNITS.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  const shown = unit === 0 || value >= 100 ? formatNumber(Math.round(value)) : value.toFixed(1);
  return `${shown} ${UNITS[unit] ?? ''}`;
}

/** Where a purge's archive is, its size, until when it is kept, and whether there is a way back now. */
export function archiveLines({ state, undo }: PurgeArchive, purgeId: string): string[] {
  return [...(state === null ? [] : [describeArchive(state)]), describeUndo(undo, purgeId)];
}

function describeArchive(state: ArchiveState): string {
  const size = `${formatBytes(state.bytes)}, ${plural(state.rows, 'row')}`;
  const until = state.keptUntil === null ? '' : `, kept until ${dayOf(new Date(state.keptUntil))}`;
  return state.expiredAt === null
    ? `Archive: ${state.location}/${state.folder} (${size})${until}`
    : `Archive: was at ${state.location}/${state.folder} (${size}), expired ${dayOf(new Date(state.expiredAt))}`;
}

/** The archives of a campaign in one sentence. */
export function describeArchives(archive: CampaignArchive): string {
  return (
    `Archive: ${archive.locations.join(' and ')} (${formatBytes(archive.bytes)}, ${plural(archive.rows, 'row')} ` +
    `of ${plural(archive.purges, 'purge')})`
  );
}

/** One word for a table. */
export function undoWord(undo: UndoAnswer): string {
  return undo.kind === 'undoable' ? 'yes' : 'no';
}
