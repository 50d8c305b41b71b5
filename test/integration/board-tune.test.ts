import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { startWorker } from '../../src/runtime/worker-process.ts';
import {
  type Answer,
  type BoardFixture,
  call,
  signIn,
  startBoardFixture,
} from '../support/board.ts';
import { runForJson, runInProcess } from '../support/cli.ts';

const WAIT = { timeout: 30_000, interval: 100 };
const TOMORROW_MS = 86_400_000;

let fixture: BoardFixture;
beforeEach(async () => {
  fixture = await startBoardFixture({
    BOARD_USER: 'mia',
    BOARD_PASSWORD: 'secret',
    BOARD_VIEWER_PASSWORD: 'look',
  });
});
afterEach(() => fixture?.close());

const mia = signIn('mia:secret');
const get = (path: string): Promise<Answer> => call(fixture.board.url, path, { headers: mia });
const post = (
  path: string,
  body: string,
  headers: Readonly<Record<string, string>> = mia,
): Promise<Answer> => call(fixture.board.url, path, { method: 'POST', headers, body });

/** What the page says is in force, e.g. `{ 'Most rows of a batch': '100 tuned for all purges' }`. */
async function inForce(path: string): Promise<Record<string, string>> {
  const [, section = ''] =
    /<section id="knobs"[^>]*>(.*?)<\/section>/s.exec((await get(path)).text) ?? [];
  const cells = [...section.matchAll(/<td[^>]*>(.*?)<\/td>/gs)].map(([, text = '']) => text);
  const rows: Record<string, string> = {};
  for (let at = 0; at + 2 < cells.length; at += 3) {
    rows[cells[at] ?? ''] = `${cells[at + 1]} ${cells[at + 2]}`;
  }
  return rows;
}

async function tunings(): Promise<unknown[]> {
  const { rows } = await fixture.actor.database.pool.query(
    `select kind, actor, purge_id as "purgeId", details from tenant_purge.event
     where kind like 'tun%' order by id`,
  );
  return rows;
}

describe('the form that tunes', () => {
  test('a purge shows what is in force and by whose hand, turns it, and takes it back', async () => {
    const purge = await fixture.enqueue({ label: 'Northwind', delayMs: TOMORROW_MS });
    const path = `/purges/${purge.id}`;
    expect(await inForce(path)).toEqual({
      'Most rows per second of each purge': 'no cap as configured',
      'Time of a batch, in ms': '250 as configured',
      'Most rows of a batch': '3 as configured',
    });

    const all = await post('/fleet/tune', 'maxRowsPerSec=5000&targetMs=&maxRows=');
    expect([all.status, all.headers['location']]).toEqual([303, '/fleet?came=tuned']);
    const one = await post(`${path}/tune`, 'maxRowsPerSec=+0+&targetMs=100&maxRows=');
    expect([one.status, one.headers['location']]).toEqual([303, `${path}?came=tuned`]);
    expect((await get(`${path}?came=tuned`)).text).toContain(
      'Workers follow within about a second',
    );
    const tuned = {
      'Most rows per second of each purge': 'no cap tuned for this purge',
      'Time of a batch, in ms': '100 tuned for this purge',
      'Most rows of a batch': '3 as configured',
    };
    expect(await inForce(path)).toEqual(tuned);
    expect(await inForce(`${path}/tune`)).toEqual(tuned);
    expect((await inForce('/fleet'))['Most rows per second of each purge']).toBe(
      '5,000 tuned for all purges',
    );

    expect((await post(`${path}/tune/clear`, '')).status).toBe(303);
    expect(await inForce(path)).toMatchObject({
      'Most rows per second of each purge': '5,000 tuned for all purges',
      'Time of a batch, in ms': '250 as configured',
    });
    expect((await post('/fleet/tune/clear', '')).status).toBe(303);
    expect((await inForce(path))['Most rows per second of each purge']).toBe(
      'no cap as configured',
    );
    const actor = 'mia@board';
    expect(await tunings()).toEqual([
      { kind: 'tuned', actor, purgeId: null, details: { fleet: true, maxRowsPerSec: 5_000 } },
      { kind: 'tuned', actor, purgeId: purge.id, details: { maxRowsPerSec: 0, targetMs: 100 } },
      { kind: 'tuning cleared', actor, purgeId: purge.id, details: {} },
      { kind: 'tuning cleared', actor, purgeId: null, details: { fleet: true } },
    ]);
  });

  test.each([
    ['', 'Nothing was typed'],
    ['maxRowsPerSec=&targetMs=+&maxRows=', 'Nothing was typed'],
    ['targetMs=9&maxRows=5', '&quot;9&quot; is no whole number from 10 to 10000'],
    ['maxRows=1&maxRows=2', '&quot;1,2&quot; is no whole number'],
    ['maxRowsPerSec=%3Cb%3E', '&quot;&lt;b&gt;&quot; is no whole number from 0'],
    ['__proto__=1&constructor=2', 'Nothing was typed'],
  ])('changes nothing for %j, says why, and writes the try down', async (body, why) => {
    const answer = await post('/fleet/tune', body);
    expect(answer.status).toBe(422);
    expect(answer.text).toContain(why);
    expect(answer.text).toContain('Nothing was changed.');
    expect(answer.text).not.toContain('http-equiv');
    expect(await tunings()).toEqual([]);
    expect(await fixture.boardEvents()).toEqual(['mia@board: board action refused']);
  });

  test('keeps what was typed when one field was wrong', async () => {
    const { text } = await post('/fleet/tune', 'targetMs=9&maxRows=5');
    expect(text).toMatch(/name="targetMs"[^>]* value="9"/);
    expect(text).toMatch(/name="maxRows"[^>]* value="5"/);
  });

  test("is refused to viewers and to another page's form, and their tries are written down", async () => {
    const purge = await fixture.enqueue({ label: 'Untouched', delayMs: TOMORROW_MS });
    const viewer = signIn('viewer:look');
    for (const path of ['/fleet', `/purges/${purge.id}`]) {
      const page = await call(fixture.board.url, `${path}/tune`, { headers: viewer });
      expect(page.text).toContain('<fieldset disabled>');
      for (const action of ['tune', 'tune/clear']) {
        expect((await post(`${path}/${action}`, 'maxRows=5', viewer)).status).toBe(403);
        for (const forged of [
          { 'sec-fetch-site': 'cross-site' },
          { origin: 'https://evil.example' },
        ]) {
          expect((await post(`${path}/${action}`, 'maxRows=5', { ...mia, ...forged })).status).toBe(
            403,
          );
        }
      }
    }
    expect(await tunings()).toEqual([]);
    expect(await fixture.boardEvents()).toEqual(
      Array(4).fill('viewer@board: board action refused'),
    );
  });

  test('has nothing to do for a purge that has ended, nor for one that is not there', async () => {
    const purge = await fixture.enqueue({ label: 'Ended', delayMs: TOMORROW_MS });
    const path = `/purges/${purge.id}`;
    await post(`${path}/cancel`, `phrase=${purge.tenantId}`);
    expect((await get(path)).text).not.toContain('/tune');
    for (const action of ['tune', 'tune/clear']) {
      const answer = await post(`${path}/${action}`, 'maxRows=5');
      expect(answer.headers['location']).toBe(`${path}?came=idle`);
      const nobody = '/purges/00000000-0000-4000-8000-000000000000';
      expect((await post(`${nobody}/${action}`, 'maxRows=5')).status).toBe(404);
    }
    expect(await tunings()).toEqual([]);
    expect(await fixture.boardEvents()).toEqual([
      'mia@board: cancel asked',
      'mia@board: board action refused',
      'mia@board: board action refused',
    ]);
  });
});

describe('a purge that its throttle holds', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'board-tune-'));
    writeFileSync(
      join(folder, 'purge.config.json'),
      JSON.stringify({ tenant: { table: 'public.tenants' } }),
    );
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('30. says why on the fleet page and in every list of status, until it is tuned to go on', async () => {
    await post('/fleet/tune', 'maxRowsPerSec=1');
    const purge = await fixture.enqueue({ label: 'Northwind' });
    const cli = {
      cwd: folder,
      env: {
        DATABASE_URL: fixture.config.databaseUrl,
        REDIS_URL: fixture.config.redisUrl,
        ENVIRONMENT: 'test',
      },
    };
    const { campaignId } = await fixture.find(purge.id);
    const worker = startWorker(fixture.actor);
    try {
      const why = /holds since .* UTC: at most 1 rows\/s/;
      await vi.waitFor(async () => expect((await get('/fleet')).text).toMatch(why), WAIT);
      await vi.waitFor(async () => {
        const fleet = (await get('/fleet')).text;
        expect(fleet).toMatch(why);
        expect(fleet).toContain('1 of them holds, and goes on by itself');
        expect((await get(`/campaigns/${campaignId}`)).text).toMatch(why);
      }, WAIT);
      for (const argv of [['status'], ['status', campaignId]]) {
        await vi.waitFor(async () => {
          const { stdout } = await runInProcess(argv, cli);
          expect(stdout).toContain('1 purge holds, and goes on by itself:');
          expect(stdout).toMatch(/Northwind, since \d\d:\d\d:\d\d UTC: at most 1 rows\/s/);
        }, WAIT);
        await vi.waitFor(async () => {
          const { document } = await runForJson(argv, cli);
          expect(document['purges']).toMatchObject([
            { purgeId: purge.id, holding: { reasons: ['at most 1 rows/s'] } },
          ]);
        }, WAIT);
      }

      await post(`/purges/${purge.id}/tune`, 'maxRowsPerSec=0');
      await vi.waitFor(
        async () => expect((await fixture.find(purge.id)).status).toBe('completed'),
        WAIT,
      );
    } finally {
      await worker.stop();
    }
    expect((await get('/fleet')).text).not.toContain('holds since');
    const { document } = await runForJson(['status'], cli);
    expect(document['purges']).toMatchObject([{ status: 'completed', holding: null }]);
  });
});
