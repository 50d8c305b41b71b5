import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { noFailpoint } from '../../../src/engine/failpoints.ts';
import type { EngineParts } from '../../../src/engine/parts.ts';
import type { CommandName } from '../../../src/postgres/ledger/commands.ts';
import { carryOutCommand } from '../../../src/queue/commands.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';

let template: TestDatabase;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'other-place-'));
  template = await makeTemplate((url) => createSmallApplication(url, { doomed: 6 }));
});
afterAll(async () => {
  await template?.drop();
  await rm(folder, { recursive: true, force: true });
});

let world: PurgeWorld;
let elsewhere: EngineParts;
beforeEach(async () => {
  const here = await mkdtemp(join(folder, 'here-'));
  const there = await mkdtemp(join(folder, 'there-'));
  world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 4, connections: 1 }, archive: { dir: here } },
  });
  const other = await world.composeOther({ config: { archive: { dir: there } } });
  elsewhere = world.engine(noFailpoint, other);
});
afterEach(() => world.close());

/** A purge whose archive was begun here, with rows gone and rows not. */
async function begun(): Promise<Awaited<ReturnType<PurgeWorld['find']>>> {
  const { id } = await world.enqueueOne('doomed', { archive: true });
  let batches = 0;
  const parts = world.engine(async (point) => {
    if (point === 'batch-committed') batches += 1;
  });
  await world.run(id, {
    parts,
    control: { stopReason: async () => (batches >= 3 ? 'the worker shuts down' : null) },
  });
  return world.find(id);
}

const command = (name: CommandName, id: Awaited<ReturnType<typeof begun>>['id']) =>
  carryOutCommand(world.actor.reconcile, name, {
    selection: { kind: 'purge', id },
    fleet: false,
    operator: 'test',
    waitMs: 0,
  });

test('a worker that does not see the archive of a purge leaves it to one that does', async () => {
  const { id, fence } = await begun();
  expect(await world.run(id, { parts: elsewhere })).toMatchObject({ kind: 'not-now' });
  expect(await world.find(id)).toMatchObject({ status: 'queued', fence });
});

test('33. it parks the job of one that is paused, and ends the job of one that is cancelled', async () => {
  const { id, fence } = await begun();
  await command('pause', id);
  expect(await world.run(id, { parts: elsewhere })).toMatchObject({ kind: 'paused' });
  await command('cancel', id);
  expect(await world.run(id, { parts: elsewhere })).toMatchObject({
    kind: 'cancelled',
    report: { tenantId: 'doomed' },
  });
  expect(await world.find(id)).toMatchObject({ status: 'cancelled', fence });
});
