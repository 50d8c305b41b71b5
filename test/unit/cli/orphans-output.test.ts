import { describe, expect, it } from 'vitest';
import { renderDeletion } from '../../../ops/cli/output/orphans.ts';
import type { OrphanDeletion, OrphanFindings } from '../../../src/domain/orphans.ts';

const DELETION: OrphanDeletion = {
  runId: '5b0c5a7e-8f0e-4d52-a3a5-6f0a4c1a2b3c',
  deleted: 9,
  putBack: 0,
  left: 0,
  isResumed: false,
  isDone: true,
  location: 'db1:/srv/archive',
};
const FINDINGS: OrphanFindings = {
  scanned: 10,
  owned: 0,
  orphans: { keys: 10, tenants: 1, top: [], beyond: 0 },
  undecided: {
    keys: 0,
    reasons: { 'no-id': 0, 'several-ids': 0, 'another-spelling': 0 },
    samples: [],
  },
  skipped: {
    keys: 0,
    reasons: { kept: 0, 'live-purge': 0, restorable: 0, 'not-confirmed': 0 },
    samples: [],
  },
};

describe('What redis orphans --delete says at its end', () => {
  it('has the keys that never rested, where there are any', () => {
    const text = renderDeletion({ ...DELETION, left: 2 }, FINDINGS).join('\n');
    expect(text).toContain('9 keys deleted.');
    expect(text).toContain('2 keys left: written to whenever they were to go.');
    expect(renderDeletion(DELETION, FINDINGS).join('\n')).not.toContain('left');
  });

  it('has the next command, of a run that was stopped the same one', () => {
    expect(renderDeletion(DELETION, FINDINGS).at(-1)).toContain(`--restore ${DELETION.runId}`);
    const stopped = renderDeletion({ ...DELETION, isDone: false }, FINDINGS);
    expect(stopped.at(-1)).toContain('the same command goes on');
  });
});
