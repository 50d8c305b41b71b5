import { isGuardedEnvironment } from '../../../src/domain/environment.ts';
import type { Visitor } from '../visitor.ts';
import { type Html, html } from './html.ts';
import { fleetPath, livePath, stylePath } from './links.ts';

interface Frame {
  readonly title: string;
  readonly environment: string;
  readonly visitor: Visitor;
  /** True for a page whose `data-live` sections are to follow what happens. */
  readonly live: boolean;
}

/** A browser without JavaScript loads the page again this often. */
const RELOAD_SEC = 5;

/** A whole page. */
export function renderPage(frame: Frame, main: Html): string {
  const { visitor, environment } = frame;
  const place = isGuardedEnvironment(environment) ? 'place guarded' : 'place';
  const looksOnly = visitor.role === 'viewer' ? ', looks only' : '';
  return documentOf(
    frame.title,
    frame.live
      ? html`<script src="${livePath}" defer></script>
<noscript><meta http-equiv="refresh" content="${RELOAD_SEC}"></noscript>`
      : html``,
    html`<header>
<a href="${fleetPath}">tenant-purge</a><span class="${place}">${environment}</span>
<a href="/">Bull Board</a><span class="who">${visitor.name}${looksOnly}</span>
</header>
<div id="stale" role="alert"></div>
<main>${main}</main>`,
  );
}

/** A page that says one thing, to whomever. */
export const renderMessage = (title: string, message: string): string =>
  documentOf(
    title,
    html``,
    html`<header><a href="${fleetPath}">tenant-purge</a></header>
<main><h1>${title}</h1><p class="state bad">${message}</p><p><a href="${fleetPath}">The fleet</a></p></main>`,
  );

function documentOf(title: string, head: Html, body: Html): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · tenant-purge</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${stylePath}">
${head}
</head>
<body>
${body}
</body>
</html>
`.markup;
}
