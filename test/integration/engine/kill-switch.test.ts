import { EventEmitter, once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ConfigInput } from '../../../src/config/schema.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { FailpointName } from '../../../src/engine/failpoints.ts';
import { PurgeStore } from '../../../src/postgres/ledger/purges.ts';
import { type CommandOutcome, carryOutCommand } from '../../../src/queue/commands.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import { actAt, type PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 3, a: 3, b: 3 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
afterEach(() => world.close());

const open = async (batch: NonNullable<ConfigInput['batch']>): Promise<PurgeWorld> =>
  (world = await createWorld({
    template: template.name,
    config: {
      batch: { maxRows: 4, connections: 1, ...batch },
      // Without a sweep a run goes on to its seal.
      redis: { keys: [] },
    },
  }));

const pauseAll = (): Promise<CommandOutcome> =>
  carryOutCommand(world.actor.reconcile, 'pause', {
    selection: { kind: 'live' },
    fleet: true,
    operator: 'test',
    waitMs: 0,
  });

const committed = (): Promise<unknown> =>
  world.value(`select (select count(*) from tenant_purge.batch)::int
    + (select count(*) from tenant_purge.checkpoint where done)::int`);

interface Held {
  readonly reached: Promise<void>;
  release(): void;
  readonly run: Promise<unknown>;
}

/** Runs the purge and holds it at the named point until `release` is called. */
function holdAt(purge: PurgeRecord, name: FailpointName, count: number): Held {
  const gate = new EventEmitter();
  const released = once(gate, 'release');
  const reached = once(gate, 'reach').then(() => undefined);
  const failpoint = actAt(name, count, async () => {
    gate.emit('reach');
    await released;
  });
  return {
    reached,
    release: () => void gate.emit('release'),
    run: world.run(purge.id, { parts: world.engine(failpoint) }),
  };
}

const untilWaiting = (): Promise<unknown> =>
  until('the stop waits for the fleet’s lock', 5_000, async () =>
    (await world.value(
      `select count(*)::int from pg_locks where locktype = 'advisory' and not granted
         and mode = 'ExclusiveLock' and classid = 1953525093`,
    )) === 1
      ? true
      : null,
  );

describe('pause --all returns only when nothing is in flight, and nothing commits after', () => {
  test.each([
    ['a batch of a table', { smallPurgeRows: 0 }, 3],
    ['a small purge in one transaction', { smallPurgeRows: 5_000 }, 1],
    ['the mark that a table is done', { smallPurgeRows: 0, maxRows: 1_000 }, 2],
  ])('%s', async (_, batch, count) => {
    await open(batch);
    const purge = await world.enqueueOne('a');
    const held = holdAt(purge, 'before-commit', count);
    await held.reached;
    let isBack = false;
    const pausing = pauseAll().finally(() => (isBack = true));
    await untilWaiting();
    expect(isBack).toBe(false);
    held.release();
    const { drained } = await pausing;
    expect(drained).toBe(true);
    const before = await committed();
    await held.run;
    expect(await committed()).toEqual(before);
    expect((await world.find(purge.id)).status).not.toBe('running');
  });
});

test('a purge about to be sealed is not completed once pause --all has returned', async () => {
  await open({ smallPurgeRows: 0 });
  const purge = await world.enqueueOne('a');
  const held = holdAt(purge, 'before-seal', 1);
  await held.reached;
  expect(await pauseAll()).toMatchObject({ drained: true });
  held.release();
  await held.run;
  expect((await world.find(purge.id)).status).toBe('paused');
});

test('a cancel that comes before the last write ends the purge as cancelled, one after it is refused', async () => {
  await open({ smallPurgeRows: 0 });
  const purges = await world.enqueue(['a', 'b']);
  const cancelOf = ({ id }: PurgeRecord): Promise<CommandOutcome> =>
    carryOutCommand(world.actor.reconcile, 'cancel', {
      selection: { kind: 'purge', id },
      fleet: false,
      operator: 'test',
      waitMs: 0,
    });
  const [early, late] = purges;
  if (early === undefined || late === undefined) throw new Error('nothing was enqueued');
  const held = holdAt(early, 'before-seal', 1);
  await held.reached;
  expect((await cancelOf(early)).results).toMatchObject([{ purge: { status: 'cancelling' } }]);
  held.release();
  expect(await held.run).toMatchObject({ kind: 'cancelled' });
  expect(await world.find(early.id)).toMatchObject({ status: 'cancelled', residue: [] });
  expect(await world.run(late.id)).toMatchObject({ kind: 'completed' });
  expect((await cancelOf(late)).results).toMatchObject([
    { effect: 'conflict', purge: { status: 'completed' } },
  ]);
});

test('a stop of a silent holder is forced under a new fence, and the holder that wakes commits nothing', async () => {
  await open({ smallPurgeRows: 0 });
  const purge = await world.enqueueOne('a');
  const held = holdAt(purge, 'batch-committed', 3);
  await held.reached;
  const { results } = await carryOutCommand(world.actor.reconcile, 'pause', {
    selection: { kind: 'purge', id: purge.id },
    fleet: false,
    operator: 'test',
    waitMs: 10_000,
  });
  expect(results).toMatchObject([{ purge: { status: 'paused', fence: 2, worker: null } }]);
  const before = await committed();
  held.release();
  expect(await held.run).toMatchObject({ kind: 'superseded' });
  expect(await committed()).toEqual(before);
  expect(await world.find(purge.id)).toMatchObject({ status: 'paused', fence: 2 });
});

test('a stop between the claim and the first batch deletes nothing', async () => {
  await open({ smallPurgeRows: 0 });
  const purge = await world.enqueueOne('a');
  const held = holdAt(purge, 'claimed', 1);
  await held.reached;
  await pauseAll();
  held.release();
  await held.run;
  expect(await world.find(purge.id)).toMatchObject({ status: 'paused', rowsDeleted: 0 });
  expect(await committed()).toBe(0);
});

test('a claim that began before the stop of the fleet is waited for, and stopped as well', async () => {
  await open({ smallPurgeRows: 0 });
  const late = await world.enqueueOne('a');
  // The claim as a slow server carries it out: it has its locks and waits for the purge's row.
  const holder = await world.pool.connect();
  await holder.query('begin');
  await holder.query('select from tenant_purge.purge where id = $1 for update', [late.id]);
  const claim = new PurgeStore(world.actor.database).claim(late.id, 'w:1:0' as never);
  await until('the claim holds the fleet’s lock', 5_000, async () =>
    (await world.value(
      `select count(*)::int from pg_locks where locktype = 'advisory' and granted
         and mode = 'ShareLock' and classid = 1953525093`,
    )) === 1
      ? true
      : null,
  );
  await world.actor.commands.apply(
    'pause',
    // A purge enqueued too late for the stop's list: none is selected.
    { kind: 'tenant', id: 'nobody' },
    { operator: 'test', fleet: true },
  );
  const drain = world.actor.commands.drain('fleet', { operator: 'test', fleet: true }, 10_000);
  await untilWaiting();
  await holder.query('commit');
  holder.release();
  const claimed = await claim;
  expect(claimed.kind).toBe('claimed');
  expect(await drain).toMatchObject([{ purge: { id: late.id, status: 'pausing' } }]);
});

test('a stop that a batch outlasts says so, stays recorded, and names the holder', async () => {
  await open({ smallPurgeRows: 0 });
  const purge = await world.enqueueOne('a');
  const held = holdAt(purge, 'before-commit', 3);
  await held.reached;
  const request = { operator: 'ann@host', fleet: true };
  await world.actor.commands.apply('pause', { kind: 'live' }, request);
  expect(await world.actor.commands.drain('fleet', request, 200)).toBeNull();
  expect(await world.actor.commands.readControl()).toMatchObject({ stopped: true });
  const [stop] = await world.actor.commands.pendingStops({ kind: 'live' });
  expect(stop).toMatchObject({ purgeId: purge.id, status: 'pausing', askedBy: 'ann@host' });
  expect(stop?.worker).toMatch(/^test:/);
  expect(stop?.batchOpenMs).toBeGreaterThan(0);
  // Silent or not, it may still commit: nobody settles the stop over its head.
  const record = await world.find(purge.id);
  expect(await world.actor.commands.settleWithoutHolder(record, 'test')).toBeNull();
  held.release();
  await held.run;
  expect(await world.actor.commands.drain('fleet', request, 5_000)).toEqual([]);
  expect((await world.find(purge.id)).status).toBe('paused');
});

test('resume of one purge does not start it while the fleet is stopped', async () => {
  await open({ smallPurgeRows: 0 });
  const [one] = await world.enqueue(['a', 'b']);
  if (one === undefined) throw new Error('nothing was enqueued');
  await pauseAll();
  const { results } = await carryOutCommand(world.actor.reconcile, 'resume', {
    selection: { kind: 'purge', id: one.id },
    fleet: false,
    operator: 'test',
    waitMs: 0,
  });
  expect(results).toMatchObject([{ effect: 'changed', purge: { status: 'queued' } }]);
  expect(await world.run(one.id)).toMatchObject({ kind: 'not-now' });
  expect(await committed()).toBe(0);
});
