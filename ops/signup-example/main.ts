/**
 * A sign-up service with the guard in front: what an application developer copies. Serves until
 * SIGTERM or SIGINT; the first line on stdout is its URL. Its table is made where there is none:
 *
 *   tenant-purge prevention install
 *   DATABASE_URL=… REDIS_URL=… PORT=8080 node --import tsx ops/signup-example/main.ts
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import {
  CAPTCHA_PROVIDERS,
  type CaptchaProviderName,
  type CaptchaSettings,
  PreventionGuard,
} from '../../src/prevention/index.ts';
import { createSignupApp } from './app.ts';
import type { Widget } from './page.ts';

const { env } = process;
const log = pino({ name: 'signup' }, pino.destination({ fd: 2, sync: true }));
const pool = new Pool({ connectionString: required('DATABASE_URL'), max: 5 });
pool.on('error', (err) => log.warn({ err }, 'an idle connection to PostgreSQL was lost'));
const redis = new Redis(required('REDIS_URL'), { maxRetriesPerRequest: 1 });
redis.on('error', (err) => log.warn({ err }, 'the connection to Redis was lost'));
const registry = new Registry();

const captcha = captchaOf();
const override =
  env['OVERRIDE_KEY'] === undefined
    ? {}
    : { override: { key: env['OVERRIDE_KEY'], audience: required('OVERRIDE_AUDIENCE') } };
const guard = new PreventionGuard({
  environment: env['ENVIRONMENT'],
  redis,
  log,
  registry,
  query: (text, values) => pool.query(text, values),
  trustedProxies: listOf(env['TRUSTED_PROXIES']),
  limits: {
    redisTimeoutMs: Number(env['REDIS_TIMEOUT_MS'] ?? '500'),
    onRedisDown: env['ON_REDIS_DOWN'] === 'open' ? 'open' : 'closed',
  },
  ...(captcha === null ? {} : { captcha }),
  ...override,
});

await pool.query(
  `CREATE TABLE IF NOT EXISTS tenants (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     name text NOT NULL, subdomain text UNIQUE, email text NOT NULL)`,
);
const server = createServer(createSignupApp({ guard, pool, registry, log, widget: widgetOf() }));
server.listen(Number(env['PORT'] ?? '8080'), '127.0.0.1');
await once(server, 'listening');
const address = server.address();
process.stdout.write(
  `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/\n`,
);

const stop = async (): Promise<void> => {
  server.close();
  server.closeIdleConnections();
  await once(server, 'close');
  await guard.settle();
  await pool.end();
  redis.disconnect();
};
process.once('SIGTERM', () => void stop());
process.once('SIGINT', () => void stop());

function required(name: string): string {
  const value = env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set`);
  return value;
}

/** `a, b` → a and b. */
function listOf(text = ''): string[] {
  const entries = text.split(',').map((entry) => entry.trim());
  return entries.filter((entry) => entry !== '');
}

function providerOf(): CaptchaProviderName | null {
  const name = env['CAPTCHA_PROVIDER'] ?? '';
  if (name === '') return null;
  if (Object.hasOwn(CAPTCHA_PROVIDERS, name)) return name as CaptchaProviderName;
  throw new Error(`CAPTCHA_PROVIDER: one of ${Object.keys(CAPTCHA_PROVIDERS).join(', ')}`);
}

function captchaOf(): CaptchaSettings | null {
  const provider = providerOf();
  if (provider === null) return null;
  const verifyUrl = env['CAPTCHA_VERIFY_URL'];
  return {
    provider,
    secret: required('CAPTCHA_SECRET'),
    siteKey: required('CAPTCHA_SITE_KEY'),
    hostnames: listOf(required('CAPTCHA_HOSTNAMES')),
    ...(verifyUrl === undefined ? {} : { verifyUrl }),
  };
}

function widgetOf(): Widget | null {
  const provider = providerOf();
  if (provider === null) return null;
  const scriptUrl = env['CAPTCHA_WIDGET_URL'] ?? null;
  return { provider, siteKey: required('CAPTCHA_SITE_KEY'), scriptUrl };
}
