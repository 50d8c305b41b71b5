import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { removeDataFolder } from '../../ops/services/data-folder.ts';
import { readCommandLine } from '../../ops/services/processes.ts';
import { isAlive, readRecord } from '../../ops/services/running-record.ts';
import { startServices } from '../../ops/services/start.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The superuser's URL of the run's PostgreSQL; test files make databases of their own in it. */
    databaseUrl: string;
    /** The run's Redis; test files claim a numbered database of it. */
    redisUrl: string;
  }
}

const dataParent = fileURLToPath(new URL('../../.data', import.meta.url));
const folderPattern = /^test-(\d+)$/;
const redisDatabases = 512;

/** One PostgreSQL and one Redis for the whole run, in a folder that goes with it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  forgetOperatorEnvironment();
  removeDeadRuns();
  const major = process.env['TEST_POSTGRES_VERSION'];
  const services = await startServices({
    dataDir: join(dataParent, `test-${process.pid}`),
    ephemeral: true,
    ...(major === undefined ? {} : { postgresVersion: major }),
    // Tests kill workers, never the machine: without fsync they are several times faster.
    postgres: { settings: { fsync: 'off', shared_buffers: '256MB' } },
    redis: { databases: redisDatabases },
  });
  project.provide('databaseUrl', services.databaseUrl);
  project.provide('redisUrl', services.redisUrl);
  return () => services.stop();
}

/** What is set in a developer's shell must neither aim a test at a real server nor change it. */
function forgetOperatorEnvironment(): void {
  for (const name of [
    'DATABASE_URL',
    'REDIS_URL',
    'QUEUE_REDIS_URL',
    'PGSSLMODE',
    'PGSSLROOTCERT',
    'PGOPTIONS',
    'REDIS_TLS_CA_FILE',
    'KEEP_TENANT_ID',
    'CONFIRM_CLEANUP',
    'ENVIRONMENT',
  ]) {
    delete process.env[name];
  }
}

/** Folders of runs whose guardian was killed too. */
function removeDeadRuns(): void {
  let names: string[];
  try {
    names = readdirSync(dataParent);
  } catch {
    return; // no run yet
  }
  for (const name of names) {
    const pid = folderPattern.exec(name)?.[1];
    if (pid === undefined || readCommandLine(Number(pid)) !== undefined) continue;
    const guardian = readRecord(join(dataParent, name))?.guardian;
    if (guardian === undefined || !isAlive(guardian)) removeDataFolder(join(dataParent, name));
  }
}
