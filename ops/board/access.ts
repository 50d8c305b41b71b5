import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { RequestHandler, Response } from 'express';

/**
 * The page loads nothing from elsewhere (Bull Board's would ask a font server), runs no script that
 * a tenant's name might carry, and stands in no frame in which a click could be stolen.
 */
const CONTENT_POLICY = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "worker-src 'self' blob:",
  "object-src 'none'",
  "base-uri 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

export const confineBrowser: RequestHandler = (_, response, next) => {
  response.set({
    'Content-Security-Policy': CONTENT_POLICY,
    'X-Frame-Options': 'DENY',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  });
  next();
};

/**
 * For a board without a password, whose only fence is the loopback address: a page whose name was
 * made to lead here (DNS rebinding) is of its own origin and would pass every other check.
 */
export const requireOwnHost: RequestHandler = (request, response, next) => {
  const host = request.get('host') ?? '';
  if (isLoopbackHost(host)) next();
  else {
    refuse(
      response,
      `The board serves this machine only, not "${host}": set BOARD_PASSWORD first.`,
    );
  }
};

/** HTTP basic authentication, compared in constant time. */
export function requirePassword(user: string, password: string): RequestHandler {
  const expected = digest(`${user}:${password}`);
  return (request, response, next) => {
    const [scheme, credentials] = (request.get('authorization') ?? '').split(' ');
    const given = Buffer.from(credentials ?? '', 'base64').toString('utf8');
    // Digests, since the comparison wants equal lengths, and the length is a secret too.
    if (timingSafeEqual(digest(given), expected) && scheme?.toLowerCase() === 'basic') {
      next();
      return;
    }
    response
      .status(401)
      .set('WWW-Authenticate', 'Basic realm="tenant-purge", charset="UTF-8"')
      .type('text')
      .send('Sign in with BOARD_USER and BOARD_PASSWORD.\n');
  };
}

/**
 * Requests that change something must come from the board's own page. A browser sends credentials,
 * or reaches a loopback address, for any page that asks it to, and says which page it was.
 * Programs that are no browser send neither header and pass.
 */
export const requireOwnPage: RequestHandler = (request, response, next) => {
  const site = request.get('sec-fetch-site') ?? 'none';
  const origin = request.get('origin');
  const own = origin === undefined || hostOf(origin) === request.get('host')?.toLowerCase();
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  if (isRead || (own && (site === 'same-origin' || site === 'none'))) next();
  else refuse(response, `Refused: it was asked for by another page (${origin ?? site}).`);
};

/** The form in which Bull Board's page expects an error: it shows the message to the operator. */
function refuse(response: Response, message: string): void {
  response.status(403).json({ error: { key: 'ERRORS.FORBIDDEN' }, message });
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Host and port of an origin; `null`, which sandboxed pages send, has none. */
const hostOf = (origin: string): string | null =>
  URL.canParse(origin) ? new URL(origin).host : null;

function isLoopbackHost(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false;
  const { hostname } = new URL(`http://${host}`);
  return (
    hostname === 'localhost' ||
    hostname === '[::1]' ||
    (isIPv4(hostname) && hostname.startsWith('127.'))
  );
}
