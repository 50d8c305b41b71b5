import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Failpoint } from '../../src/engine/failpoints.ts';
import { startWorker } from '../../src/runtime/worker-process.ts';
import { type BoardFixture, startBoardFixture } from '../support/board.ts';
import { hasBrowser, launchBrowser } from './chromium.ts';

const WAIT = { timeout: 30_000, interval: 50 };
const HOSTILE_LABEL = '<img src=x onerror="document.title=1"> & Söhne';
const PHONE = { width: 375, height: 800 };

/** A worker's batches, one after the other as a test lets them. */
interface Gate {
  allowed: number;
  readonly batches: number;
  readonly failpoint: Failpoint;
}

function makeGate(allowed: number): Gate {
  let batches = 0;
  const gate: Gate = {
    allowed,
    get batches() {
      return batches;
    },
    failpoint: async (name) => {
      if (name !== 'before-batch') return;
      await vi.waitFor(() => expect(batches).toBeLessThan(gate.allowed), WAIT);
      batches += 1;
    },
  };
  return gate;
}

describe.skipIf(!hasBrowser)('the control pages in a browser', () => {
  const screenshots = join(tmpdir(), 'tenant-purge-board');
  let browser: Browser;
  let fixture: BoardFixture;
  let page: Page;
  let complaints: string[];
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());
  beforeEach(() => {
    complaints = [];
  });
  afterEach(async () => {
    await page?.context().close();
    await fixture?.close();
    expect(complaints).toEqual([]);
  });

  const start = async (
    environment: Readonly<Record<string, string>> = {},
    options: BrowserContextOptions = {},
  ): Promise<void> => {
    fixture = await startBoardFixture(environment);
    const context = await browser.newContext({
      viewport: { width: 1100, height: 900 },
      locale: 'en-US',
      ...options,
    });
    page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('response', (response) => {
      if (!response.url().startsWith(fixture.board.url)) complaints.push(response.url());
    });
  };
  const open = (path: string): Promise<unknown> => page.goto(new URL(path, fixture.board.url).href);
  const state = (word: string): Promise<void> =>
    page.locator('#state strong').getByText(word, { exact: true }).waitFor();
  const click = (name: string): Promise<void> =>
    page.getByRole('button', { name, exact: true }).click();
  const screenshot = (name: string): Promise<Buffer> =>
    page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });

  test('pauses a purge in mid-run with not one batch more, says pausing, then paused, and resumes', async () => {
    await start();
    const purge = await fixture.enqueue({ label: HOSTILE_LABEL });
    const gate = makeGate(7);
    const worker = startWorker(fixture.actor, gate.failpoint);
    try {
      await vi.waitFor(async () => expect(await fixture.countBatches(purge.id)).toBe(7), WAIT);
      await open('/queue/tenant-purge?status=active');
      const link = page.locator(`a[href="/purges/${purge.id}"]`);
      await link.waitFor();
      expect(await link.textContent()).toContain('Pause, cancel, progress');
      await open(`/purges/${purge.id}`);
      await page.getByRole('heading', { name: HOSTILE_LABEL }).waitFor();
      await state('running');
      expect(await page.locator('#gone').textContent()).toBe(
        '28 of 61 rows gone, 33 remain (45 %)',
      );
      await page.locator('summary').first().click();
      await screenshot('control-running');

      // The worker stands between two batches and cannot say that it stopped.
      await click('Pause');
      await state('pausing');
      await page.getByText('none can commit any more').waitFor();
      await screenshot('control-pausing');
      expect((await fixture.find(purge.id)).status).toBe('pausing');

      gate.allowed = Number.POSITIVE_INFINITY;
      await state('paused');
      await page.getByText('local@board').first().waitFor();
      expect(await fixture.countBatches(purge.id)).toBe(7);
      expect(await page.locator('#gone').textContent()).toContain('28 of 61 rows gone');
      await screenshot('control-paused');

      await click('Resume');
      await state('completed');
      await page.getByText('61 of 61 rows gone, 0 remain (100 %)').first().waitFor();
      await screenshot('control-completed');
      expect(await page.title()).toContain('completed');
      expect(await fixture.boardEvents()).toEqual([
        'local@board: pause asked',
        'local@board: resume asked',
      ]);
    } finally {
      gate.allowed = Number.POSITIVE_INFINITY;
      await worker.stop();
    }
  });

  test("cancels a purge in mid-run only when the tenant's id is typed, and says what remains", async () => {
    await start({}, { viewport: PHONE, colorScheme: 'dark' });
    const purge = await fixture.enqueue({ label: 'Northwind Test 7' });
    const gate = makeGate(4);
    const worker = startWorker(fixture.actor, gate.failpoint);
    try {
      await vi.waitFor(async () => expect(await fixture.countBatches(purge.id)).toBe(4), WAIT);
      await open(`/purges/${purge.id}`);
      await screenshot('control-narrow');
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(PHONE.width);
      await page.getByRole('link', { name: 'Cancel…' }).click();
      await page.getByText('half a tenant').waitFor();
      await page.getByRole('textbox').fill('Northwind Test 7');
      await click('Cancel the purge of Northwind Test 7');
      await page.getByText("That was not the tenant's id. Nothing was cancelled.").waitFor();
      expect((await fixture.find(purge.id)).status).toBe('running');
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(PHONE.width);
      await screenshot('control-cancel');

      await page.getByRole('textbox').fill(purge.tenantId);
      const cancelled = click('Cancel the purge of Northwind Test 7');
      await vi.waitFor(
        async () => expect((await fixture.find(purge.id)).status).toBe('cancelling'),
        WAIT,
      );
      gate.allowed = Number.POSITIVE_INFINITY;
      await cancelled;
      await state('cancelled');
      await page.getByText('Left when it ended:').waitFor();
      expect(await fixture.countBatches(purge.id)).toBe(4);
      expect(await page.locator('#gone').textContent()).toContain('16 of 61 rows gone, 45 remain');
      await screenshot('control-cancelled');
    } finally {
      gate.allowed = Number.POSITIVE_INFINITY;
      await worker.stop();
    }
    expect(await fixture.boardEvents()).toEqual([
      'local@board: board action refused',
      'local@board: cancel asked',
    ]);
  });

  test('pauses and resumes everything, also without JavaScript', async () => {
    await start({}, { javaScriptEnabled: false });
    const first = await fixture.enqueue({ label: 'First' });
    const second = await fixture.enqueue({ label: 'Second', delayMs: 86_400_000 });
    await open('/fleet');
    await state('No worker');
    await screenshot('fleet');
    await click('Pause everything');
    await state('Everything is paused');
    await page.getByText('by local@board since').waitFor();
    await screenshot('fleet-paused');
    expect((await fixture.find(first.id)).status).toBe('paused');
    expect((await fixture.find(second.id)).status).toBe('paused');

    await page.getByRole('link', { name: /UTC$/ }).first().click();
    await state('Everything is paused');
    await page.getByText('1 paused').waitFor();
    await screenshot('campaign');
    await open('/fleet');
    await click('Resume everything');
    await state('No worker');
    expect((await fixture.find(first.id)).status).toBe('queued');
  });

  test('tunes in mid-run: shows what holds a purge until its cap is taken away', async () => {
    await start({}, { viewport: PHONE });
    const purge = await fixture.enqueue({ label: 'Northwind' });
    const isNarrow = async (): Promise<boolean> =>
      (await page.evaluate('document.documentElement.scrollWidth')) === PHONE.width;
    const tune = async (label: string, value: string): Promise<void> => {
      await page.getByRole('link', { name: 'Tune…' }).click();
      await page.getByLabel(label).fill(value);
      expect(await isNarrow()).toBe(true);
      await screenshot('tune');
      await click('Tune');
    };
    await open('/fleet');
    await tune('Most rows per second', '1');
    await page.getByText('Workers follow within about a second.').waitFor();
    const worker = startWorker(fixture.actor);
    try {
      await page.getByText('holds since').waitFor();
      await page.getByText('1 of them holds').waitFor();
      expect(await isNarrow()).toBe(true);
      await screenshot('fleet-holds');

      await open(`/purges/${purge.id}`);
      await page.getByText('It holds since').waitFor();
      expect(await isNarrow()).toBe(true);
      await screenshot('control-holds');
      await tune('Most rows per second', '0');
      await state('completed');
      await page.getByText('61 of 61 rows gone, 0 remain (100 %)').first().waitFor();
    } finally {
      await worker.stop();
    }

    await open('/fleet');
    await page.getByText('tuned for all purges').waitFor();
    // The browser itself keeps what is out of bounds; to take all back needs no field.
    await tune('Time of a batch', '5');
    expect(new URL(page.url()).pathname).toBe('/fleet/tune');
    await click('Take all back');
    await page.getByText('Workers follow within about a second.').waitFor();
    await page.getByText('as configured').nth(2).waitFor();
    expect(await fixture.boardEvents()).toEqual([
      'local@board: tuned',
      'local@board: tuned',
      'local@board: tuning cleared',
    ]);
  });

  test('shows a viewer everything and lets nothing be changed', async () => {
    await start(
      { BOARD_PASSWORD: 'operators', BOARD_VIEWER_PASSWORD: 'viewers' },
      { httpCredentials: { username: 'viewer', password: 'viewers' } },
    );
    const purge = await fixture.enqueue({ label: 'Untouched' });
    await open(`/purges/${purge.id}`);
    await state('queued');
    await page.getByText('viewer, looks only').waitFor();
    expect(await page.getByRole('button', { name: 'Pause', exact: true }).isDisabled()).toBe(true);
    expect(await page.getByRole('link', { name: 'Cancel…' }).count()).toBe(0);
    await screenshot('control-viewer');

    await open('/queue/tenant-purge');
    await page.getByText('Untouched', { exact: true }).waitFor();
    await page.locator('main button[aria-haspopup="menu"]').last().click();
    await page.getByRole('menuitem', { name: 'Pause', exact: true }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Confirm' }).click();
    await page.getByText('viewer looks only.').waitFor();
    await screenshot('viewer-refused');
    expect(await fixture.actor.queue.isPaused()).toBe(false);
    expect((await fixture.find(purge.id)).status).toBe('queued');
    expect(await fixture.boardEvents()).toEqual(['viewer@board: board action refused']);
  });

  test('says that its figures are old when the board is gone', async () => {
    await start();
    const purge = await fixture.enqueue({ label: 'Northwind' });
    await open(`/purges/${purge.id}`);
    await state('queued');
    await fixture.board.stop();
    await page.getByText('what stands below is old').waitFor();
    await screenshot('control-stale');
  });
});
