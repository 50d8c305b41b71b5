import { EventEmitter, once } from 'node:events';
import * as fc from 'fast-check';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { judgeAnswer } from '../../../src/prevention/captcha.ts';
import { PreventionGuard, type TenantCreationRequest } from '../../../src/prevention/index.ts';
import { redactPayload, redactText } from '../../../src/prevention/redact.ts';
import { HONEST, keepLog, NO_REDIS, production } from '../../support/prevention/clients.ts';

const RUNS = { numRuns: 1_500 };
/** A single check of one request; a regular expression that backtracks takes seconds. */
const CHECK_MAX_MS = 500;

const guard = new PreventionGuard(
  production(NO_REDIS, { limits: { onRedisDown: 'open' }, log: keepLog() }),
);

/** Texts as people and attackers write them. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc.string({ unit: 'grapheme', maxLength: 400 }),
  // Half a surrogate pair, controls, NUL.
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 300 })
    .map((codes) => String.fromCharCode(...codes)),
  fc.emailAddress(),
  fc.constantFrom(
    'test',
    'TeSt\u200b',
    'a@example.com',
    '__proto__',
    '\u0000',
    '\ud800',
    'İ'.repeat(200),
  ),
);

const broken = (): never => {
  throw new Error('the log is closed');
};

describe('Whatever comes in', () => {
  it('is judged in bounded time, and nothing throws', async () => {
    let slowestMs = 0;
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.option(text),
        text,
        text,
        fc.anything(),
        async (name, subdomain, email, ip, payload) => {
          const startedMs = performance.now();
          const verdict = await guard.checkTenantCreation({ name, subdomain, email, ip, payload });
          slowestMs = Math.max(slowestMs, performance.now() - startedMs);
          expect(typeof verdict.allowed).toBe('boolean');
        },
      ),
      RUNS,
    );
    console.info(`The slowest of ${RUNS.numRuns} checks took ${slowestMs.toFixed(1)} ms.`);
    expect(slowestMs).toBeLessThan(CHECK_MAX_MS);
  });

  it('may be of any type', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          name: fc.anything(),
          subdomain: fc.anything(),
          email: fc.anything(),
          ip: fc.anything(),
          captchaToken: fc.anything(),
          overrideToken: fc.anything(),
          endpoint: fc.anything(),
          payload: fc.anything(),
        }),
        async (request) => {
          const verdict = await guard.checkTenantCreation(
            request as unknown as TenantCreationRequest,
          );
          expect(verdict.allowed).toBe(false);
        },
      ),
      RUNS,
    );
  });

  it.each([
    ['nothing', null],
    ['undefined', undefined],
    ['a text', 'Acme'],
    [
      'fields that throw',
      {
        get name() {
          throw new Error('no name');
        },
      },
    ],
    [
      'a token that throws',
      {
        ...HONEST,
        name: 'Test',
        get overrideToken() {
          throw new Error('no token');
        },
      },
    ],
  ])('may be %s: it is refused, and nothing throws', async (_what, request) => {
    const log = keepLog();
    const override = { key: 'k'.repeat(32), audience: 'signup' };
    const judge = new PreventionGuard(production(NO_REDIS, { log, override }));
    const verdict = await judge.checkTenantCreation(request as unknown as TenantCreationRequest);
    expect(verdict.allowed).toBe(false);
    expect(log.lines.length).toBeGreaterThan(0);
  });

  it('is judged although the application’s log throws', async () => {
    const judge = new PreventionGuard(
      production(NO_REDIS, {
        log: { info: broken, warn: broken, error: broken },
        query: () => Promise.reject(new Error('no database')),
      }),
    );
    expect((await judge.checkTenantCreation({ ...HONEST, name: 'Test' })).allowed).toBe(false);
    expect((await judge.checkTenantCreation(HONEST)).allowed).toBe(false);
    judge.recordCreated({ name: 'Test', subdomain: null });
    await judge.settle();
  });

  it('keeps its verdict when it is honest, whatever else is sent along', async () => {
    await fc.assert(
      fc.asyncProperty(fc.anything(), text, async (payload, endpoint) => {
        const verdict = await guard.checkTenantCreation({ ...HONEST, payload, endpoint });
        expect(verdict.allowed).toBe(true);
      }),
      RUNS,
    );
  });

  it.each([
    ['a', 200_000],
    ['a@', 100_000],
    ['aA1', 60_000],
    ['@', 200_000],
    ['.', 200_000],
    ['-1 ', 80_000],
    ['1', 200_000],
    ['\u0301', 200_000],
    ['[', 200_000],
    ['::', 100_000],
    ['a.', 100_000],
  ])('of %j repeated takes no longer than a glance', async (piece, times) => {
    const long = piece.repeat(times);
    const startedMs = performance.now();
    await guard.checkTenantCreation({
      name: long,
      subdomain: long,
      email: `${long}@${long}`,
      ip: long,
      payload: { name: long },
    });
    const short = long.slice(0, 200);
    await guard.checkTenantCreation({
      name: short,
      subdomain: short,
      email: `${short}@b.de`,
      ip: '192.0.2.1',
    });
    guard.addressOf('127.0.0.1', long);
    redactText(long);
    expect(performance.now() - startedMs).toBeLessThan(CHECK_MAX_MS);
  });
});

describe('A redacted payload', () => {
  it('is small text that PostgreSQL takes, and shows no value but name and subdomain', () => {
    fc.assert(
      fc.property(fc.anything(), (payload) => {
        const redacted = redactPayload(payload);
        const json = JSON.stringify(redacted);
        expect(json.length).toBeLessThan(40_000);
        expect(json).not.toContain('\\u0000');
        expect(json).not.toMatch(/\\ud[89a-f]/i);
        for (const [field, value] of Object.entries(redacted)) {
          if (field !== 'name' && field !== 'subdomain') expect(value).toBe('[redacted]');
        }
      }),
      RUNS,
    );
  });

  it('names no field by what somebody sent in place of a name', () => {
    const misplaced = '{"name":"Acme","email":"jane@acme.com","password":"hunter2"}';
    expect(redactPayload({ [misplaced]: '', 'jane@acme.com': 1, ['x'.repeat(61)]: 1 })).toEqual({
      '[redacted]': '[redacted]',
    });
    const names = ['firmenname', 'größe', 'address[0].city', '__proto__', '$type', 'x-y'];
    const payload = JSON.parse(`{${names.map((name) => `"${name}": 1`).join()}}`);
    expect(Object.keys(redactPayload(payload))).toEqual(names);
  });

  it('hides mailboxes and long numbers in what it shows', () => {
    expect(
      redactPayload({
        name: 'Test of jane.doe@acme.com, card 4111 1111 1111 1111, since 2024',
        subdomain: 'acme-17',
        email: 'jane@acme.com',
        password: 'hunter2',
        'h-captcha-response': 'P1_token',
      }),
    ).toEqual({
      name: 'Test of [redacted] card [redacted], since 2024',
      subdomain: 'acme-17',
      email: '[redacted]',
      password: '[redacted]',
      'h-captcha-response': '[redacted]',
    });
  });
});

describe('A log table that does not answer', () => {
  it('holds up no shutdown: what waits is counted as lost', async () => {
    const registry = new Registry();
    const log = keepLog();
    let asked = 0;
    const answer = new EventEmitter();
    const query = () => {
      asked += 1;
      return once(answer, 'rows');
    };
    const judge = new PreventionGuard(production(NO_REDIS, { log, registry, query }));
    for (let count = 0; count < 350; count += 1) {
      await judge.checkTenantCreation({ ...HONEST, name: 'Test' });
    }
    expect(asked).toBe(1);
    const settled = judge.settle();
    answer.emit('error', new Error('no answer'));
    await settled;
    expect(asked).toBe(1);
    expect(await registry.metrics()).toContain('tenant_purge_prevention_log_lost_total 350');
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });
});

describe('A CAPTCHA provider’s answer of any form', () => {
  const settings = { provider: 'turnstile', secret: 's', hostnames: ['app.acme.com'] } as const;

  it('never passes unless it says so in full', () => {
    fc.assert(
      fc.property(fc.anything(), (body) => {
        expect(judgeAnswer(settings, body, Date.now()).kind).not.toBe('passed');
      }),
      RUNS,
    );
    fc.assert(
      fc.property(fc.json(), (body) => {
        expect(judgeAnswer(settings, JSON.parse(body), Date.now()).kind).not.toBe('passed');
      }),
      RUNS,
    );
  });
});
