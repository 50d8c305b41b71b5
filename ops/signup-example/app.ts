import { randomBytes } from 'node:crypto';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import type pg from 'pg';
import type { Registry } from 'prom-client';
import {
  CAPTCHA_PROVIDERS,
  guardTenantCreation,
  type Log,
  type PreventionGuard,
  REFUSAL,
} from '../../src/prevention/index.ts';
import { signupPage, type Widget } from './page.ts';

interface SignupParts {
  readonly guard: PreventionGuard;
  readonly pool: pg.Pool;
  readonly registry: Registry;
  readonly log: Log;
  readonly widget: Widget | null;
}

const BODY_MAX = '16kb';
/** The trigger's, see docs/prevention.md. */
const REFUSED_BY_TRIGGER = 'TP010';
const UNIQUE_VIOLATION = '23505';

/** What an application does with the guard: the check before the handler, the rest in its transaction. */
export function createSignupApp({ guard, pool, registry, log, widget }: SignupParts): Express {
  const app = express();
  app.disable('x-powered-by');

  app.get('/', (_request, response) => {
    const nonce = randomBytes(16).toString('base64');
    response
      .set('content-security-policy', policyOf(widget, nonce))
      .send(signupPage(widget, nonce));
  });

  app.post(
    '/signup',
    express.json({ limit: BODY_MAX }),
    express.urlencoded({ extended: false, limit: BODY_MAX }),
    guardTenantCreation(guard, widget === null ? {} : { captcha: widget.provider }),
    createTenant(guard, pool),
  );

  // For Prometheus alone: a service of yours has it on a port that the world does not reach.
  app.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });

  app.use(answerError(log));
  return app;
}

interface Tenant {
  readonly name: string;
  readonly subdomain: string | null;
  readonly email: string;
}

/** Only what the guard has let in comes here; outside production that is everything. */
function createTenant(guard: PreventionGuard, pool: pg.Pool): RequestHandler {
  return async (request, response) => {
    const tenant = readTenant(request.body);
    if (tenant === null) {
      response.status(400).json(UNREADABLE);
      return;
    }
    let id: unknown;
    try {
      id = await insertTenant(guard, pool, tenant);
    } catch (error) {
      // Three tenants an hour, not three typing errors.
      await guard.giveBack(response.locals['prevention']);
      throw error;
    }
    guard.recordCreated(tenant);
    response.status(201).json({ id, name: tenant.name });
  };
}

function readTenant(body: unknown): Tenant | null {
  if (typeof body !== 'object' || body === null) return null;
  const { name, subdomain, email }: Readonly<Record<string, unknown>> = { ...body };
  if (typeof name !== 'string' || name === '' || typeof email !== 'string') return null;
  return { name, subdomain: typeof subdomain === 'string' ? subdomain || null : null, email };
}

async function insertTenant(guard: PreventionGuard, pool: pg.Pool, tenant: Tenant) {
  const client = await pool.connect();
  let isBroken = false;
  try {
    await client.query('BEGIN');
    // The trigger stands for those who do not come this way.
    await guard.admit((text, values) => client.query(text, values), tenant);
    const { rows } = await client.query(
      'INSERT INTO tenants (name, subdomain, email) VALUES ($1, $2, $3) RETURNING id',
      [tenant.name, tenant.subdomain, tenant.email],
    );
    await client.query('COMMIT');
    const id: unknown = rows[0]?.id;
    return id;
  } catch (error) {
    // A connection that cannot roll back is no other request's.
    await client.query('ROLLBACK').catch(() => (isBroken = true));
    throw error;
  } finally {
    client.release(isBroken);
  }
}

const UNREADABLE = { error: { code: 'BAD_REQUEST', message: 'This cannot be read.' } };

/** Who signs up reads no details; the log has them. */
const answerError =
  (log: Log): ErrorRequestHandler =>
  (error: unknown, _request, response, next) => {
    if (response.headersSent) {
      next(error);
      return;
    }
    const code = (error as { code?: unknown } | null)?.code;
    const status = (error as { status?: unknown } | null)?.status;
    if (code === REFUSED_BY_TRIGGER) {
      log.warn({ err: error }, 'the trigger refused a tenant');
      response.status(400).json({ error: { code: 'SIGNUP_REFUSED', message: REFUSAL } });
    } else if (code === UNIQUE_VIOLATION) {
      response.status(409).json({ error: { code: 'TAKEN', message: 'This subdomain is taken.' } });
    } else if (typeof status === 'number' && status >= 400 && status < 500) {
      response.status(status).json(UNREADABLE);
    } else {
      log.error({ err: error }, 'a tenant could not be created');
      response
        .status(500)
        .json({ error: { code: 'INTERNAL', message: 'Please try again later.' } });
    }
  };

/** The widget brings scripts, frames and styles from its provider's places; nothing else does anything. */
function policyOf(widget: Widget | null, nonce: string): string {
  const widgets = sourcesOf(widget)
    .map((source) => ` ${source}`)
    .join('');
  return [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'${widgets}`,
    `style-src 'nonce-${nonce}'${widgets}`,
    `frame-src 'self'${widgets}`,
    `connect-src 'self'${widgets}`,
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

function sourcesOf(widget: Widget | null): readonly string[] {
  if (widget === null) return [];
  const { provider, scriptUrl } = widget;
  return scriptUrl === null ? CAPTCHA_PROVIDERS[provider].cspSources : [new URL(scriptUrl).origin];
}
