import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import express, { type Express } from 'express';
import { Pool } from 'pg';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSignupApp } from '../../../ops/signup-example/app.ts';
import { signupPage } from '../../../ops/signup-example/page.ts';
import {
  guardTenantCreation,
  PreventionGuard,
  type PreventionOptions,
  REFUSAL,
} from '../../../src/prevention/index.ts';
import { HONEST, type KeptLog, keepLog, production } from '../../support/prevention/clients.ts';
import {
  openRedisBehindProxy,
  type RedisBehindProxy,
} from '../../support/prevention/redis-behind-proxy.ts';

let world: RedisBehindProxy;
let server: Server | null;
let log: KeptLog;
beforeEach(async () => {
  world = await openRedisBehindProxy();
  server = null;
  log = keepLog();
});
afterEach(async () => {
  if (server !== null) {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }
  await world.close();
});

const guardOf = (options: Partial<PreventionOptions> = {}): PreventionGuard =>
  new PreventionGuard(
    production(world.redis, { log, limits: { redisTimeoutMs: 20_000 }, ...options }),
  );

async function listen(app: Express): Promise<string> {
  server = createServer(app);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
}

/** Behind a router, as applications have it; the handler says what it was let in for. */
const serve = (guard: PreventionGuard, options: Parameters<typeof guardTenantCreation>[1] = {}) => {
  const router = express.Router();
  router.post(
    '/tenants',
    express.json(),
    guardTenantCreation(guard, { refusalMsMin: 0, ...options }),
    (_request, response) => {
      response.status(201).json(response.locals['prevention']);
    },
  );
  return listen(express().use('/api', router));
};

const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${url}/api/tenants`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

const facts = (): Record<string, unknown>[] =>
  log.lines.filter(({ level }) => level === 'warn').map((line) => ({ ...line.facts }));

describe('The middleware', () => {
  it('runs the handler for whom the guard lets in, with the verdict', async () => {
    const url = await serve(guardOf());
    const response = await post(url, HONEST);
    expect(response.status).toBe(201);
    expect(await response.json()).toMatchObject({ allowed: true, because: 'clean', reported: [] });
  });

  it('answers every rule alike: status, headers and text', async () => {
    const url = await serve(guardOf({ limits: { redisTimeoutMs: 20_000, perEmail: 1 } }));
    expect((await post(url, HONEST)).status).toBe(201);
    const refusals = [
      { ...HONEST, name: 'Test' },
      { ...HONEST, subdomain: 'demo' },
      { ...HONEST, email: 'a@mailinator.com' },
      { ...HONEST, email: 'nobody' },
      { ...HONEST, name: ['Test'] },
      {},
      [],
      HONEST,
    ];
    const seen: string[] = [];
    for (const body of refusals) {
      const response = await post(url, body);
      const { error } = (await response.json()) as { error: { reference: string } };
      expect(error).toEqual({
        code: 'SIGNUP_REFUSED',
        message: REFUSAL,
        reference: error.reference,
      });
      expect(error.reference).toBe(facts().at(-1)?.['reference']);
      const headers = [...response.headers].filter(([name]) => !['date', 'etag'].includes(name));
      seen.push(JSON.stringify([response.status, headers]));
    }
    expect(new Set(seen).size).toBe(1);
    expect(seen[0]).toMatch(/^\[400,/);
    expect(facts().map(({ rule }) => rule)).toEqual([
      'suspicious-word',
      'suspicious-word',
      'listed-email-domain',
      'input-invalid',
      'input-invalid',
      'input-invalid',
      'input-invalid',
      'rate-limit-email',
    ]);
    expect(facts()[0]).toMatchObject({
      endpoint: 'POST /api/tenants',
      ip: '127.0.0.1',
      outcome: 'refused',
    });
  });

  it('is no quicker with one rule than with another', async () => {
    const url = await serve(guardOf(), { refusalMsMin: 250 });
    const startedMs = performance.now();
    await post(url, { ...HONEST, name: 'Test' });
    // Timers may be a millisecond early.
    expect(performance.now() - startedMs).toBeGreaterThan(240);
  });

  it('believes X-Forwarded-For of a trusted proxy alone', async () => {
    const header = { 'x-forwarded-for': '203.0.113.9, 198.51.100.7' };
    const alone = await serve(guardOf());
    await post(alone, { ...HONEST, name: 'Test' }, header);
    server?.close();
    server?.closeAllConnections();
    const proxied = await serve(guardOf({ trustedProxies: ['127.0.0.0/8'] }));
    await post(proxied, { ...HONEST, name: 'Test' }, header);
    expect(facts().map(({ ip }) => ip)).toEqual(['127.0.0.1', '198.51.100.7']);
  });

  it('reads fields and refuses as the application says', async () => {
    const url = await serve(guardOf(), {
      read: (body) => ({
        name: String(body['company']),
        subdomain: null,
        email: String(body['mail']),
      }),
      refuse: (response, reference) => response.status(400).json({ oops: reference }),
    });
    expect((await post(url, { company: 'Acme', mail: 'a@acme.com' })).status).toBe(201);
    const refused = await post(url, { company: 'Demo', mail: 'a@acme.com' });
    expect(await refused.json()).toEqual({ oops: facts().at(-1)?.['reference'] });
  });

  it('hands what an application’s own reader throws to its error handler', async () => {
    const url = await serve(guardOf(), {
      read: () => {
        throw Object.assign(new Error('no body'), { status: 422 });
      },
    });
    expect((await post(url, HONEST)).status).toBe(422);
  });

  it('refuses with the same 400, in time, while Redis is away', async () => {
    const url = await serve(guardOf({ limits: { redisTimeoutMs: 200 } }));
    world.proxy.swallow();
    const startedMs = performance.now();
    const response = await post(url, HONEST);
    expect([response.status, performance.now() - startedMs < 3_000]).toEqual([400, true]);
    expect(await response.text()).toContain(REFUSAL);
  });
});

const NO_DATABASE = new Pool({ connectionString: 'postgres://127.0.0.1:9/none' });

const withoutDatabase = (environment = 'production'): Promise<string> =>
  listen(
    createSignupApp({
      guard: guardOf({ environment }),
      pool: NO_DATABASE,
      registry: new Registry(),
      log,
      widget: null,
    }),
  );

const send = async (url: string, type: string, body: string): Promise<number> =>
  (await fetch(`${url}/signup`, { method: 'POST', headers: { 'content-type': type }, body }))
    .status;

describe('The example service', () => {
  it('answers what cannot be read with 4xx and what goes wrong with 500, without details', async () => {
    const url = await withoutDatabase();
    expect(await send(url, 'application/json', '{"name":')).toBe(400);
    expect(await send(url, 'application/json', JSON.stringify({ name: 'x'.repeat(40_000) }))).toBe(
      413,
    );
    expect(await send(url, 'text/plain', 'hello')).toBe(400);
    expect(
      await send(url, 'application/x-www-form-urlencoded', 'name=Acme&name=Acme&email=a@acme.com'),
    ).toBe(400);
    const response = await fetch(`${url}/signup`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(HONEST),
    });
    expect(response.status).toBe(500);
    expect(await response.text()).not.toMatch(/ECONNREFUSED|127\.0\.0\.1/);
    expect(log.lines.at(-1)).toMatchObject({
      level: 'error',
      message: 'a tenant could not be created',
      facts: { err: { code: 'ECONNREFUSED' } },
    });
  });

  it('gives the place back of whom it could not create', async () => {
    const url = await withoutDatabase();
    for (let attempt = 0; attempt < 4; attempt += 1) {
      expect(await send(url, 'application/json', JSON.stringify(HONEST))).toBe(500);
    }
    expect(log.lines.filter(({ message }) => message.startsWith('tenant creation'))).toEqual([]);
  });

  it.each([
    ['application/json', '[]'],
    ['application/json', '{"name": ["Acme"], "email": "a@acme.com"}'],
    ['application/json', '{"name": "Acme"}'],
    ['text/plain', 'hello'],
  ])('outside production, too, answers %s %s with 400', async (type, body) => {
    const url = await withoutDatabase('staging');
    expect(await send(url, type, body)).toBe(400);
  });

  it('keeps a JSON text that was sent as a form out of the log', async () => {
    const url = await withoutDatabase();
    const body = '{"name":"Acme","email":"jane@acme.com","password":"hunter2"}';
    expect(await send(url, 'application/x-www-form-urlencoded', body)).toBe(400);
    expect(JSON.stringify(log.lines)).not.toMatch(/jane|hunter2/);
  });

  it.each([
    ['hcaptcha', ['https://hcaptcha.com', 'https://*.hcaptcha.com']],
    ['recaptcha', ['https://www.google.com/recaptcha/', 'https://www.gstatic.com/recaptcha/']],
    ['turnstile', ['https://challenges.cloudflare.com']],
  ] as const)('allows what the widget of %s loads', async (provider, sources) => {
    const widget = { provider, siteKey: 'site', scriptUrl: null };
    const url = await listen(
      createSignupApp({
        guard: guardOf(),
        pool: NO_DATABASE,
        registry: new Registry(),
        log,
        widget,
      }),
    );
    const policy = (await fetch(url)).headers.get('content-security-policy') ?? '';
    for (const directive of ['script-src', 'frame-src', 'style-src', 'connect-src']) {
      const allowed = policy.split('; ').find((one) => one.startsWith(directive));
      expect(allowed?.split(' ')).toEqual(expect.arrayContaining([...sources]));
    }
  });

  it('lets no setting break out of its page', () => {
    const page = signupPage(
      { provider: 'hcaptcha', siteKey: '"><script>', scriptUrl: 'https://x/"onload="' },
      'n',
    );
    expect(page).not.toContain('"><script>');
    expect(page).not.toContain('"onload="');
  });
});
