import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { checkRows } from '../../../src/archive/check.ts';
import { archivedLines } from '../../support/archived-rows.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { makeFolder } from './archive-folder.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { a: 6 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
let folder: string;
beforeEach(async () => {
  folder = await makeFolder();
  world = await createWorld({
    template: template.name,
    config: {
      archive: { dir: folder },
      batch: { smallPurgeRows: 0, maxRows: 5, connections: 1 },
      redis: { keys: [] },
    },
  });
});
afterEach(() => world.close());

test('19. what a frozen worker has archived and not committed never counts, though it wakes later', async () => {
  const before = await world.pool.query('select t::text as line from public.messages t order by 1');
  const purge = await world.enqueueOne('a', { archive: true });
  let wake = (): void => undefined;
  const asleep = new Promise<void>((resolve) => {
    wake = resolve;
  });
  let frozen = (): void => undefined;
  const isFrozen = new Promise<void>((resolve) => {
    frozen = resolve;
  });
  let written = 0;
  const zombie = world.run(purge.id, {
    parts: world.engine(async (name) => {
      if (name !== 'archive-written') return;
      written += 1;
      if (written !== 3) return;
      frozen();
      await asleep;
    }),
  });
  await isFrozen;
  // The server ends the frozen session after a while; then the next holder gets its locks.
  expect(await world.run(purge.id)).toMatchObject({ kind: 'completed' });
  wake();
  expect(await zombie).toMatchObject({ kind: 'superseded' });

  const { ledger, store } = world.actor.archive;
  const record = await ledger.find(purge.id);
  const chunks = await ledger.chunks(purge.id);
  const check = await checkRows({
    store,
    folder: record?.folder ?? '',
    chunks,
    layouts: await ledger.layouts(purge.id),
  });
  expect(check.problems).toEqual([]);
  expect(check.ignored.some(({ file }) => file.startsWith('000001-'))).toBe(true);
  expect(new Set(chunks.map(({ fence }) => fence))).toEqual(new Set([1, 2]));
  const archived = await archivedLines(world, purge.id, 'deleted');
  expect(archived['public.messages']).toHaveLength(before.rows.length);
  expect(await world.ledgerRows(purge.id)).toMatchObject({
    'public.messages': before.rows.length,
  });
}, 60_000);
