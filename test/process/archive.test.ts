import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type CliResult, runInProcess, spawnCli } from '../support/cli.ts';
import type { TestDatabase } from '../support/postgres.ts';
import type { PurgeWorld } from '../support/purge-world.ts';
import { createSmallApplication } from '../support/small-application.ts';
import { createWorld, makeTemplate } from '../support/test-world.ts';

let template: TestDatabase;
let world: PurgeWorld;
let folder: string;
let config: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'archive-process-'));
  config = join(folder, 'purge.config.json');
  template = await makeTemplate((url) => createSmallApplication(url, { doomed: 4, kept: 4 }));
  const archive = { dir: join(folder, 'archive') };
  world = await createWorld({ template: template.name, config: { archive } });
  writeFileSync(
    config,
    // Relative to the file, whatever the folder that the command is run in.
    JSON.stringify({ tenant: { table: 'public.tenants', key: 'id' }, archive: { dir: 'archive' } }),
  );
});
afterEach(async () => {
  await world?.close();
  await template?.drop();
  rmSync(folder, { recursive: true, force: true });
});

const tenantPurge = (...argv: string[]): Promise<CliResult> =>
  spawnCli([...argv, '--config', config], world.environment).result;
const inProcess = (...argv: string[]): Promise<CliResult> =>
  runInProcess([...argv, '--config', config], { env: world.environment });

it('an archive is made, checked, damaged, found out and thrown away by processes of their own', async () => {
  const worker = await world.spawnWorker();
  await worker.ready;
  const enqueue = ['enqueue', '--tenant', 'doomed', '--wait', '--json', '--confirm'];
  const purged = await tenantPurge(...enqueue, 'DELETE doomed');
  expect(purged.exitCode, purged.stderr).toBe(0);
  const [purge] = JSON.parse(purged.stdout).purges;
  expect(purge.archive).toMatchObject({
    location: expect.stringContaining(join(folder, 'archive')),
    rows: 26,
    undoable: true,
  });

  expect((await inProcess('archive', 'check', '--all')).exitCode).toBe(0);
  const lies = join(folder, 'archive', 'purges', purge.purgeId);
  const agents = readdirSync(lies).find((name) => name.includes('agents')) ?? '';
  const bytes = readFileSync(join(lies, agents));
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  writeFileSync(join(lies, agents), bytes);
  const damaged = await tenantPurge('archive', 'check', '--all');
  expect(damaged.exitCode).toBe(1);
  expect(damaged.stdout).toContain(agents);
  expect(damaged.stderr).toContain('ARCHIVE_DAMAGED');

  const unasked = await tenantPurge('archive', 'expire', 'doomed');
  expect(unasked.exitCode).toBe(3);
  expect(unasked.stderr).toContain(`EXPIRE ${purge.purgeId}`);
  expect(readdirSync(lies)).toContain(agents);
  const expired = await tenantPurge(
    'archive',
    'expire',
    'doomed',
    '--confirm',
    `EXPIRE ${purge.purgeId}`,
  );
  expect(expired.exitCode, expired.stderr).toBe(0);
  expect(readdirSync(join(folder, 'archive', 'purges'))).toEqual([]);
  const status = await inProcess('status', 'doomed');
  expect(status.stdout.replaceAll(/\s+/g, ' ')).toContain('this purge cannot be undone any more');
}, 180_000);
