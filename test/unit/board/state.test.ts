import { describe, expect, test } from 'vitest';
import { type FleetState, levelFigures } from '../../../ops/board/figures.ts';
import { html } from '../../../ops/board/pages/html.ts';
import { describeFleet, describePurge } from '../../../ops/board/pages/state.ts';
import { formatDuration, percentOf } from '../../../ops/board/pages/text.ts';
import { asCampaignId, asEpoch, asPurgeId, asTenantId } from '../../../src/domain/ids.ts';
import { PURGE_STATUSES, type PurgeStatus } from '../../../src/domain/purge.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { PendingStop } from '../../../src/postgres/ledger/commands.ts';

const RUNNING: FleetState = {
  stopped: false,
  changedBy: null,
  changedAt: null,

  queuePaused: false,
  workers: 1,
  batchesOpen: 0,
};
const STOPPED: FleetState = { ...RUNNING, stopped: true, changedBy: 'mia@cli', queuePaused: true };
const LOCK_MS = 30_000;

const PURGE: PurgeRecord = {
  id: asPurgeId('00000000-0000-4000-8000-000000000000'),
  campaignId: asCampaignId('00000000-0000-4000-8000-000000000001'),
  tenantTable: 'public.tenants',
  tenantId: asTenantId('42'),
  tenantLabel: 'Northwind',
  status: 'running',
  stage: 'dependents',
  level: 'dependents 1',
  fence: asEpoch(1),
  worker: 'host:1:0',
  jobNumber: 1,
  parked: false,
  dueAt: new Date(0),
  interruptions: 0,
  rowsExpected: {},
  rowsTotal: 0,
  rowsDeleted: 0,
  waitsFor: [],
  redisWaitingSince: null,
  swept: false,
  redisKeysDeleted: 0,
  redisResidue: 0,
  residue: [],
  error: null,
  createdAt: new Date(0),
  claimedAt: null,
  startedAt: null,
  endedAt: null,
};

const say = (
  status: PurgeStatus,
  extra: Partial<Parameters<typeof describePurge>[0]> = {},
): string =>
  describePurge({
    purge: { ...PURGE, status },
    fleet: RUNNING,
    silentMs: 100,
    awaited: 0,
    pending: null,
    holding: null,
    lockMs: LOCK_MS,
    ...extra,
  }).sentence;

const pendingPause = (batchOpenMs: number | null): PendingStop => ({
  purgeId: asPurgeId('00000000-0000-4000-8000-000000000000'),
  status: 'pausing',
  stage: 'dependents',
  level: 'dependents 1',
  levelStop: null,
  askedBy: 'mia@board',
  askedAt: new Date(0),
  worker: 'host:1:0',
  claimedAt: new Date(0),
  silentMs: 100,
  batchOpenMs,
});

describe('What the board says of a purge', () => {
  test.each(PURGE_STATUSES)('has a sentence for %s', (status) => {
    expect(say(status)).toMatch(/^[A-Z].*\.$/);
  });

  test('tells a stop that is so from one that a batch in flight may still overtake', () => {
    expect(say('pausing', { pending: pendingPause(null) })).toContain('none can commit any more');
    const open = say('pausing', { pending: pendingPause(1_500) });
    expect(open).toContain('The batch in flight may still commit; no other begins.');
    expect(open).toContain('asked by mia@board');
    expect(open).not.toContain('none can commit');
  });

  test.each<PurgeStatus>(['queued', 'scheduled', 'interrupted'])(
    'says of a %s purge that everything is paused',
    (status) => {
      expect(say(status, { fleet: STOPPED })).toContain('Everything is paused by mia@cli');
      expect(say(status, { fleet: { ...RUNNING, queuePaused: true } })).toContain(
        'The queue is paused',
      );
    },
  );

  test('says why a queued purge does not begin', () => {
    expect(say('queued', { awaited: 2 })).toContain('after 2 purges of tenants below it');
    expect(say('queued', { fleet: { ...RUNNING, workers: 0 } })).toContain('tenant-purge worker');
  });

  test('says why a running purge does not begin its next batch', () => {
    const holding = { since: new Date(0), reasons: ['replica lag 12 s, at most 5 s'] };
    expect(say('running', { holding })).toBe(
      'It holds since 1970-01-01 00:00:00 UTC: replica lag 12 s, at most 5 s. It goes on by itself.',
    );
  });

  test('does not claim that rows are being deleted by a worker that is silent', () => {
    expect(say('running', { silentMs: LOCK_MS + 1 })).toContain('may be dead');
  });
});

describe('What the board says of the fleet', () => {
  test.each<[Partial<FleetState>, string]>([
    [{}, 'Running'],
    [{ stopped: true }, 'Everything is paused'],
    [{ stopped: true, batchesOpen: 1 }, 'Everything is being paused'],
    [{ queuePaused: true }, 'The queue is paused'],
    [{ queuePaused: null }, 'The queue does not answer'],
    [{ workers: 0 }, 'No worker'],
  ])('%j', (extra, word) => {
    expect(describeFleet({ ...RUNNING, ...extra }).word).toBe(word);
  });
});

describe('Figures', () => {
  test('count a table that no level names', () => {
    const levels = levelFigures(
      null,
      { 'public.a': 4, 'public.empty': 0 },
      new Map([['public.b', 2]]),
    );
    expect(levels).toEqual([
      {
        name: 'other tables',
        expected: 4,
        deleted: 2,
        tables: [
          { table: 'public.a', expected: 4, deleted: 0 },
          { table: 'public.b', expected: 0, deleted: 2 },
        ],
      },
    ]);
  });

  test('say 100 % only of everything', () => {
    expect([percentOf(999_999, 1_000_000), percentOf(7, 7), percentOf(0, 0)]).toEqual([
      99,
      100,
      null,
    ]);
  });

  test.each([
    [0.2, '1 s'],
    [89, '89 s'],
    [90, '2 min'],
    [5_400, '1 h 30 min'],
    [200_000, '2 d 7 h'],
  ])('%s seconds are %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});

describe('A page', () => {
  test('escapes every value, and takes markup only from itself', () => {
    const name = `<b onclick="x('1')">&`;
    expect(html`<p title="${name}">${[html`<i>${name}</i>`, 1, null]}</p>`.markup).toBe(
      '<p title="&lt;b onclick=&quot;x(&#39;1&#39;)&quot;&gt;&amp;"><i>&lt;b onclick=&quot;x(&#39;1&#39;)&quot;&gt;&amp;</i>1</p>',
    );
  });
});
