import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkKeys, checkRows } from '../../src/archive/check.ts';
import { readManifest } from '../../src/archive/manifest.ts';
import type { PurgeRecord } from '../../src/domain/records.ts';
import { FAILPOINTS, type FailpointName } from '../../src/engine/failpoints.ts';
import { archivedKeys, archivedLines } from '../support/archived-rows.ts';
import {
  type CatalogueChecksum,
  catalogueChecksum,
  redisChecksum,
} from '../support/catalogue-checksum.ts';
import type { TestDatabase } from '../support/postgres.ts';
import type { LedgerRows, PurgeWorld } from '../support/purge-world.ts';
import { createSmallApplication } from '../support/small-application.ts';
import { createWorld, makeTemplate } from '../support/test-world.ts';
import { until } from '../support/until.ts';

// Every point once, in a real process; `batch-boundary-kill` kills at each batch besides.
const DOOMED = 'doomed';
/** Worlds side by side. */
const LANES = 7;
const BATCH = { smallPurgeRows: 0, maxRows: 8, connections: 1 };
const BY_BATCHES = { batch: BATCH };
const AT_ONCE = { batch: { ...BATCH, smallPurgeRows: 5_000 } };
/** A purge that no pass over Redis seals: it verifies and seals itself. */
const WITHOUT_KEYS = { batch: BATCH, redis: { keys: [] } };
type Way = typeof BY_BATCHES | typeof AT_ONCE | typeof WITHOUT_KEYS;

/** What an undisturbed run leaves. */
interface Undisturbed {
  readonly ledger: LedgerRows;
  readonly hits: ReadonlyMap<FailpointName, number>;
  readonly rows: CatalogueChecksum;
  readonly keys: Awaited<ReturnType<typeof redisChecksum>>;
  readonly archive: Awaited<ReturnType<typeof readArchive>>;
}

let template: TestDatabase;
const undisturbed = new Map<Way, Undisturbed>();

beforeAll(async () => {
  template = await makeTemplate((url) => createSmallApplication(url, { kept: 2, [DOOMED]: 3 }));
  await Promise.all(
    [BY_BATCHES, AT_ONCE, WITHOUT_KEYS].map(async (way) => {
      undisturbed.set(way, await runUndisturbed(way));
    }),
  );
});
afterAll(() => template.drop());

async function inWorld<Result>(
  way: Way,
  work: (world: PurgeWorld) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'archive-'));
  const world = await createWorld({
    template: template.name,
    config: {
      ...way,
      quiesce: { column: 'name', value: 'purging' },
      archive: { dir: folder },
    },
  });
  try {
    for (const id of ['kept', DOOMED]) {
      for (let n = 1; n <= 3; n += 1) await world.redis.set(`tenant:${id}:cache:${n}`, `${n}`);
    }
    return await work(world);
  } finally {
    await world.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What a restore would find: rows before and after each change, keys; with nothing wrong in it. */
async function readArchive(world: PurgeWorld, { id, tenantId }: PurgeRecord) {
  const { ledger, store } = world.actor.archive;
  const record = await until('the archive is sealed', 20_000, async () => {
    const found = await ledger.find(id);
    return found?.sealedAt == null ? null : found;
  });
  const [chunks, layouts, keyChunks] = await Promise.all([
    ledger.chunks(id),
    ledger.layouts(id),
    ledger.keyChunks(id),
  ]);
  const checks = [
    await checkRows({ store, folder: record.folder, chunks, layouts }),
    await checkKeys({ store, folder: 'sweeps', chunks: keyChunks }),
  ];
  expect(checks.flatMap(({ problems }) => problems)).toEqual([]);
  expect(await readManifest(store, record.folder)).toMatchObject({ status: 'completed', chunks });
  return {
    deleted: await archivedLines(world, id, 'deleted'),
    changed: await archivedLines(world, id, 'changed'),
    keys: await archivedKeys(world, id, tenantId),
  };
}

const runUndisturbed = (way: Way): Promise<Undisturbed> =>
  inWorld(way, async (world) => {
    const rows = await catalogueChecksum(world.pool, { except: [DOOMED] });
    const purge = await world.enqueueOne(DOOMED, { archive: true });
    const hits = new Map<FailpointName, number>();
    world.startWorker(async (name) => {
      hits.set(name, (hits.get(name) ?? 0) + 1);
    });
    await world.untilStatus(purge.id, 'completed');
    expect(await catalogueChecksum(world.pool, { except: [] })).toEqual(rows);
    const keys = await redisChecksum(world.redis, { except: [] });
    const archive = await readArchive(world, purge);
    return { ledger: await world.ledgerRows(purge.id), hits, rows, keys, archive };
  });

interface Kill {
  readonly way: Way;
  /** `name:count`. */
  readonly failpoint: string;
  /** SQL of what makes the run come to the point, and of what puts it right afterwards. */
  readonly trouble?: readonly [make: string, mend: string];
}

/** A worker dies at the point, another one goes on: nothing of it can be seen afterwards. */
const killAndResume = ({ way, failpoint, trouble }: Kill): Promise<void> =>
  inWorld(way, async (world) => {
    const expected = runOf(way);
    const purge = await world.enqueueOne(DOOMED, { archive: true });
    if (trouble !== undefined) await world.pool.query(trouble[0]);
    const worker = await world.spawnWorker({ failpoint });
    expect(await worker.exited, failpoint).toEqual({ code: null, signal: 'SIGKILL' });
    if (trouble !== undefined) await world.pool.query(trouble[1]);
    world.startWorker();
    const ended = await world.untilStatus(purge.id, 'completed', 40_000);
    const ledger = await world.ledgerRows(purge.id);
    expect(ledger, failpoint).toEqual(expected.ledger);
    const { redis: _, ...tables } = ledger;
    const deleted = Object.values(tables).reduce((sum, rows) => sum + rows, 0);
    expect(ended.rowsDeleted, failpoint).toBe(deleted);
    expect(await catalogueChecksum(world.pool, { except: [] }), failpoint).toEqual(expected.rows);
    expect(await redisChecksum(world.redis, { except: [] }), failpoint).toEqual(expected.keys);
    expect(await readArchive(world, purge), failpoint).toEqual(expected.archive);
  });

async function killAtEach(kills: Kill[]): Promise<void> {
  const lane = async (): Promise<void> => {
    for (let kill = kills.shift(); kill !== undefined; kill = kills.shift()) {
      await killAndResume(kill);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

function runOf(way: Way): Undisturbed {
  const run = undisturbed.get(way);
  if (run === undefined) throw new Error('no undisturbed run of this way');
  return run;
}

/** In the middle of the times that an undisturbed run comes to the point. */
function killInTheMiddle(way: Way, name: FailpointName): Kill {
  const hits = runOf(way).hits.get(name) ?? 0;
  return { way, failpoint: `${name}:${Math.ceil(hits / 2)}` };
}

/** Where a purge seals itself. */
const AT_SEAL: readonly FailpointName[] = ['before-seal', 'sealed'];
/** Only a run that is stopped or ends badly comes to it. */
const AT_SETTLE: readonly FailpointName[] = ['before-settle'];

test('every fault point is one that a purge comes to', () => {
  const reached = [BY_BATCHES, WITHOUT_KEYS].flatMap((way) => [...runOf(way).hits.keys()]);
  expect(new Set([...reached, ...AT_SETTLE])).toEqual(new Set(FAILPOINTS));
});

test.concurrent('a worker killed at any fault point leaves what an undisturbed run leaves', async () => {
  // Those of the sweep first: they wait longest, until a job looks again whether it was swept.
  const before = FAILPOINTS.toReversed().filter(
    (name) => ![...AT_SEAL, ...AT_SETTLE].includes(name),
  );
  await killAtEach([
    ...before.map((name) => killInTheMiddle(BY_BATCHES, name)),
    ...AT_SEAL.map((name) => killInTheMiddle(WITHOUT_KEYS, name)),
  ]);
}, 120_000);

test.concurrent('a worker killed around the one transaction of a small purge leaves the same', async () => {
  const names: FailpointName[] = [
    'before-batch',
    'before-commit',
    'archive-written',
    'batch-committed',
    'rows-done',
  ];
  await killAtEach(names.map((name) => ({ way: AT_ONCE, failpoint: `${name}:1` })));
}, 120_000);

test.concurrent('a worker killed between an error and its record leaves a purge that goes on', async () => {
  // A trigger that the approved plan does not know: drift.
  const make = `create function app.refuse() returns trigger language plpgsql as
      $$ begin raise exception 'not yet'; end $$;
    create trigger refuse before delete on public.conversations for each row execute function app.refuse()`;
  const trouble = [make, 'drop function app.refuse() cascade'] as const;
  await killAtEach([{ way: BY_BATCHES, failpoint: 'before-settle:1', trouble }]);
}, 120_000);
