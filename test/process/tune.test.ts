import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CliOptions, runForJson, runInProcess } from '../support/cli.ts';
import type { TestDatabase } from '../support/postgres.ts';
import type { PurgeWorld } from '../support/purge-world.ts';
import { createSmallApplication } from '../support/small-application.ts';
import { createWorld, makeTemplate } from '../support/test-world.ts';

let template: TestDatabase;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tune-'));
  writeFileSync(
    join(folder, 'purge.config.json'),
    JSON.stringify({ tenant: { table: 'public.tenants', key: 'id' } }),
  );
  template = await makeTemplate((url) => createSmallApplication(url, { a: 20 }));
});
afterAll(async () => {
  await template.drop();
  rmSync(folder, { recursive: true, force: true });
});

let world: PurgeWorld;
beforeEach(async () => {
  world = await createWorld({
    template: template.name,
    config: { batch: { maxRows: 4 }, throttle: { rowsPerSecMax: 8 } },
  });
});
afterEach(() => world.close());

const cli = (): CliOptions => ({ cwd: folder, env: world.environment });

describe('tune', () => {
  it('slows a purge down in mid-run, shows it in status, and lets it go again', async () => {
    const purge = await world.enqueueOne('a');
    world.startWorker();
    await world.untilStatus(purge.id, 'running');
    const tuned = await runForJson(
      ['tune', 'a', '--max-rows-per-sec', '8', '--target-ms', '50'],
      cli(),
    );
    expect(tuned).toEqual({
      exitCode: 0,
      document: {
        purges: [{ purgeId: purge.id, tenantId: 'a', tuned: { maxRowsPerSec: 8, targetMs: 50 } }],
      },
    });
    const { document } = await runForJson(['status', purge.id], cli());
    expect(document).toMatchObject({
      purges: [{ status: 'running', tuned: { maxRowsPerSec: 8, targetMs: 50 } }],
    });
    expect((await runInProcess(['status', purge.id], cli())).stdout).toContain(
      'Tuned: at most 8 rows/s, batches of 50 ms',
    );
    const slow = await world.batches(purge.id);
    // Slower than this it would be at it for a quarter of a minute.
    await runInProcess(['tune', purge.id, '--max-rows-per-sec', '0'], cli());
    await world.untilStatus(purge.id, 'completed');
    expect(await world.batches(purge.id)).toBeGreaterThan(slow);
    const { exitCode, document: refusal } = await runForJson(['tune', 'a', '--clear'], cli());
    expect({ exitCode, refusal }).toMatchObject({
      exitCode: 3,
      refusal: { error: { code: 'STATUS_CONFLICT' } },
    });
    const { rows } = await world.pool.query(
      `select kind, actor like '%@%' as named, details from tenant_purge.event
       where kind like 'tun%' order by id`,
    );
    expect(rows).toEqual([
      { kind: 'tuned', named: true, details: { maxRowsPerSec: 8, targetMs: 50 } },
      { kind: 'tuned', named: true, details: { maxRowsPerSec: 0 } },
    ]);
  });

  it('sets knobs of all purges one by one, and takes them back', async () => {
    await runForJson(['tune', '--all', '--max-rows', '100'], cli());
    const { document } = await runForJson(['tune', '--all', '--max-rows-per-sec', '5000'], cli());
    expect(document).toEqual({ fleet: { maxRows: 100, maxRowsPerSec: 5_000 }, purges: [] });
    expect((await runForJson(['tune', '--all', '--clear'], cli())).document).toEqual({
      fleet: {},
      purges: [],
    });
  });

  it.each([
    [['tune', '--all']],
    [['tune', 'a', '--all', '--clear']],
    [['tune', '--max-rows', '5']],
    [['tune', '--all', '--clear', '--max-rows', '5']],
    [['tune', '--all', '--target-ms', '0']],
    [['tune', '--all', '--max-rows-per-sec', 'many']],
  ])('refuses %j with 2', async (argv) => {
    expect((await runForJson(argv, cli())).exitCode).toBe(2);
  });

  it('knows nothing of what the ledger does not know', async () => {
    const { exitCode, document } = await runForJson(['tune', 'nobody', '--clear'], cli());
    expect(exitCode).not.toBe(0);
    expect(document).toMatchObject({ error: { code: 'NOT_FOUND' } });
  });
});
