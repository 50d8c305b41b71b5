import { CAPTCHA_PROVIDERS, type CaptchaProviderName } from '../../src/prevention/index.ts';

export interface Widget {
  readonly provider: CaptchaProviderName;
  readonly siteKey: string;
  /** Default: the provider's own script. */
  readonly scriptUrl: string | null;
}

/** The form, with the provider's widget where there is one. @param nonce of the page's own script */
export function signupPage(widget: Widget | null, nonce: string): string {
  const { elementClass, scriptUrl, scriptObject } =
    CAPTCHA_PROVIDERS[widget?.provider ?? 'hcaptcha'];
  const captcha =
    widget === null
      ? ''
      : `<div class="${elementClass}" data-sitekey="${escapeHtml(widget.siteKey)}"></div>
      <script src="${escapeHtml(widget.scriptUrl ?? scriptUrl)}" nonce="${nonce}" async defer></script>`;
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Sign up</title>
    <style nonce="${nonce}">
      body { font: 1rem/1.5 system-ui, sans-serif; max-width: 28rem; margin: 3rem auto; padding: 0 1rem }
      label { display: block; margin: 1rem 0 }
      input { display: block; width: 100%; font: inherit; padding: .5rem; box-sizing: border-box }
      button { font: inherit; padding: .5rem 1.5rem; margin-top: 1rem }
    </style>
  </head>
  <body>
    <h1>Sign up</h1>
    <form method="post" action="/signup">
      <label>Company <input name="name" required maxlength="200"></label>
      <label>Subdomain <input name="subdomain" required maxlength="63"></label>
      <label>E-mail <input name="email" type="email" required maxlength="254"></label>
      ${captcha}
      <button>Create</button>
      <p role="status"></p>
    </form>
    <script nonce="${nonce}">
      const form = document.querySelector('form');
      const status = document.querySelector('[role=status]');
      form.addEventListener('submit', async (event) => {
        event.preventDefault();
        status.textContent = '';
        status.textContent = await send().catch(() => {
          renewWidget();
          return 'The service did not answer. Please try again later.';
        });
      });
      async function send() {
        const response = await fetch(form.action, {
          method: 'POST',
          body: new URLSearchParams(new FormData(form)),
        });
        const answer = await response.json();
        if (response.ok) return 'Welcome, ' + answer.name + '.';
        renewWidget();
        const { message, reference } = answer.error;
        return message + (reference ? ' Reference: ' + reference : '');
      }
      // A token is good once: who has to correct something solves another challenge.
      function renewWidget() {
        try {
          window['${scriptObject}']?.reset?.();
        } catch {
          // A widget that has not come up has nothing to renew.
        }
      }
    </script>
  </body>
</html>`;
}

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0) ?? 0};`);
