import { setTimeout as pause } from 'node:timers/promises';
import { CAPTCHA_PROVIDERS, type CaptchaProviderName } from './captcha-providers.ts';
import type { PreventionGuard } from './guard.ts';
import type { TenantCreationRequest } from './request.ts';
import type { Verdict } from './verdict.ts';

/**
 * The parts of Express's request and response that are used; Express 4 and 5 both have them. Without
 * `body` and `locals`, which are used too: Express infers the types of the handlers behind from those
 * of the middleware, and would call both unknown there.
 */
export interface HttpRequest {
  readonly method: string;
  readonly baseUrl?: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

export interface HttpResponse {
  status(code: number): { json(body: unknown): unknown };
}

type Next = (error?: unknown) => void;

export interface MiddlewareOptions {
  /** What is asked for; default: `name`, `subdomain` and `email` of the body. */
  readonly read?: (
    body: Readonly<Record<string, unknown>>,
  ) => Pick<TenantCreationRequest, 'name' | 'subdomain' | 'email'>;
  /** Whose field of the form holds the token; without it, none is read. */
  readonly captcha?: CaptchaProviderName;
  /** Header with an operator's token; default `x-signup-override`. */
  readonly overrideHeader?: string;
  /** Answers a refusal in the application's own form; it is not told why. */
  readonly refuse?: (response: HttpResponse, reference: string) => void;
  /** A refusal takes at least this long: a quick one would tell the rule. Default 300. */
  readonly refusalMsMin?: number;
}

/** What everybody reads who is refused, whatever the rule. */
export const REFUSAL =
  'This sign-up could not be accepted. Check what you entered and try again later, or write to support with the reference.';

const REFUSAL_MS_MIN = 300;

/**
 * Express middleware: behind the body's parser, before the handler that creates the tenant. On
 * `allowed` the verdict stands in `response.locals.prevention` and the handler runs; otherwise the
 * answer is 400 with the same text for every rule. The reason is in the log, under the reference.
 */
export function guardTenantCreation(
  guard: PreventionGuard,
  options: MiddlewareOptions = {},
): (request: HttpRequest, response: HttpResponse, next: Next) => void {
  const answer = async (
    request: HttpRequest,
    response: HttpResponse,
    next: Next,
  ): Promise<void> => {
    // Express 4 does not wait for what a middleware returns.
    try {
      if (await isLetIn(guard, request, response, options)) next();
    } catch (error) {
      next(error);
    }
  };
  return (request, response, next) => void answer(request, response, next);
}

/** Answers where not. */
async function isLetIn(
  guard: PreventionGuard,
  request: HttpRequest,
  response: HttpResponse,
  options: MiddlewareOptions,
): Promise<boolean> {
  const startedMs = performance.now();
  const verdict = await judge(guard, request, options);
  if (verdict.allowed) {
    const { locals } = response as HttpResponse & { readonly locals: Record<string, unknown> };
    locals['prevention'] = verdict;
    return true;
  }
  const leastMs = options.refusalMsMin ?? REFUSAL_MS_MIN;
  await pause(Math.max(0, leastMs - (performance.now() - startedMs)));
  (options.refuse ?? refuse)(response, verdict.reference);
  return false;
}

function judge(
  guard: PreventionGuard,
  request: HttpRequest,
  { read = readBody, captcha, overrideHeader = 'x-signup-override' }: MiddlewareOptions,
): Promise<Verdict> {
  const body = bodyOf((request as HttpRequest & { readonly body?: unknown }).body);
  return guard.checkTenantCreation({
    ...read(body),
    ip: guard.addressOf(request.socket.remoteAddress, first(request.headers['x-forwarded-for'])),
    captchaToken: captcha === undefined ? undefined : text(body[CAPTCHA_PROVIDERS[captcha].field]),
    overrideToken: first(request.headers[overrideHeader.toLowerCase()]),
    endpoint: `${request.method} ${request.baseUrl ?? ''}${request.path}`,
    payload: body,
  });
}

/** Whatever was sent: the guard refuses what is no text. */
const readBody: NonNullable<MiddlewareOptions['read']> = (body) => ({
  name: text(body['name']) ?? '',
  subdomain: text(body['subdomain']) ?? null,
  email: text(body['email']) ?? '',
});

const bodyOf = (body: unknown): Readonly<Record<string, unknown>> =>
  typeof body === 'object' && body !== null ? { ...body } : {};

const text = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : undefined;

const first = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(',') : value;

function refuse(response: HttpResponse, reference: string): void {
  response.status(400).json({ error: { code: 'SIGNUP_REFUSED', message: REFUSAL, reference } });
}
