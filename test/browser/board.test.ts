import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCommand } from '../../src/queue/commands.ts';
import { startWorker } from '../../src/runtime/worker-process.ts';
import { type BoardFixture, type EnqueuedPurge, startBoardFixture } from '../support/board.ts';
import { hasBrowser, launchBrowser } from './chromium.ts';

const WAIT = { timeout: 30_000, interval: 50 };
/** A running purge writes its progress at most once a second. */
const SHOWN_EVERY_MS = 1_200;
const HOSTILE_LABEL = '<img src=x onerror="document.title=1"> & Söhne';

describe.skipIf(!hasBrowser)('the board in a browser', () => {
  const screenshots = join(tmpdir(), 'tenant-purge-board');
  let browser: Browser;
  let fixture: BoardFixture;
  let page: Page;
  let complaints: string[];
  beforeAll(async () => {
    browser = await launchBrowser();
    console.info(`Screenshots of the board: ${screenshots}`);
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    fixture = await startBoardFixture();
    page = await browser.newPage({ viewport: { width: 1280, height: 900 }, locale: 'en-US' });
    complaints = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('response', (response) => {
      if (!response.url().startsWith(fixture.board.url)) complaints.push(response.url());
    });
  });
  afterEach(async () => {
    await page?.close();
    await fixture?.close();
    expect(complaints).toEqual([]);
  });

  const openQueue = async (status = ''): Promise<void> => {
    await page.goto(`${fixture.board.url}queue/tenant-purge${status}`);
    await page.getByText('tenant-purge', { exact: true }).first().waitFor();
  };
  const chooseQueueAction = async (name: string): Promise<void> => {
    await page.locator('main button[aria-haspopup="menu"]').last().click();
    await page.getByRole('menuitem', { name, exact: true }).click();
    await confirm();
  };
  const confirm = (): Promise<void> =>
    page.getByRole('alertdialog').getByRole('button', { name: 'Confirm' }).click();
  const screenshot = (name: string): Promise<Buffer> =>
    page.screenshot({ path: join(screenshots, `${name}.png`) });
  const stateOf = async ({ jobId }: EnqueuedPurge): Promise<string> =>
    (await fixture.actor.queue.bull.getJob(jobId))?.getState() ?? 'none';

  test('shows a purge while it runs, pauses it within one batch, and resumes it', async () => {
    let batches = 0;
    let batchesAllowed = 2;
    const purge = await fixture.enqueue({ label: HOSTILE_LABEL });
    const worker = startWorker(fixture.actor, async (name) => {
      if (name !== 'before-commit') return;
      batches += 1;
      await vi.waitFor(() => expect(batches).toBeLessThanOrEqual(batchesAllowed), WAIT);
    });
    try {
      await openQueue();
      await page.getByText(HOSTILE_LABEL).waitFor();
      await vi.waitFor(() => expect(batches).toBe(3), WAIT);
      const job = await fixture.actor.queue.bull.getJob(purge.jobId);
      await vi.waitFor(
        () => expect(Date.now() - (job?.processedOn ?? Date.now())).toBeGreaterThan(SHOWN_EVERY_MS),
        WAIT,
      );
      batchesAllowed = 4;
      await vi.waitFor(() => expect(batches).toBe(5), WAIT);
      await page.getByText(/^\d+%$/).waitFor();
      await page.getByText('rowsPerSec').waitFor();
      const control = page.locator(`a[href="/purges/${purge.id}"]`);
      await control.waitFor();
      await screenshot('running');

      await chooseQueueAction('Pause');
      await vi.waitFor(async () => expect(await fixture.waitsForBatches()).toBe(true), WAIT);
      batchesAllowed = Number.POSITIVE_INFINITY;
      await vi.waitFor(async () => expect(await stateOf(purge)).toBe('delayed'), WAIT);
      expect(batches).toBe(5);
      expect((await fixture.find(purge.id)).status).toBe('paused');
      expect(await fixture.actor.commands.readControl()).toMatchObject({
        stopped: true,
        changedBy: 'local@board',
      });
      await screenshot('paused');

      await chooseQueueAction('Resume');
      await vi.waitFor(async () => expect(await stateOf(purge)).toBe('completed'), WAIT);
      await page.goto(`${fixture.board.url}queue/tenant-purge/${purge.jobId}`);
      await page.getByRole('tab', { name: 'Data' }).click();
      await page.getByText('returnValue').waitFor();
      await page.getByText('rowsDeleted').waitFor();
      await screenshot('completed');
      await page.getByRole('tab', { name: 'Logs' }).click();
      await page.getByText('Run ended: completed').waitFor();
      await screenshot('log');
      expect(await page.title()).toContain('tenant-purge');
    } finally {
      await worker.stop();
    }
  });

  test('shows a paused purge under Delayed, and Promote resumes it', async () => {
    const purge = await fixture.enqueue({ label: 'Parked' });
    await runCommand(fixture.actor.reconcile, 'pause', {
      selection: { kind: 'purge', id: purge.id },
      fleet: false,
      operator: 'test',
      waitMs: 0,
    });
    const worker = startWorker(fixture.actor);
    try {
      await vi.waitFor(async () => expect((await fixture.find(purge.id)).parked).toBe(true), WAIT);
      await openQueue('?status=delayed');
      await page.getByText('Parked', { exact: true }).waitFor();
      await screenshot('parked');
      // The card's buttons have an icon and a tooltip, no name.
      const promote = page
        .locator('main button:not([role]):not([aria-haspopup])')
        .filter({ hasNotText: /./ })
        .first();
      await promote.hover();
      await page.getByText('Promote', { exact: true }).waitFor();
      await promote.click();
      await confirm();
      await vi.waitFor(async () => expect(await stateOf(purge)).toBe('completed'), WAIT);
    } finally {
      await worker.stop();
    }
  });

  test('tells which command does what the board refuses', async () => {
    const purge = await fixture.enqueue({ label: 'Untouched' });
    await openQueue();
    await page.getByText('Untouched', { exact: true }).waitFor();
    await chooseQueueAction('Empty');
    await page.getByText('tenant-purge cancel --all').waitFor();
    await screenshot('refused');
    expect(await stateOf(purge)).toBe('waiting');
  });
});
