import { randomBytes } from 'node:crypto';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import type pg from 'pg';
import type { Registry } from 'prom-client';
import {
  CAPTCHA_PROVIDERS,
  guardTenantCreation,
  type PreventionGuard,
  REFUSAL,
} from '../../src/prevention/index.ts';
import { signupPage, type Widget } from './page.ts';

export interface SignupParts {
  readonly guard: PreventionGuard;
  readonly pool: pg.Pool;
  readonly registry: Registry;
  readonly widget: Widget | null;
}

const BODY_MAX = '16kb';
/** The trigger's, see docs/prevention.md. */
const REFUSED_BY_TRIGGER = 'TP010';
const UNIQUE_VIOLATION = '23505';

/** What an application does with the guard: the check before the handler, the rest in its transaction. */
export function createSignupApp({ guard, pool, registry, widget }: SignupParts): Express {
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

  app.get('/metrics', async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });

  app.use(answerError);
  return app;
}

/** Only what the guard has let in comes here. */
function createTenant(guard: PreventionGuard, pool: pg.Pool): RequestHandler {
  return async (request, response) => {
    const { name, subdomain, email } = request.body as Record<string, string>;
    const tenant = { name: name ?? '', subdomain: subdomain || null, email: email ?? '' };
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      // The trigger stands for those who do not come this way.
      await guard.admit((text, values) => client.query(text, values), tenant);
      const { rows } = await client.query(
        'INSERT INTO tenants (name, subdomain, email) VALUES ($1, $2, $3) RETURNING id',
        [tenant.name, tenant.subdomain, tenant.email],
      );
      await client.query('COMMIT');
      guard.recordCreated(tenant);
      response.status(201).json({ id: rows[0]?.id, name: tenant.name });
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  };
}

const answerError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  if (response.headersSent) {
    next(error);
    return;
  }
  const code = (error as { code?: unknown } | null)?.code;
  const status = (error as { status?: unknown } | null)?.status;
  if (code === REFUSED_BY_TRIGGER) {
    response.status(400).json({ error: { code: 'SIGNUP_REFUSED', message: REFUSAL } });
  } else if (code === UNIQUE_VIOLATION) {
    response.status(409).json({ error: { code: 'TAKEN', message: 'This subdomain is taken.' } });
  } else if (typeof status === 'number' && status >= 400 && status < 500) {
    response
      .status(status)
      .json({ error: { code: 'BAD_REQUEST', message: 'This cannot be read.' } });
  } else {
    response.status(500).json({ error: { code: 'INTERNAL', message: 'Please try again later.' } });
  }
};

/** The widget brings a frame and sends to where it comes from; nothing else does anything. */
function policyOf(widget: Widget | null, nonce: string): string {
  const scripts =
    widget === null ? '' : (widget.scriptUrl ?? CAPTCHA_PROVIDERS[widget.provider].scriptUrl);
  const origin = scripts === '' ? '' : ` ${new URL(scripts).origin}`;
  return [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'${origin}`,
    `style-src 'nonce-${nonce}'`,
    `frame-src 'self'${origin}`,
    `connect-src 'self'${origin}`,
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
