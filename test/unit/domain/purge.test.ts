import { describe, expect, it } from 'vitest';
import {
  canTransition,
  isLive,
  LIVE_STATUSES,
  PURGE_STATUSES,
  type PurgeStatus,
  TRANSITIONS,
} from '../../../src/domain/purge.ts';
import { COMMAND_EFFECTS } from '../../../src/postgres/ledger/commands.ts';
import { sql0001 } from '../../../src/postgres/migrations/0001-ledger.ts';
import { TRANSITIONS_0007 } from '../../../src/postgres/migrations/0007-archive.ts';
import { TRANSITIONS_0001 } from '../../../src/postgres/migrations/transitions-0001.ts';

const edge = (from: string, to: string): string => `${from} → ${to}`;

describe('The table of transitions', () => {
  it('names each edge once, with a cause', () => {
    const edges = TRANSITIONS.map(({ from, to }) => edge(from, to));
    expect(new Set(edges).size).toBe(edges.length);
    expect(TRANSITIONS.filter(({ cause }) => cause.trim() === '')).toEqual([]);
  });

  it('is the one that the migrations write into the database', () => {
    const migrated = [...TRANSITIONS_0001, ...TRANSITIONS_0007];
    expect(TRANSITIONS.map(({ from, to, cause }) => [from, to, cause]).sort()).toEqual(
      migrated.map((edge) => [...edge]).sort(),
    );
  });

  it('leads to every status from planned', () => {
    const reached = new Set<PurgeStatus>(['planned']);
    // A Set's iteration also visits what is added meanwhile.
    for (const status of reached) {
      for (const { from, to } of TRANSITIONS) if (from === status) reached.add(to);
    }
    expect([...reached].sort()).toEqual([...PURGE_STATUSES].sort());
  });

  it('lets every live status end', () => {
    for (const status of LIVE_STATUSES) {
      expect(TRANSITIONS.some(({ from }) => from === status)).toBe(true);
    }
  });

  it('lets nothing but a restore follow an end', () => {
    for (const { from, to } of TRANSITIONS.filter((one) => !isLive(one.from))) {
      expect(edge(from, to)).toBe(edge(from, 'restoring'));
    }
  });

  it('makes paused and cancelled of a running purge by way of what was asked', () => {
    expect(canTransition('running', 'paused')).toBe(false);
    expect(canTransition('running', 'cancelled')).toBe(false);
    expect(canTransition('running', 'pausing')).toBe(true);
    expect(TRANSITIONS.filter(({ to }) => to === 'restored').map(({ from }) => from)).toEqual([
      'restoring',
    ]);
  });

  it('has an edge for whatever a command does to a status', () => {
    const commanded = Object.values(COMMAND_EFFECTS).flatMap((effects) =>
      (Object.entries(effects) as [PurgeStatus, PurgeStatus][]).map(([from, to]) => ({ from, to })),
    );
    expect(commanded.filter(({ from, to }) => !canTransition(from, to))).toEqual([]);
  });
});

describe('A live purge', () => {
  it('is what the index of the database counts as one', () => {
    const [, list = ''] = /WHERE status IN \(([^)]+)\)/.exec(sql0001) ?? [];
    expect([...list.matchAll(/'(\w+)'/g)].map(([, status]) => status)).toEqual(LIVE_STATUSES);
  });
});
