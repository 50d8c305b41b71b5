import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { removeDataFolder } from '../../ops/services/data-folder.ts';
import { waitUntil } from '../../ops/services/processes.ts';
import { isAlive, type RecordedProcess, readRecord } from '../../ops/services/running-record.ts';
import { resolveServices, startServices } from '../../ops/services/start.ts';

const holderProgram = fileURLToPath(new URL('./services-holder.ts', import.meta.url));
const endLimitMs = 30_000;
const small = { postgres: { settings: { fsync: 'off', shared_buffers: '32MB' } } };

let parent: string;
let dataDir: string;
const holders: ChildProcess[] = [];

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'services-')); // mode 0700: closed to PostgreSQL's user
  dataDir = join(parent, 'data');
});

afterEach(async () => {
  for (const holder of holders.splice(0)) {
    if (holder.exitCode !== null || holder.signalCode !== null) continue;
    holder.kill('SIGKILL');
    await once(holder, 'exit');
  }
  await waitUntil(() => readRecord(dataDir) === undefined, endLimitMs);
  removeDataFolder(dataDir);
  rmSync(parent, { recursive: true, force: true });
});

describe('services', () => {
  test('run below a folder that other users cannot enter, and keep their data', async () => {
    const first = await startServices({ ...small, dataDir });
    await query(first.databaseUrl, 'create table kept (n int)');
    expect(await ping(first.redisUrl)).toBe('PONG');
    await first.stop();
    await first.stop();
    expect(await first.ended).toBeUndefined();

    const second = await startServices({ ...small, dataDir });
    expect(await query(second.databaseUrl, 'select count(*)::int as n from kept')).toEqual([
      { n: 0 },
    ]);
    await second.stop();

    const fresh = await startServices({ ...small, dataDir, fresh: true });
    const found = await query(fresh.databaseUrl, "select to_regclass('kept') as found");
    expect(found).toEqual([{ found: null }]);
    await fresh.stop();
  });

  test('remove an ephemeral folder when they stop', async () => {
    const services = await startServices({ ...small, dataDir, ephemeral: true });
    await services.stop();
    expect(existsSync(dataDir)).toBe(false);
  });

  test.each(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    'leave no process behind when %s ends their caller, and start again at once',
    async (signal) => {
      const holder = await hold();
      const processes = recordedProcesses();
      expect(processes.map(isAlive)).toEqual([true, true, true]);
      holder.kill(signal);
      const next = await startServices({ ...small, dataDir });
      expect(processes.map(isAlive)).toEqual([false, false, false]);
      expect(await query(next.databaseUrl, 'select 1 as one')).toEqual([{ one: 1 }]);
      await next.stop();
    },
  );

  test('end by themselves, without a next start, when their caller is killed', async () => {
    const holder = await hold();
    const processes = recordedProcesses();
    holder.kill('SIGKILL');
    const gone = await waitUntil(() => !processes.some(isAlive), endLimitMs);
    expect(gone).toBe(true);
    expect(readRecord(dataDir)).toBeUndefined();
  });

  test('are cleaned up by the next start when their guardian was killed as well', async () => {
    const holder = await hold();
    const processes = recordedProcesses();
    const [guardian] = processes;
    process.kill(guardian?.pid ?? Number.NaN, 'SIGKILL');
    holder.kill('SIGKILL');
    const next = await startServices({ ...small, dataDir });
    expect(processes.map(isAlive)).toEqual([false, false, false]);
    await next.stop();
  });

  test('refuse a folder that a living run uses, and leave that run alone', async () => {
    const holder = await hold();
    await expect(startServices({ ...small, dataDir })).rejects.toThrow(
      /Another run \(process \d+\) already uses .*data\. End it first, or choose another folder\./,
    );
    expect(recordedProcesses().map(isAlive)).toEqual([true, true, true]);
    expect(holder.exitCode).toBeNull();
  });

  test('stand back, each by itself, for a server that the environment names', async () => {
    const databaseUrl = 'postgres://app@db.example.test/app';
    const services = await resolveServices({ dataDir }, { DATABASE_URL: databaseUrl });
    expect(services.databaseUrl).toBe(databaseUrl);
    expect(services.own).toEqual({ postgres: false, redis: true });
    expect(await ping(services.redisUrl)).toBe('PONG');
    await services.stop();
  });

  test('name the version that is not installed and the command that installs it', async () => {
    await expect(startServices({ dataDir, postgresVersion: '9' })).rejects.toThrow(
      'PostgreSQL 9 is not installed here.',
    );
  });
});

async function hold(): Promise<ChildProcess> {
  mkdirSync(dataDir, { recursive: true });
  const holder = spawn(
    process.execPath,
    ['--import', 'tsx', holderProgram, JSON.stringify({ ...small, dataDir })],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  holders.push(holder);
  for await (const line of createInterface({ input: holder.stdout })) {
    expect(JSON.parse(line)).toHaveProperty('redisUrl');
    return holder;
  }
  throw new Error('The holder ended before its services were ready.');
}

function recordedProcesses(): RecordedProcess[] {
  const record = readRecord(dataDir);
  return record === undefined ? [] : [record.guardian, ...record.servers];
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function ping(url: string): Promise<string> {
  const client = new Redis(url);
  try {
    return await client.ping();
  } finally {
    client.disconnect();
  }
}
