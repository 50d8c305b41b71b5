import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { runBoardProcess } from '../../ops/board/main.ts';
import { runCommand } from '../../src/queue/commands.ts';
import { startWorker } from '../../src/runtime/worker-process.ts';
import {
  type Answer,
  type BoardFixture,
  call,
  type EnqueuedPurge,
  signIn,
  startBoardFixture,
} from '../support/board.ts';

const QUEUE = '/api/queues/tenant-purge';
const WAIT = { timeout: 30_000, interval: 50 };

describe('the board', () => {
  let fixture: BoardFixture;
  beforeAll(async () => {
    fixture = await startBoardFixture();
  });
  afterAll(() => fixture?.close());
  beforeEach(async () => {
    await runCommand(fixture.actor.reconcile, 'resume', {
      selection: { kind: 'live' },
      fleet: true,
      operator: 'test',
      waitMs: 0,
    });
  });

  const get = (path: string): Promise<Answer> => call(fixture.board.url, path);
  const act = (method: string, path: string, body?: unknown): Promise<Answer> =>
    call(fixture.board.url, path, { method, body });
  const stateOf = async ({ jobId }: EnqueuedPurge): Promise<string> =>
    (await fixture.actor.queue.bull.getJob(jobId))?.getState() ?? 'none';

  test('shows the queue by its name, under the title and the environment', async () => {
    const page = await get('/');
    expect(page.status).toBe(200);
    expect(page.text).toContain('<title>tenant-purge</title>');
    expect(page.text).toContain('"label":"test"');
    const { queues } = JSON.parse((await get('/api/queues')).text);
    expect(queues).toMatchObject([
      { name: 'tenant-purge', type: 'bullmq', readOnlyMode: false, allowRetries: false },
    ]);
  });

  test('lets a browser load nothing from elsewhere and show it in no frame', async () => {
    const { headers } = await get('/');
    expect(headers['content-security-policy']).toContain("default-src 'self'");
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
  });

  test("shows a purge by its tenant's label, with progress, log and the report", async () => {
    const purge = await fixture.enqueue({ label: 'Northwind Test 7' });
    const worker = startWorker(fixture.actor);
    try {
      await vi.waitFor(async () => expect(await stateOf(purge)).toBe('completed'), WAIT);
    } finally {
      await worker.stop();
    }

    await vi.waitFor(async () => {
      const { job, status } = JSON.parse((await get(`${QUEUE}/${purge.jobId}`)).text);
      expect(status).toBe('completed');
      expect(job.name).toBe('Northwind Test 7');
      expect(job.data).toEqual({ v: 1, purgeId: purge.id });
      expect(Object.keys(job.progress).sort()).toEqual(
        [
          'etaSec',
          'fence',
          'level',
          'progress',
          'rowsDeleted',
          'rowsPerSec',
          'rowsTotal',
          'stage',
          'table',
        ].sort(),
      );
      expect(job.progress).toMatchObject({ progress: 100, rowsDeleted: 61, rowsTotal: 61 });
      expect(job.returnValue).toMatchObject({
        purgeId: purge.id,
        tenantId: purge.tenantId,
        tenantLabel: 'Northwind Test 7',
        status: 'completed',
        rowsDeleted: 61,
        residue: [],
      });
      const logs: string[] = JSON.parse((await get(`${QUEUE}/${purge.jobId}/logs`)).text);
      expect(logs.join('\n')).toContain('Run ended: completed');
    }, WAIT);

    const retry = await act('PUT', `${QUEUE}/${purge.jobId}/retry`);
    expect(retry.status).toBe(403);
    expect(JSON.parse(retry.text).message).toContain(
      `tenant-purge enqueue --tenant ${purge.tenantId}`,
    );
    expect(await stateOf(purge)).toBe('completed');

    expect((await act('PUT', `${QUEUE}/${purge.jobId}/clean`)).status).toBe(204);
    expect((await fixture.find(purge.id)).status).toBe('completed');
  });

  test('pauses and resumes the queue', async () => {
    const { queue } = fixture.actor;
    for (const path of [QUEUE, '/api/queues']) {
      expect((await act('PUT', `${path}/pause`)).status).toBe(200);
      expect(await queue.isPaused()).toBe(true);
      expect((await act('PUT', `${path}/resume`)).status).toBe(200);
      expect(await queue.isPaused()).toBe(false);
    }
  });

  test('pauses in the ledger, so that nothing starts although Redis forgets', async () => {
    expect((await act('PUT', `${QUEUE}/pause`)).status).toBe(200);
    expect(await fixture.actor.commands.readControl()).toMatchObject({
      stopped: true,
      changedBy: 'local@board',
    });
    await fixture.actor.queue.bull.resume();
    const { queues } = JSON.parse((await get('/api/queues')).text);
    expect(queues).toMatchObject([{ isPaused: true }]);

    expect((await act('PUT', `${QUEUE}/resume`)).status).toBe(200);
    expect((await fixture.actor.commands.readControl()).stopped).toBe(false);
  });

  test('pauses in the ledger too where a script has paused the queue alone', async () => {
    await fixture.actor.queue.bull.pause();
    expect((await act('PUT', '/api/queues/pause')).status).toBe(200);
    expect((await fixture.actor.commands.readControl()).stopped).toBe(true);
  });

  test('promotes nothing while everything is paused, and names who did and the way', async () => {
    const purge = await fixture.enqueue({ label: 'Held' });
    await runCommand(fixture.actor.reconcile, 'pause', {
      selection: { kind: 'live' },
      fleet: true,
      operator: 'mia@cli',
      waitMs: 0,
    });
    for (const path of [QUEUE, `${QUEUE}/${purge.jobId}`]) {
      const refused = await act('PUT', `${path}/promote`);
      expect(refused.status).toBe(403);
      expect(JSON.parse(refused.text)).toEqual({
        error: { key: 'ERRORS.FORBIDDEN' },
        message:
          'Everything was paused by mia@cli: nothing would run. Release it first: Resume, or tenant-purge resume --all',
      });
    }
    expect((await fixture.find(purge.id)).status).toBe('paused');
  });

  test('promotes the parked job of a paused purge, which resumes it', async () => {
    const purge = await fixture.enqueue({ label: 'Parked' });
    const selection = { kind: 'purge', id: purge.id } as const;
    await runCommand(fixture.actor.reconcile, 'pause', {
      selection,
      fleet: false,
      operator: 'test',
      waitMs: 0,
    });
    const worker = startWorker(fixture.actor);
    try {
      await vi.waitFor(async () => expect((await fixture.find(purge.id)).parked).toBe(true), WAIT);
      expect(await stateOf(purge)).toBe('delayed');

      expect((await act('PUT', `${QUEUE}/${purge.jobId}/promote`)).status).toBe(204);
      await vi.waitFor(
        async () => expect((await fixture.find(purge.id)).status).toBe('completed'),
        WAIT,
      );
    } finally {
      await worker.stop();
    }
  });

  test('does not promote a purge that is not due yet, and names the way', async () => {
    const purge = await fixture.enqueue({ label: 'Tomorrow', delayMs: 86_400_000 });
    const refused = await act('PUT', `${QUEUE}/${purge.jobId}/promote`);
    expect(refused.status).toBe(403);
    expect(JSON.parse(refused.text).message).toContain(`tenant-purge cancel ${purge.id}`);
    expect(await stateOf(purge)).toBe('delayed');
  });

  describe('refuses what the ledger would not notice, or would undo', () => {
    let purge: EnqueuedPurge;
    beforeAll(async () => {
      purge = await fixture.enqueue({ label: 'Untouched', delayMs: 86_400_000 });
    });

    const newJob = { name: 'x', data: { v: 1, purgeId: 'x' }, options: {} };
    test.each<[string, string, unknown, string]>([
      ['POST', 'add', newJob, 'tenant-purge enqueue'],
      ['PUT', 'empty', undefined, 'tenant-purge cancel --all'],
      ['PUT', 'obliterate', { force: true }, 'tenant-purge cancel --all'],
      ['PUT', 'clean/delayed', undefined, 'tenant-purge cancel --all'],
      ['PUT', 'clean/wait', undefined, 'tenant-purge cancel --all'],
      ['PUT', 'clean/active', undefined, 'tenant-purge cancel --all'],
      ['PUT', 'retry/failed', undefined, 'tenant-purge enqueue --tenant ID'],
      ['PUT', 'retry/completed', undefined, 'tenant-purge enqueue --tenant ID'],
      ['PUT', 'concurrency', { concurrency: 1 }, 'worker.slots'],
      ['PUT', 'rate-limit', { max: 1, duration: 1 }, 'tenant-purge --help'],
      ['PUT', 'JOB/clean', undefined, 'tenant-purge cancel PURGE'],
      ['PUT', 'JOB/retry', undefined, 'tenant-purge enqueue --tenant TENANT'],
      ['PATCH', 'JOB/update-data', { jobData: {} }, 'tenant-purge enqueue --tenant ID'],
      ['PATCH', 'JOB/delay', { runAt: 0 }, '--delay 24h'],
      ['PATCH', 'JOB/priority', { priority: 1 }, 'tenant-purge --help'],
    ])('%s %s', async (method, path, body, command) => {
      const jobBefore = (await fixture.actor.queue.bull.getJob(purge.jobId))?.asJSON();
      const countsBefore = await fixture.actor.queue.bull.getJobCounts();

      const answer = await act(method, `${QUEUE}/${path.replace('JOB', purge.jobId)}`, body);

      expect(answer.status).toBe(403);
      const { error, message } = JSON.parse(answer.text);
      expect(error).toEqual({ key: 'ERRORS.FORBIDDEN' });
      expect(message).toContain(
        command.replace('PURGE', purge.id).replace('TENANT', purge.tenantId),
      );
      expect((await fixture.actor.queue.bull.getJob(purge.jobId))?.asJSON()).toEqual(jobBefore);
      expect(await fixture.actor.queue.bull.getJobCounts()).toEqual(countsBefore);
      expect(await fixture.actor.queue.bull.getGlobalConcurrency()).toBeNull();
    });
  });

  test.each<[string, Record<string, string>]>([
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['a sibling of this site', { 'sec-fetch-site': 'same-site' }],
    ['another origin', { origin: 'https://evil.example' }],
    ['another port of this machine', { origin: 'http://127.0.0.1:1' }],
    ['a sandboxed page', { origin: 'null' }],
  ])('refuses an action that a page of %s asks for', async (_, headers) => {
    const refused = await call(fixture.board.url, `${QUEUE}/pause`, { method: 'PUT', headers });
    expect(refused.status).toBe(403);
    expect(JSON.parse(refused.text).message).toContain('another page');
    expect(await fixture.actor.queue.isPaused()).toBe(false);
  });

  test("lets the board's own page act", async () => {
    const { origin } = new URL(fixture.board.url);
    const headers = { 'sec-fetch-site': 'same-origin', origin };
    const paused = await call(fixture.board.url, `${QUEUE}/pause`, { method: 'PUT', headers });
    expect(paused.status).toBe(200);
  });

  test('serves no page whose name was made to lead to this machine', async () => {
    const refused = await call(fixture.board.url, '/api/queues', {
      headers: { host: 'rebound.example:3000' },
    });
    expect(refused.status).toBe(403);
    expect(refused.text).toContain('BOARD_PASSWORD');
    const { port } = new URL(fixture.board.url);
    for (const host of [`localhost:${port}`, `[::1]:${port}`]) {
      const { status } = await call(fixture.board.url, '/api/queues', { headers: { host } });
      expect(status).toBe(200);
    }
  });

  test('says so when its port is taken', async () => {
    const port = Number(new URL(fixture.board.url).port);
    const { config } = fixture;
    await expect(
      runBoardProcess({ ...config, board: { ...config.board, port } }),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `The board cannot start: port ${port} is taken.`,
      remedy: expect.stringContaining('BOARD_PORT'),
    });
  });

  test.each(['0.0.0.0', '::'])(
    'does not open %s to others without a password, whatever the configuration let pass',
    async (host) => {
      const { config } = fixture;
      await expect(
        runBoardProcess({ ...config, board: { ...config.board, host } }),
      ).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        remedy: expect.stringContaining('BOARD_PASSWORD'),
      });
    },
  );
});

describe('a board with a password', () => {
  const password = 'pässwörd: with a colon';
  let fixture: BoardFixture;
  beforeAll(async () => {
    fixture = await startBoardFixture({ BOARD_USER: 'mia', BOARD_PASSWORD: password });
  });
  afterAll(() => fixture?.close());

  test('serves nothing to who does not know it', async () => {
    const tries: Record<string, string>[] = [
      {},
      signIn(`mia:${password} `),
      signIn('mia:'),
      signIn(`operator:${password}`),
      { authorization: `Bearer ${Buffer.from(`mia:${password}`).toString('base64')}` },
      { authorization: 'Basic' },
    ];
    for (const headers of tries) {
      for (const path of ['/', '/api/queues', '/static/favicon.ico']) {
        const refused = await call(fixture.board.url, path, { headers });
        expect(refused.status).toBe(401);
        expect(refused.headers['www-authenticate']).toContain('Basic realm="tenant-purge"');
      }
    }
    const pause = await call(fixture.board.url, `${QUEUE}/pause`, { method: 'PUT' });
    expect(pause.status).toBe(401);
    expect(await fixture.actor.queue.isPaused()).toBe(false);
  });

  test('serves who knows it, under whatever name, but no page of another site', async () => {
    const headers = { ...signIn(`mia:${password}`), host: 'board.example' };
    expect((await call(fixture.board.url, '/api/queues', { headers })).status).toBe(200);
    const forged = await call(fixture.board.url, `${QUEUE}/pause`, {
      method: 'PUT',
      headers: { ...headers, 'sec-fetch-site': 'cross-site' },
    });
    expect(forged.status).toBe(403);
    const paused = await call(fixture.board.url, `${QUEUE}/pause`, {
      method: 'PUT',
      headers: { ...headers, origin: 'https://board.example' },
    });
    expect(paused.status).toBe(200);
    expect(await fixture.actor.queue.isPaused()).toBe(true);
  });
});

describe('the board as a process', () => {
  test('prints where it is, and ends on SIGTERM with exit code 0', async () => {
    const fixture = await startBoardFixture();
    const folder = await mkdtemp(join(tmpdir(), 'board-'));
    let child: ChildProcess | undefined;
    try {
      await writeFile(join(folder, 'purge.config.json'), '{"tenant":{"table":"public.tenants"}}');
      const main = fileURLToPath(new URL('../../ops/board/main.ts', import.meta.url));
      child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), main], {
        cwd: folder,
        env: {
          ...process.env,
          DATABASE_URL: fixture.config.databaseUrl,
          REDIS_URL: fixture.config.redisUrl,
          BOARD_PORT: '0',
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let printed = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        printed += chunk.toString('utf8');
      });
      const ended = once(child, 'exit');
      await vi.waitFor(() => expect(printed).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\n$/), WAIT);
      expect((await call(printed.trim(), '/api/queues')).status).toBe(200);

      child.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
    } finally {
      child?.kill('SIGKILL');
      await rm(folder, { recursive: true });
      await fixture.close();
    }
  });
});
