import { isIPv4 } from 'node:net';
import type { Request, RequestHandler, Response } from 'express';
import { renderMessage } from './pages/layout.ts';

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
    // With no-referrer a form's Origin would be null, and the board not know its own page.
    'Referrer-Policy': 'same-origin',
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
      request,
      response,
      `The board serves this machine only, not "${host}": set BOARD_PASSWORD first.`,
    );
  }
};

/**
 * Requests that change something must come from the board's own page. A browser sends credentials,
 * or reaches a loopback address, for any page that asks it to, and says which page it was.
 * Programs that are no browser send neither header and pass.
 * @param origin where people open the board; null: under whatever name the request is for
 */
export const requireOwnPage =
  (origin: string | null): RequestHandler =>
  (request, response, next) => {
    const site = request.get('sec-fetch-site') ?? 'none';
    const from = request.get('origin');
    const isOwn = from === undefined || from === origin || isSameHost(from, request, origin);
    if (isRead(request) || (isOwn && (site === 'same-origin' || site === 'none'))) next();
    else refuse(request, response, `Refused: it was asked for by another page (${from ?? site}).`);
  };

export const isRead = ({ method }: Request): boolean => method === 'GET' || method === 'HEAD';

/**
 * Refuses in the form that the asking page expects: Bull Board's shows the message to the operator,
 * and so does a page of ours.
 */
export function refuse(request: Request, response: Response, message: string): void {
  response.status(403);
  if (request.path.startsWith('/api/') || request.accepts(['json', 'html']) !== 'html') {
    response.json({ error: { key: 'ERRORS.FORBIDDEN' }, message });
  } else {
    response.type('html').send(renderMessage('Refused', message));
  }
}

/** Behind a proxy the host of the request may be the proxy's own; then only `origin` counts. */
const isSameHost = (from: string, request: Request, origin: string | null): boolean =>
  origin === null && hostOf(from) === request.get('host')?.toLowerCase();

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
