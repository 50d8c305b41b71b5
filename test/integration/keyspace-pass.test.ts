import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { provideRedisProgram } from '../../ops/services/redis-server.ts';
import { findFreePort } from '../../ops/services/server-process.ts';
import { connectRedis } from '../../src/redis/connect.ts';
import { type PassPage, passOverKeyspace } from '../../src/redis/keyspace-pass.ts';
import { until } from '../support/until.ts';

const KEYS = 12_000;

let folder: string;
let port: number;
let server: ChildProcess;
let redis: Redis;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keyspace-pass-'));
  port = await findFreePort();
  await start();
  redis = await connectRedis(`redis://127.0.0.1:${port}`, { name: 'keyspace-pass-test' });
  const pipeline = redis.pipeline();
  for (let key = 0; key < KEYS; key += 1) pipeline.set(`k:${key}`, '1');
  await pipeline.exec();
});
afterEach(async () => {
  redis.disconnect();
  await stop();
  rmSync(folder, { recursive: true, force: true });
});

async function start(): Promise<void> {
  const program = await provideRedisProgram(() => undefined);
  const settings = ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder];
  server = spawn(program, [...settings, '--save', '3600 1'], { stdio: 'ignore' });
  const probe = new Redis(port, '127.0.0.1', { retryStrategy: () => 50 });
  probe.on('error', () => undefined);
  await until('the server answers', 20_000, () =>
    probe.ping().then(
      () => true,
      () => null,
    ),
  );
  probe.disconnect();
}

/** With `--save` a SIGTERM saves the keys. */
async function stop(): Promise<void> {
  if (server.exitCode !== null) return;
  const ended = once(server, 'exit');
  server.kill('SIGTERM');
  await ended;
}

describe('A pass over the keyspace', () => {
  it('begins anew where the server is restarted meanwhile, and then sees every key', async () => {
    const pages: PassPage[] = [];
    for await (const page of passOverKeyspace(redis, 'k:*')) {
      pages.push(page);
      if (pages.length > 1) continue;
      await stop();
      await start();
    }
    const begins = pages.findIndex(({ isAnew }) => isAnew);
    expect(begins).toBeGreaterThan(0);
    expect(pages.filter(({ isAnew }) => isAnew)).toHaveLength(1);
    const again = pages.slice(begins);
    expect(new Set(again.flatMap(({ keys }) => keys)).size).toBe(KEYS);
    expect(new Set(again.map(({ serverRunId }) => serverRunId)).size).toBe(1);
    expect(again[0]?.serverRunId).not.toBe(pages[0]?.serverRunId);
  }, 60_000);
});
