import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { at, keysOf, type OrphanWorld, openOrphanWorld } from '../support/orphan-world.ts';

const HERE = '11111111-0000-4000-8000-000000000001';
const GONE = '22222222-0000-4000-8000-000000000002';

let world: OrphanWorld;
beforeEach(async () => {
  world = await openOrphanWorld([HERE]);
  await world.write([...keysOf(HERE, 2), ...keysOf(GONE, 150)]);
});
afterEach(() => world?.close());

async function deletedRun(): Promise<string> {
  const { exitCode, document } = await world.deleteAll();
  expect(exitCode).toBe(0);
  return String(document['runId']);
}
/** Ends before its time, with the keys of one pipeline archived and gone. */
async function stoppedRun(): Promise<string> {
  const stop = new AbortController();
  const { deletion } = await world.deleteWith(
    at('before-unlink', async () => stop.abort()),
    stop.signal,
  );
  expect(deletion.isDone).toBe(false);
  return deletion.runId;
}
const folderOf = (runId: string): string => join(world.folder, 'archive', 'orphans', runId);
const segmentsOf = (runId: string): string[] =>
  readdirSync(folderOf(runId)).filter((name) => name.endsWith('.gz'));
const ageBy = (days: number): Promise<unknown> =>
  world.pool.query(
    `update tenant_purge.orphan_run set ended_at = ended_at - ${days} * interval '1 day'`,
  );
const expiryMarks = async (): Promise<object[]> => {
  const { rows } = await world.pool.query(
    'select expired_at, expired_by from tenant_purge.orphan_run',
  );
  return rows;
};
const expiries = async (): Promise<object[]> => {
  const { rows } = await world.pool.query(
    "select actor, details from tenant_purge.event where kind = 'orphans expired'",
  );
  return rows;
};

/** Of the only archive, which is damaged. */
const problems = async (): Promise<unknown> => {
  const { exitCode, document } = await world.json('archive', 'check', '--all');
  expect(exitCode).toBe(1);
  expect(document).toMatchObject({ error: { code: 'ARCHIVE_DAMAGED' } });
  const [archive] = document['archives'] as { problems: unknown }[];
  return archive?.problems;
};

describe('archive check', () => {
  it('reads the archives of orphans too, all of them or by name', async () => {
    const runId = await deletedRun();
    const archives = [
      {
        archive: `orphans/${runId}`,
        verdict: 'sound',
        keys: 150,
        chunks: 2,
        problems: [],
        ignored: [],
      },
    ];
    for (const word of ['--all', runId, `orphans/${runId}`]) {
      expect(await world.json('archive', 'check', word)).toMatchObject({
        exitCode: 0,
        document: { sound: 1, damaged: 0, archives },
      });
    }
    expect((await world.run('archive', 'check', runId)).stdout).toContain('150 keys');
    expect((await world.json('archive', 'check', `orphans/${GONE}`)).document).toMatchObject({
      error: { code: 'NOT_FOUND', details: { runs: [`orphans/${runId}`] } },
    });
  });

  it('names a damaged chunk, a segment that is missing, and a manifest that says something else', async () => {
    const runId = await deletedRun();
    const [segment = ''] = segmentsOf(runId);
    const path = join(folderOf(runId), segment);
    const manifest = join(folderOf(runId), 'manifest.json');
    const [bytes, text] = [readFileSync(path), readFileSync(manifest, 'utf8')];
    const flipped = Buffer.from(bytes);
    flipped[30] = (flipped[30] ?? 0) ^ 1;
    writeFileSync(path, flipped);
    expect(await problems()).toMatchObject([{ segment, offset: 0 }]);
    rmSync(path);
    expect(await problems()).toMatchObject([{ segment, offset: null, what: 'is missing' }]);
    writeFileSync(path, bytes);
    for (const [other, what] of [
      [text.replace(runId, GONE), 'is not that of this run'],
      [text.replace('"keys": 150', '"keys": 149'), 'counts 149 keys; the ledger has 150'],
      [text.slice(1), 'is no JSON'],
    ] as const) {
      writeFileSync(manifest, other);
      expect(await problems()).toMatchObject([{ segment: 'manifest.json', what }]);
    }
    rmSync(manifest);
    expect(await problems()).toMatchObject([{ segment: 'manifest.json', what: 'is missing' }]);
  });

  it('takes a run that has not ended as it is, and names what no pipeline has committed', async () => {
    const runId = await stoppedRun();
    const [segment = ''] = segmentsOf(runId);
    appendFileSync(join(folderOf(runId), segment), 'of a killed process');
    writeFileSync(join(folderOf(runId), '000009-001.keys.gz'), 'of another');
    rmSync(join(folderOf(runId), 'manifest.json'));
    expect((await world.json('archive', 'check', runId)).document).toMatchObject({
      archives: [
        {
          verdict: 'sound',
          keys: 100,
          ignored: [
            { file: segment, bytes: 19 },
            { file: '000009-001.keys.gz', offset: 0 },
          ],
        },
      ],
    });
    // Ended by its restore, it has a manifest that says what there is.
    expect((await world.json('redis', 'orphans', '--restore', runId)).exitCode).toBe(0);
    expect((await world.json('archive', 'check', runId)).document).toMatchObject({ sound: 1 });
  });
});

describe('archive expire', () => {
  it('throws away what is older than archive.keepDays, with the phrase; the ledger keeps that it was there', async () => {
    const runId = await deletedRun();
    const asked = await world.json('archive', 'expire', '--dry-run');
    expect(asked.document).toMatchObject({ orphans: [], phrase: null });
    await ageBy(31);

    const phrase = `EXPIRE ${runId}`;
    const dry = await world.json('archive', 'expire', '--dry-run');
    expect(dry).toMatchObject({
      exitCode: 0,
      document: {
        dryRun: true,
        archives: [],
        orphans: [{ runId, keys: 150, folder: `orphans/${runId}`, undoable: true }],
        phrase,
      },
    });
    const refused = await world.json('archive', 'expire');
    expect(refused).toMatchObject({
      exitCode: 3,
      document: { error: { code: 'CONFIRMATION_REQUIRED', details: { expected: phrase } } },
    });
    expect(existsSync(folderOf(runId))).toBe(true);
    expect(await expiries()).toEqual([]);

    const done = await world.json('archive', 'expire', '--confirm', phrase);
    expect(done).toMatchObject({
      exitCode: 0,
      document: { expiredRuns: [runId], keptRuns: [], foldersRemoved: 1 },
    });
    expect(existsSync(folderOf(runId))).toBe(false);
    expect(await expiries()).toMatchObject([
      { actor: expect.stringContaining('@'), details: { run: runId } },
    ]);
    expect(await expiryMarks()).toEqual([
      { expired_at: expect.any(Date), expired_by: expect.stringContaining('@') },
    ]);
    expect((await world.json('archive', 'list')).document).toMatchObject({
      orphans: [
        {
          runId,
          keys: 150,
          expiredAt: expect.any(String),
          expiredBy: expect.stringContaining('@'),
          undoable: false,
        },
      ],
    });
    expect((await world.run('archive', 'list')).stdout).toContain('expired');

    const again = await world.run('archive', 'expire', runId);
    expect(again.exitCode).toBe(0);
    expect(again.stdout).toContain('nothing was thrown away');
    expect((await world.json('archive', 'check', runId)).document).toMatchObject({ skipped: 1 });
    expect(await world.json('redis', 'orphans', '--restore', runId)).toMatchObject({
      exitCode: 3,
      document: { error: { code: 'ARCHIVE_EXPIRED' } },
    });
    expect(await expiries()).toHaveLength(1);
  });

  it('counts several archives in one phrase, and lists them for who types it', async () => {
    await deletedRun();
    await world.write(keysOf(GONE, 3));
    await deletedRun();
    const phrase = 'EXPIRE 2 ARCHIVES';
    expect((await world.json('archive', 'expire', '--older-than', '0s')).document).toMatchObject({
      error: { details: { expected: phrase } },
    });
    const { stdout } = await world.run('archive', 'expire', '--older-than', '0s', '--dry-run');
    expect(stdout).toContain('2 archives of redis orphans');
    expect(stdout.split('\n').filter((line) => line.length > 130)).toEqual([]);
    const argv = ['--older-than', '0s', '--confirm', phrase];
    expect((await world.run('archive', 'expire', ...argv)).stdout).toContain(
      '2 archives expired, 2 folders removed.',
    );
  });

  it('leaves a run that has not ended, by age and by name', async () => {
    const runId = await stoppedRun();
    const phrase = `EXPIRE ${runId}`;
    expect((await world.json('archive', 'expire', '--older-than', '0s')).document).toMatchObject({
      orphans: [],
    });
    expect(await world.json('archive', 'expire', runId, '--confirm', phrase)).toMatchObject({
      exitCode: 3,
      document: { error: { code: 'STATUS_CONFLICT' } },
    });
    expect(existsSync(folderOf(runId))).toBe(true);
  });

  it('leaves one that is being restored, and one at another place', async () => {
    const runId = await deletedRun();
    const argv = ['archive', 'expire', runId, '--confirm', `EXPIRE ${runId}`];
    const heartbeat = (to: string): Promise<unknown> =>
      world.pool.query(`update tenant_purge.orphan_run set heartbeat_at = ${to}`);
    await heartbeat('clock_timestamp()');
    expect((await world.json(...argv)).document).toMatchObject({
      expiredRuns: [],
      keptRuns: [runId],
    });
    await heartbeat("'-infinity'");

    const [place, aside] = ['archive', 'aside'].map((name) => join(world.folder, name));
    if (place === undefined || aside === undefined) throw new Error('no folders');
    const mark = readFileSync(join(place, 'place.json'), 'utf8');
    writeFileSync(join(place, 'place.json'), mark.replace(/"id":"[^"]+"/, `"id":"${GONE}"`));
    expect(await world.json(...argv)).toMatchObject({
      exitCode: 3,
      document: { error: { code: 'ARCHIVE_PLACE' } },
    });
    const all = await world.json('archive', 'expire', '--older-than', '0s');
    expect(all.document).toMatchObject({ orphans: [], elsewhere: [{ runId, here: false }] });
    expect(existsSync(folderOf(runId))).toBe(true);
    expect(await expiries()).toEqual([]);
  });

  it('goes on where a process died between the ledger and the folder', async () => {
    const runId = await deletedRun();
    await world.json('archive', 'expire', runId, '--confirm', `EXPIRE ${runId}`);
    mkdirSync(folderOf(runId));
    expect((await world.json('archive', 'expire', '--dry-run')).document).toMatchObject({
      leftovers: [`orphans/${runId}`],
    });
    expect((await world.json('archive', 'expire')).document).toMatchObject({ foldersRemoved: 1 });
    expect(existsSync(folderOf(runId))).toBe(false);
    expect(await expiries()).toHaveLength(1);
  });
});
