import { describe, expect, it } from 'vitest';
import {
  archiveState,
  describeUndo,
  keptUntil,
  whetherUndoable,
} from '../../../src/domain/archive-state.ts';
import { canTransition, isLive, PURGE_STATUSES } from '../../../src/domain/purge.ts';

const ENDED = new Date('2026-03-01T12:00:00Z');
const ARCHIVE = {
  location: 'db1:/srv/archive',
  folder: 'purges/1',
  bytes: 2_048,
  rows: 7,
  expiredAt: null,
};

describe('Whether a purge can be undone', () => {
  it.each(PURGE_STATUSES)('is decided for %s by the table of transitions alone', (status) => {
    const answer = whetherUndoable({
      status,
      endedAt: ENDED,
      archiving: true,
      archive: { expiredAt: null },
    });
    expect(answer.kind === 'undoable').toBe(canTransition(status, 'restoring'));
    if (isLive(status)) expect(answer.kind).toBe(status === 'restoring' ? 'restoring' : 'live');
  });

  it('is so half done as well: cancelled, failed, refused and incomplete purges come back', () => {
    const undoable = PURGE_STATUSES.filter(
      (status) =>
        whetherUndoable({ status, endedAt: ENDED, archiving: true, archive: ARCHIVE }).kind ===
        'undoable',
    );
    expect(undoable.sort()).toEqual(['cancelled', 'completed', 'failed', 'incomplete', 'refused']);
  });

  it('is never so after the archive expired, without one, or twice', () => {
    const expired = { expiredAt: new Date('2026-04-01T00:00:00Z') };
    const facts = { status: 'completed', endedAt: ENDED } as const;
    const kinds = [
      whetherUndoable({ ...facts, archiving: true, archive: expired }),
      whetherUndoable({ ...facts, archiving: false, archive: null }),
      whetherUndoable({ ...facts, archiving: true, archive: null }),
      whetherUndoable({ ...facts, status: 'restored', archiving: true, archive: ARCHIVE }),
    ];
    expect(kinds.map(({ kind }) => kind)).toEqual([
      'expired',
      'no-archive',
      'nothing-archived',
      'restored',
    ]);
  });
});

describe('An archive in words and JSON', () => {
  it('is kept for so many days after the end of its purge, and nobody knows before', () => {
    expect(keptUntil(ENDED, 30)?.toISOString()).toBe('2026-03-31T12:00:00.000Z');
    expect(keptUntil(null, 30)).toBeNull();
  });

  it('has the documented fields', () => {
    const purge = { status: 'completed', endedAt: ENDED, archiving: true } as const;
    expect(archiveState(purge, ARCHIVE, 30)).toEqual({
      location: 'db1:/srv/archive',
      folder: 'purges/1',
      bytes: 2_048,
      rows: 7,
      keptUntil: '2026-03-31T12:00:00.000Z',
      expiredAt: null,
      undoable: true,
    });
    expect(archiveState(purge, null, 30)).toBeNull();
    const expired = archiveState(purge, { ...ARCHIVE, expiredAt: ENDED }, 30);
    expect(expired).toMatchObject({ expiredAt: ENDED.toISOString(), undoable: false });
  });

  it('names the command where there is a way back, and the day where it was thrown away', () => {
    expect(describeUndo({ kind: 'undoable' }, 'p1')).toContain('tenant-purge restore p1');
    expect(describeUndo({ kind: 'expired', at: ENDED }, 'p1')).toContain('2026-03-01');
  });
});
