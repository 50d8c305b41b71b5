import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { CAPTCHA_PROVIDERS, type CaptchaProviderName } from '../../../src/prevention/index.ts';

/** How the provider misbehaves; `none`: it does not. */
export type ProviderFault =
  | 'none'
  | 'hangs'
  | 'hangs-in-body'
  | 'status-500'
  | 'status-429'
  | 'redirects'
  | 'no-json'
  | 'floods'
  | 'drops';

/** A local server that speaks one provider's protocol: siteverify, and a script with a widget. */
export interface CaptchaServer {
  readonly url: string;
  readonly verifyUrl: string;
  readonly widgetUrl: string;
  readonly secret: string;
  readonly siteKey: string;
  fault: ProviderFault;
  /** What is said of tokens beyond the protocol's least: action, score, another hostname. */
  extra: Readonly<Record<string, unknown>>;
  /** Forms that it was sent. */
  readonly asked: Readonly<Record<string, string>>[];
  /** A token as the widget would give it to the browser. */
  solve(): string;
  close(): Promise<void>;
}

interface Challenge {
  readonly solvedAt: string;
  used: boolean;
}

export async function startCaptchaServer(provider: CaptchaProviderName): Promise<CaptchaServer> {
  const tokens = new Map<string, Challenge>();
  const secret = `secret-${randomUUID()}`;
  const siteKey = `site-${randomUUID()}`;
  const http = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const url = `http://127.0.0.1:${address.port}`;
  const server: CaptchaServer = {
    url,
    verifyUrl: `${url}/siteverify`,
    widgetUrl: `${url}/widget.js`,
    secret,
    siteKey,
    fault: 'none',
    extra: {},
    asked: [],
    solve() {
      const token = `${provider}.${randomUUID()}`;
      tokens.set(token, { solvedAt: new Date().toISOString(), used: false });
      return token;
    },
    async close() {
      const closed = once(http, 'close');
      http.close();
      http.closeAllConnections();
      await closed;
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', url);
    if (request.method === 'GET' && pathname === '/widget.js') {
      response.setHeader('content-type', 'text/javascript');
      response.end(widgetScript(provider, url));
    } else if (request.method === 'GET' && pathname === '/solve') {
      response.setHeader('access-control-allow-origin', '*');
      const known = searchParams.get('sitekey') === siteKey;
      response.writeHead(known ? 200 : 400).end(known ? server.solve() : '');
    } else if (request.method === 'POST' && pathname === '/siteverify') {
      await siteverify(request, response);
    } else {
      response.writeHead(404).end();
    }
  }

  async function siteverify(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const form = Object.fromEntries(new URLSearchParams(body));
    server.asked.push({ ...form, type: request.headers['content-type'] ?? '' });
    switch (server.fault) {
      case 'none':
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(judge(form)));
        return;
      case 'hangs':
        return;
      case 'hangs-in-body':
        response.write(JSON.stringify(judge(form)).slice(0, 5));
        return;
      case 'status-500':
        response.writeHead(503).end();
        return;
      case 'status-429':
        response.writeHead(429).end();
        return;
      case 'redirects':
        response.writeHead(307, { location: `${url}/elsewhere` }).end();
        return;
      case 'no-json':
        response.end('<html>maintenance</html>');
        return;
      case 'floods':
        response.end(`{"success": true, "x": "${'x'.repeat(1_000_000)}"}`);
        return;
      case 'drops':
        request.socket.destroy();
        return;
      default:
        server.fault satisfies never;
    }
  }

  /** As the providers document it; hCaptcha calls a used token otherwise. */
  function judge(form: Readonly<Record<string, string>>): object {
    if (form['secret'] === undefined) return fail('missing-input-secret');
    if (form['secret'] !== secret) return fail('invalid-input-secret');
    if (form['response'] === undefined) return fail('missing-input-response');
    if (form['sitekey'] !== undefined && form['sitekey'] !== siteKey) {
      return fail('sitekey-secret-mismatch');
    }
    const challenge = tokens.get(form['response']);
    if (challenge === undefined) return fail('invalid-input-response');
    if (challenge.used) {
      return fail(provider === 'hcaptcha' ? 'already-seen-response' : 'timeout-or-duplicate');
    }
    challenge.used = true;
    const { solvedAt } = challenge;
    return { success: true, challenge_ts: solvedAt, hostname: '127.0.0.1', ...server.extra };
  }

  return server;
}

const fail = (code: string): object => ({ success: false, 'error-codes': [code] });

/** Stands in for the provider's script: a button in place of its frame, and the field that it fills in. */
const widgetScript = (provider: CaptchaProviderName, url: string): string => `
for (const element of document.querySelectorAll('.${CAPTCHA_PROVIDERS[provider].elementClass}')) {
  const field = document.createElement('input');
  field.type = 'hidden';
  field.name = '${CAPTCHA_PROVIDERS[provider].field}';
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = 'I am human';
  button.addEventListener('click', async () => {
    const sitekey = encodeURIComponent(element.dataset.sitekey);
    field.value = await (await fetch('${url}/solve?sitekey=' + sitekey)).text();
    button.textContent = 'Verified';
  });
  window['${CAPTCHA_PROVIDERS[provider].scriptObject}'] = {
    reset() {
      field.value = '';
      button.textContent = 'I am human';
    },
  };
  element.append(button, field);
}
`;
