import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createSignupApp } from '../../ops/signup-example/app.ts';
import { PreventionGuard } from '../../src/prevention/index.ts';
import { mintOverrideToken } from '../../src/prevention/override-token.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { type CaptchaServer, startCaptchaServer } from '../support/prevention/captcha-provider.ts';
import { type KeptLog, keepLog } from '../support/prevention/clients.ts';
import { claimRedisDatabase, type TestRedisDatabase } from '../support/redis.ts';
import { hasBrowser, launchBrowser } from './chromium.ts';

const pair = generateKeyPairSync('ed25519');
const PRIVATE = String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
const PUBLIC = String(pair.publicKey.export({ type: 'spki', format: 'pem' }));

describe.skipIf(!hasBrowser).each(['hcaptcha', 'recaptcha', 'turnstile'] as const)(
  'the sign-up form in a browser, with %s',
  (provider) => {
    let browser: Browser;
    let context: BrowserContext;
    let page: Page;
    let captcha: CaptchaServer;
    let database: TestDatabase;
    let redisDatabase: TestRedisDatabase;
    let redis: Redis;
    let pool: Pool;
    let server: Server;
    let url: string;
    let log: KeptLog;
    let complaints: string[];

    beforeAll(async () => {
      browser = await launchBrowser();
    });
    afterAll(() => browser?.close());

    beforeEach(async () => {
      [captcha, database, redisDatabase] = await Promise.all([
        startCaptchaServer(provider),
        createDatabase({ name: 'signup' }),
        claimRedisDatabase(),
      ]);
      pool = new Pool({ connectionString: database.url, max: 2 });
      await pool.query(
        `create table tenants (id bigint generated always as identity primary key, name text not null,
           subdomain text unique, email text not null)`,
      );
      redis = new Redis(redisDatabase.url);
      log = keepLog();
      const registry = new Registry();
      const guard = new PreventionGuard({
        environment: 'production',
        redis,
        log,
        registry,
        limits: { redisTimeoutMs: 20_000 },
        override: { key: PUBLIC, audience: 'signup' },
        captcha: {
          provider,
          secret: captcha.secret,
          siteKey: captcha.siteKey,
          hostnames: ['127.0.0.1'],
          verifyUrl: captcha.verifyUrl,
          timeoutMs: 20_000,
        },
      });
      const widget = { provider, siteKey: captcha.siteKey, scriptUrl: captcha.widgetUrl };
      server = createServer(createSignupApp({ guard, pool, registry, log, widget }));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const address = server.address();
      url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/`;
      context = await browser.newContext({ locale: 'en-US' });
      page = await context.newPage();
      complaints = [];
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        // A refusal is an answer of 400 or 409, which the console tells too.
        if (
          message.type() === 'error' &&
          !/40[09] \((Bad Request|Conflict)\)/.test(message.text())
        ) {
          complaints.push(message.text());
        }
      });
      page.on('request', (request) => {
        const { hostname } = new URL(request.url());
        if (hostname !== '127.0.0.1') complaints.push(request.url());
      });
      await page.goto(url);
    });
    afterEach(async () => {
      await context?.close();
      server?.close();
      server?.closeAllConnections();
      await captcha?.close();
      redis?.disconnect();
      await pool?.end();
      await Promise.all([database?.drop(), redisDatabase?.release()]);
      expect(complaints).toEqual([]);
    });

    const fill = async (name: string, subdomain: string): Promise<void> => {
      await page.getByLabel('Company').fill(name);
      await page.getByLabel('Subdomain').fill(subdomain);
      await page.getByLabel('E-mail').fill('jane@acme.com');
    };
    const solve = async (): Promise<void> => {
      await page.getByRole('button', { name: 'I am human' }).click();
      await page.getByRole('button', { name: 'Verified' }).waitFor();
    };
    const submit = async (): Promise<string> => {
      await page.getByRole('button', { name: 'Create' }).click();
      const status = page.getByRole('status');
      await status.filter({ hasText: /\w/ }).waitFor();
      return (await status.textContent()) ?? '';
    };
    const rulesInLog = (): unknown[] =>
      log.lines.map(({ facts }) => (facts as { rule?: unknown }).rule);
    const names = async (): Promise<unknown[]> =>
      (await pool.query('select name from tenants order by id')).rows.map(({ name }) => name);

    test('a person who solves the widget gets a tenant', async () => {
      await fill('Meyer & Söhne', 'meyer');
      await solve();
      expect(await submit()).toBe('Welcome, Meyer & Söhne.');
      expect(await names()).toEqual(['Meyer & Söhne']);
      expect(captcha.asked).toHaveLength(1);
    });

    test('who does not solve it, uses a test name or a token again reads the same, and the log knows why', async () => {
      await fill('Meyer', 'meyer');
      const unsolved = await submit();
      await page.goto(url);
      await fill('Test Company', 'meyer');
      await solve();
      const named = await submit();
      // The same page, with another name and another challenge, gets in.
      await fill('Meyer', 'meyer');
      await solve();
      expect(await submit()).toBe('Welcome, Meyer.');
      await fill('Meyer 2', 'meyer-2');
      const replayed = await submit();
      const bare = [unsolved, named, replayed].map((text) => text.replace(/[0-9a-f-]{36}$/, ''));
      expect(new Set(bare).size).toBe(1);
      expect(bare[0]).toContain('could not be accepted');
      expect(rulesInLog()).toEqual(['captcha-missing', 'suspicious-word', 'captcha-replayed']);
      expect(await names()).toEqual(['Meyer']);
      // What the person reads leads to the line in the log.
      const reference = replayed.slice(-36);
      expect(log.lines.at(-1)?.facts).toMatchObject({ reference });
    });

    test('a subdomain that is taken can be corrected on the same page, and takes no place', async () => {
      await pool.query(
        `insert into tenants (name, subdomain, email) values ('Other', 'meyer', '')`,
      );
      // More often than there are places.
      for (let attempt = 0; attempt < 4; attempt += 1) {
        await fill('Meyer', 'meyer');
        await solve();
        expect(await submit()).toBe('This subdomain is taken.');
      }
      await fill('Meyer', 'meyer-2');
      await solve();
      expect(await submit()).toBe('Welcome, Meyer.');
      expect(await names()).toEqual(['Other', 'Meyer']);
    });

    test('an operator’s token lets a test tenant in, once, without the widget', async () => {
      const { token } = await mintOverrideToken({
        key: PRIVATE,
        audience: 'signup',
        subject: 'acme-test',
        forMs: 60_000,
        operator: 'ops@desk',
      });
      await context.setExtraHTTPHeaders({ 'x-signup-override': token });
      await fill('Test Company', 'acme-test');
      expect(await submit()).toBe('Welcome, Test Company.');
      await page.goto(url);
      await fill('Test Company', 'acme-test');
      expect(await submit()).toContain('could not be accepted');
      const metrics = await (await fetch(`${url}metrics`)).text();
      expect(metrics).toContain('tenants_created_total{test_word="yes"} 1');
      expect(metrics).toContain('checks_total{outcome="overridden"} 1');
    });
  },
);
