import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import { CommandStore } from '../../../src/postgres/ledger/commands.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { until } from '../../support/until.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { doomed: 2 }));
});
afterAll(() => template?.drop());

let world: PurgeWorld;
let purge: PurgeRecord;
beforeEach(async () => {
  world = await createWorld({ template: template.name });
  purge = await world.enqueueOne('doomed');
});
afterEach(() => world.close());

const SLICE_MS = 100;
const request = { operator: 'test', fleet: false };

/** A batch in flight, as far as locks go. */
async function batch(): Promise<{ end(): Promise<void> }> {
  const client = await world.pool.connect();
  await client.query('begin');
  await client.query(
    'select pg_advisory_xact_lock_shared(1953525093, 0), pg_advisory_xact_lock_shared(1953525094, hashtext($1))',
    [purge.id],
  );
  return {
    async end() {
      await client.query('commit');
      client.release();
    },
  };
}

/** Tries of the stop, by the transactions in which it waited. */
async function untilTries(wanted: number): Promise<void> {
  const seen = new Set<unknown>();
  await until('the stop has asked again', 10_000, async () => {
    const waiting = await world.value(
      `select a.xact_start::text from pg_locks l join pg_stat_activity a using (pid)
       where l.locktype = 'advisory' and not l.granted and a.datname = current_database()`,
    );
    if (waiting !== undefined) seen.add(waiting);
    return seen.size >= wanted ? true : null;
  });
}

test.each(['the fleet', 'one purge'])(
  'a stop of %s waits for a batch longer than one statement of the ledger may take',
  async (of) => {
    const store = new CommandStore(world.actor.database, SLICE_MS);
    const inFlight = await batch();
    const drained = store.drain(of === 'the fleet' ? 'fleet' : [purge], request, 20_000);
    await untilTries(3);
    await inFlight.end();
    expect(await drained).toEqual([]);
  },
);

test('a stop whose batch does not end in its time says so', async () => {
  const store = new CommandStore(world.actor.database, SLICE_MS);
  const inFlight = await batch();
  expect(await store.drain('fleet', request, 3 * SLICE_MS)).toBeNull();
  await inFlight.end();
});
