import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { checkRows } from '../../../src/archive/check.ts';
import type { SegmentHandle, SegmentStore } from '../../../src/archive/store.ts';
import type { PurgeRecord } from '../../../src/domain/records.ts';
import type { EngineParts } from '../../../src/engine/parts.ts';
import { catalogueChecksum } from '../../support/catalogue-checksum.ts';
import type { TestDatabase } from '../../support/postgres.ts';
import type { LedgerRows, PurgeWorld } from '../../support/purge-world.ts';
import { createSmallApplication } from '../../support/small-application.ts';
import { createWorld, makeTemplate } from '../../support/test-world.ts';
import { makeFolder } from './archive-folder.ts';

let template: TestDatabase;
beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { a: 8, b: 8 }));
});
afterAll(() => template.drop());

let world: PurgeWorld;
let folder: string;
beforeEach(async () => {
  folder = await makeFolder();
});
afterEach(() => world.close());

async function open(dir = folder): Promise<PurgeRecord> {
  world = await createWorld({
    template: template.name,
    config: {
      archive: { dir },
      batch: { smallPurgeRows: 0, maxRows: 5, connections: 1 },
      redis: { keys: [] },
    },
  });
  return world.enqueueOne('a', { archive: true });
}

/** Everything that is gone is in the archive, and nothing in it is damaged. */
async function expectArchiveEqualsLedger({ id }: PurgeRecord): Promise<void> {
  const { ledger, store } = world.actor.archive;
  const record = await ledger.find(id);
  const chunks = await ledger.chunks(id);
  const check = await checkRows({
    store,
    folder: record?.folder ?? '',
    chunks,
    layouts: await ledger.layouts(id),
  });
  expect(check.problems).toEqual([]);
  const archived: Record<string, number> = {};
  for (const { kind, table, rows } of chunks) {
    if (kind === 'deleted') archived[table] = (archived[table] ?? 0) + rows;
  }
  expect(archived).toEqual(await world.ledgerRows(id));
}

/** Mounts a file system of so many MiB over the folder; null where that is not allowed. */
function mountSmall(mebibytes: number): { unmount(): void } | null {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder], {
      stdio: 'ignore',
    });
  } catch {
    return null;
  }
  return { unmount: () => execFileSync('umount', [folder]) };
}

test('38. a full disk rolls the batch back and holds the purge, which goes on once there is room', async (context) => {
  const disk = mountSmall(80);
  if (disk === null) return context.skip('this user may mount nothing');
  try {
    const purge = await open();
    const filler = join(folder, 'somebody-elses-file');
    let gone: LedgerRows = {};
    const parts = world.engine(async (name) => {
      if (name !== 'batch-committed' || Object.keys(gone).length > 0) return;
      gone = await world.ledgerRows(purge.id);
      if (Object.keys(gone).length > 0) fillUp(filler);
    });
    const outcome = await world.run(purge.id, { parts });
    expect(outcome).toMatchObject({ kind: 'interrupted', error: { code: 'ARCHIVE_FAILED' } });
    expect(await world.find(purge.id)).toMatchObject({
      status: 'interrupted',
      error: { message: expect.stringContaining('the disk is full (ENOSPC)') },
    });
    // A file's last page has room for a batch or two.
    expect(await world.value(`select count(*)::int from tenants where id = 'a'`)).toBe(1);
    await expectArchiveEqualsLedger(purge);
    rmSync(filler);
    expect(await world.run(purge.id)).toMatchObject({ kind: 'completed' });
    await expectArchiveEqualsLedger(purge);
  } finally {
    disk.unmount();
  }
});

/** Everything to the last byte. */
function fillUp(file: string): void {
  try {
    for (;;) writeFileSync(file, Buffer.alloc(1_000_000), { flag: 'a' });
  } catch {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(512), { flag: 'a' });
    } catch {
      return;
    }
  }
}

test('38. where the rows would not fit the purge is refused before anything is deleted', async (context) => {
  const disk = mountSmall(20);
  if (disk === null) return context.skip('this user may mount nothing');
  try {
    const purge = await open();
    const before = await catalogueChecksum(world.pool, { except: [] });
    const outcome = await world.run(purge.id);
    expect(outcome).toMatchObject({ kind: 'refused', error: { code: 'ARCHIVE_SPACE' } });
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
  } finally {
    disk.unmount();
  }
});

test('38. a folder that is none, or may not be written, deletes nothing', async () => {
  const file = join(folder, 'a-file');
  writeFileSync(file, '');
  const purge = await open(file);
  const before = await catalogueChecksum(world.pool, { except: [] });
  const outcome = await world.run(purge.id);
  expect(outcome).toMatchObject({ kind: 'interrupted', error: { code: 'ARCHIVE_FAILED' } });
  expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(before);
});

/** A disk that gives back something else than was written, once. */
function lyingStore(store: SegmentStore): SegmentStore {
  let lies = 1;
  const lying = (handle: SegmentHandle): SegmentHandle => ({
    name: handle.name,
    append: (bytes) => handle.append(bytes),
    sync: () => handle.sync(),
    close: () => handle.close(),
    readBack: async (range) => {
      const bytes = Buffer.from(await handle.readBack(range));
      if (lies > 0) {
        lies -= 1;
        bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      }
      return bytes;
    },
  });
  return {
    ...store,
    openSegment: async (inside, name) => {
      const handle = await store.openSegment(inside, name);
      return handle === null ? null : lying(handle);
    },
  };
}

test('38. what reads back as something else is not deleted', async () => {
  const purge = await open();
  const parts = world.engine();
  const { archive } = parts;
  if (archive === null) throw new Error('no archive');
  const lied: EngineParts = { ...parts, archive: { ...archive, store: lyingStore(archive.store) } };
  const outcome = await world.run(purge.id, { parts: lied });
  expect(outcome).toMatchObject({ kind: 'interrupted', error: { code: 'ARCHIVE_FAILED' } });
  expect(await world.batches(purge.id)).toBe(0);
  expect(await world.run(purge.id)).toMatchObject({ kind: 'completed' });
  await expectArchiveEqualsLedger(purge);
});

test('a worker that sees another archive does not claim the purge, and says why', async () => {
  const purge = await open();
  let hasBegun = false;
  const parts = world.engine(async (name) => {
    if (name === 'level-entered') hasBegun = true;
  });
  const stopReason = async (): Promise<string | null> =>
    hasBegun ? 'the worker shuts down' : null;
  await world.run(purge.id, { parts, control: { stopReason } });
  const { fence } = await world.find(purge.id);
  const other = await world.composeOther({ config: { archive: { dir: await makeFolder() } } });
  const said: string[] = [];
  const outcome = await world.run(purge.id, {
    parts: world.engine(undefined, other),
    control: { onMilestone: (text) => said.push(text) },
  });
  expect(outcome).toMatchObject({ kind: 'not-now' });
  expect(said.join('\n')).toMatch(/Not claimed by .*its archive lies at .* this process sees/);
  expect((await world.find(purge.id)).fence).toBe(fence);
});
