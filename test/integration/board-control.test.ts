import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
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
const TOMORROW_MS = 86_400_000;
/** A connection to Redis that can be cut and mended. */
class Wire {
  readonly #open = new Set<Socket>();
  readonly #server = createServer((near) => this.#join(near));
  #target = { host: '', port: 0 };
  #isCut = false;

  async open(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** The same Redis database, by way of this wire. */
  urlTo(redisUrl: string): string {
    const url = new URL(redisUrl);
    this.#target = { host: url.hostname, port: Number(url.port) };
    const bound = this.#server.address();
    if (bound === null || typeof bound === 'string') throw new Error('no port');
    url.host = `127.0.0.1:${bound.port}`;
    return url.href;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#open) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #join(near: Socket): void {
    if (this.#isCut) {
      near.destroy();
      return;
    }
    const far = connect(this.#target);
    for (const socket of [near, far]) {
      this.#open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        near.destroy();
        far.destroy();
        this.#open.delete(socket);
      });
    }
    near.pipe(far).pipe(near);
  }
}

const NOWHERE = '00000000-0000-4000-8000-000000000000';

describe('the control pages', () => {
  let fixture: BoardFixture;
  beforeAll(async () => {
    fixture = await startBoardFixture({ BOARD_USER: 'mia', BOARD_PASSWORD: 'secret' });
  });
  afterAll(() => fixture?.close());
  afterEach(async () => {
    await post('/fleet/resume');
  });

  const headers = signIn('mia:secret');
  const get = (path: string): Promise<Answer> => call(fixture.board.url, path, { headers });
  const post = (path: string, body = ''): Promise<Answer> =>
    call(fixture.board.url, path, { method: 'POST', headers, body });
  const put = (path: string): Promise<Answer> =>
    call(fixture.board.url, path, { method: 'PUT', headers });
  const newEvents = async (work: () => Promise<unknown>): Promise<string[]> => {
    const before = (await fixture.boardEvents()).length;
    await work();
    return (await fixture.boardEvents()).slice(before);
  };
  const pathOf = async (purge: EnqueuedPurge): Promise<string> =>
    `/campaigns/${(await fixture.find(purge.id)).campaignId}`;

  test("write a tenant's name as it is, never as markup", async () => {
    const purge = await fixture.enqueue({ label: '<script>alert("1")</script>\' & co' });
    for (const path of [`/purges/${purge.id}`, `/purges/${purge.id}/cancel`, '/fleet']) {
      const page = await get(path);
      expect(page.status).toBe(200);
      expect(page.text).toContain(
        '&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39; &amp; co',
      );
      expect(page.text).not.toContain('<script>');
    }
  });

  test('write down each click, also one that had nothing to do', async () => {
    const purge = await fixture.enqueue({ label: 'Audited' });
    const path = `/purges/${purge.id}`;
    const events = await newEvents(async () => {
      for (const action of ['pause', 'pause', 'resume']) {
        const { status, headers: answered } = await post(`${path}/${action}`);
        expect(status).toBe(303);
        expect(answered['location']).toMatch(new RegExp(`^${path}(\\?came=idle)?$`));
      }
    });
    expect(events.toSorted()).toEqual([
      'mia@board: pause asked',
      'mia@board: pause asked again',
      'mia@board: resume asked',
    ]);
    expect((await get(`${path}?came=idle`)).text).toContain('There was nothing to do');
    expect((await get(`${path}?came=%3Cb%3E`)).text).not.toContain('<b>');
  });

  test('pause a purge that is in no level at once, also when asked for after its level', async () => {
    const purge = await fixture.enqueue({ label: 'No level' });
    await post(`/purges/${purge.id}/pause-after-level`);
    expect((await fixture.find(purge.id)).status).toBe('paused');
  });

  test('pause, resume and cancel the purges of one campaign, and no others', async () => {
    const purge = await fixture.enqueue({ label: 'Inside', delayMs: TOMORROW_MS });
    const other = await fixture.enqueue({ label: 'Outside', delayMs: TOMORROW_MS });
    const path = await pathOf(purge);

    await post(`${path}/pause`);
    expect((await fixture.find(purge.id)).status).toBe('paused');
    await post(`${path}/resume`);
    expect((await fixture.find(purge.id)).status).toBe('queued');

    const { campaignId } = await fixture.find(purge.id);
    const wrong = await post(`${path}/cancel`, 'phrase=yes');
    expect(wrong.status).toBe(422);
    expect(wrong.text).toContain('Nothing was cancelled');
    expect((await fixture.find(purge.id)).status).toBe('queued');
    expect((await post(`${path}/cancel`, `phrase=${campaignId}`)).status).toBe(303);
    expect((await fixture.find(purge.id)).status).toBe('cancelled');
    expect((await fixture.find(other.id)).status).toBe('scheduled');
  });

  test('show the reason of a stop that only Redis knows', async () => {
    await fixture.actor.queue.bull.pause();
    expect((await get('/fleet')).text).toContain('the ledger knows of no stop');
    await post('/fleet/resume');
    expect(await fixture.actor.queue.isPaused()).toBe(false);
    expect((await get('/fleet')).text).toContain('No worker is connected');
  });

  test("go through the ledger for Bull Board's own buttons, with their operator", async () => {
    const purge = await fixture.enqueue({ label: 'Bull' });
    const events = await newEvents(async () => {
      await put(`${QUEUE}/pause`);
      await put(`${QUEUE}/resume`);
      await put(`${QUEUE}/empty`);
    });
    expect(events).toEqual(
      expect.arrayContaining([
        'mia@board: fleet stopped',
        'mia@board: fleet released',
        'mia@board: board action refused',
      ]),
    );

    const worker = startWorker(fixture.actor);
    try {
      await post(`/purges/${purge.id}/pause`);
      await vi.waitFor(
        async () =>
          expect(['completed', 'paused']).toContain((await fixture.find(purge.id)).status),
        WAIT,
      );
      if ((await fixture.find(purge.id)).status === 'paused') {
        await vi.waitFor(
          async () => expect((await fixture.find(purge.id)).parked).toBe(true),
          WAIT,
        );
        expect(
          await newEvents(async () => {
            expect((await put(`${QUEUE}/${purge.jobId}/promote`)).status).toBe(204);
          }),
        ).toEqual(['mia@board: resume asked']);
      }
      await vi.waitFor(
        async () => expect((await fixture.find(purge.id)).status).toBe('completed'),
        WAIT,
      );
    } finally {
      await worker.stop();
    }
    expect(
      await newEvents(async () => {
        await vi.waitFor(
          async () => expect((await put(`${QUEUE}/${purge.jobId}/clean`)).status).toBe(204),
          WAIT,
        );
      }),
    ).toContain('mia@board: clean asked');
  });

  test('answer for what the ledger does not know, and for no id at all', async () => {
    for (const path of [`/purges/${NOWHERE}`, '/purges/x', `/campaigns/${NOWHERE}`]) {
      expect((await get(path)).status).toBe(404);
      expect((await post(`${path}/pause`)).status).toBe(404);
      expect((await post(`${path}/cancel`)).status).toBe(404);
    }
  });

  test("refuse another page's form", async () => {
    const purge = await fixture.enqueue({ label: 'Forged' });
    for (const forged of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'null' }]) {
      const answer = await call(fixture.board.url, `/purges/${purge.id}/pause`, {
        method: 'POST',
        headers: { ...headers, accept: 'text/html', ...forged },
        body: '',
      });
      expect(answer.status).toBe(403);
      expect(answer.text).toContain('asked for by another page');
    }
    expect((await fixture.find(purge.id)).status).toBe('queued');
  });
});

describe('a board whose queue is away', () => {
  test('pauses in the ledger, shows it, and says that the queue does not know', async () => {
    const wire = new Wire();
    await wire.open();
    const fixture = await startBoardFixture((redisUrl) => ({
      QUEUE_REDIS_URL: wire.urlTo(redisUrl),
    }));
    try {
      const purge = await fixture.enqueue({ label: 'Northwind' });
      wire.cut();
      const before = performance.now();
      const fleet = await call(fixture.board.url, '/fleet');
      expect(performance.now() - before).toBeLessThan(5_000);
      expect(fleet.text).toContain('The queue does not answer');

      const paused = await call(fixture.board.url, '/fleet/pause', { method: 'POST', body: '' });
      expect(paused.headers['location']).toBe('/fleet?came=untold');
      expect((await fixture.find(purge.id)).status).toBe('paused');
      const told = await call(fixture.board.url, '/fleet?came=untold');
      expect(told.text).toContain('Everything is paused');
      expect(told.text).toContain('The queue does not know yet');
    } finally {
      wire.mend();
      await fixture.close();
      wire.close();
    }
  });
});

describe('a board behind a proxy that signs people in', () => {
  const origin = 'https://purge.example.com';
  let fixture: BoardFixture;
  beforeAll(async () => {
    fixture = await startBoardFixture({
      BOARD_TRUSTED_HEADER: 'X-Forwarded-User',
      BOARD_ORIGIN: origin,
      BOARD_OPERATORS: 'mia@example.com',
      BOARD_VIEWER_PASSWORD: 'look',
    });
  });
  afterAll(() => fixture?.close());

  const ask = (headers: Record<string, string>, path = '/fleet', method = 'GET'): Promise<Answer> =>
    call(fixture.board.url, path, { method, headers });
  const mia = { 'x-forwarded-user': 'mia@example.com' };

  test('knows its operators by name, and lets the others look', async () => {
    expect((await ask(mia)).text).toContain('mia@example.com');
    const ben = { 'x-forwarded-user': 'ben@example.com' };
    expect((await ask(ben)).text).toContain('ben@example.com, looks only');
    for (const headers of [ben, signIn('viewer:look')]) {
      for (const [method, path] of [
        ['PUT', `${QUEUE}/pause`],
        ['POST', '/fleet/pause'],
        ['PATCH', `${QUEUE}/x/update-data`],
        ['DELETE', '/fleet'],
      ] as const) {
        const refused = await ask(headers, path, method);
        expect(refused.status).toBe(403);
        expect(JSON.parse(refused.text).message).toContain('looks only');
      }
    }
    expect(await fixture.actor.commands.readControl()).toMatchObject({ stopped: false });

    const paused = await ask({ ...mia, origin }, '/fleet/pause', 'POST');
    expect(paused.status).toBe(303);
    const events = await fixture.boardEvents();
    expect(events).toContain('mia@example.com@board: fleet stopped');
    expect(
      events.filter((event) => event === 'ben@example.com@board: board action refused'),
    ).toHaveLength(4);
  });

  test('lets nobody in without a name, or with two', async () => {
    for (const headers of [{}, { 'x-forwarded-user': ' ' }, signIn('viewer:guess')]) {
      expect((await ask(headers)).status).toBe(401);
    }
    const two = await call(fixture.board.url, '/fleet', {
      headers: { 'x-forwarded-user': ['eve', 'mia@example.com'] },
    });
    expect(two.status).toBe(401);
  });

  test('is changed from its own address only, under whatever name the proxy asks', async () => {
    for (const other of ['https://evil.example', new URL(fixture.board.url).origin]) {
      const refused = await ask({ ...mia, origin: other }, '/fleet/resume', 'POST');
      expect(refused.status).toBe(403);
    }
    const own = await ask(
      { ...mia, origin, host: 'board.internal:3000', 'sec-fetch-site': 'same-origin' },
      '/fleet/resume',
      'POST',
    );
    expect(own.status).toBe(303);
  });

  test('does not believe the header from anywhere else', async () => {
    const elsewhere = await startBoardFixture({
      BOARD_TRUSTED_HEADER: 'X-Forwarded-User',
      BOARD_ORIGIN: origin,
      BOARD_TRUSTED_PROXIES: '10.1.2.0/24',
    });
    try {
      const refused = await call(elsewhere.board.url, '/fleet', { headers: mia });
      expect(refused.status).toBe(401);
      expect(refused.text).toContain('through its proxy');
    } finally {
      await elsewhere.close();
    }
  });
});
