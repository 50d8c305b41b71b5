/**
 * Style and script of our pages, as text: the build ships what the compiler emits. Served as files,
 * since the content policy allows no script inside a page.
 */

export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --card: #f6f7f9; --text: #16191d; --dim: #57606a; --line: #d5dae0;
  --link: #0b57d0; --good: #146c2e; --wait: #8a5300; --bad: #b3261e; --run: #0b57d0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #101418; --card: #191f25; --text: #e4e8ec; --dim: #9aa5b1; --line: #323b45;
    --link: #8ab4f8; --good: #81c995; --wait: #fdd663; --bad: #f28b82; --run: #8ab4f8;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: center; padding: .6rem 1rem;
  border-bottom: 1px solid var(--line); background: var(--card); }
header a { font-weight: 600; }
header .who { margin-left: auto; color: var(--dim); overflow-wrap: anywhere; }
.place { padding: 0 .5rem; border-radius: .25rem; color: #fff; background: #15803d; font-weight: 600; }
.place.guarded { background: #b91c1c; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { margin: .25rem 0; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 1.75rem 0 .5rem; font-size: 1.1rem; }
p { margin: .4rem 0; }
a { color: var(--link); }
code, .id { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
.dim { color: var(--dim); }
.state { margin: .75rem 0; padding: .75rem 1rem; border-left: .4rem solid var(--tone, var(--dim));
  border-radius: .25rem; background: var(--card); }
.state strong { font-size: 1.25rem; color: var(--tone, inherit); }
.good { --tone: var(--good); } .wait { --tone: var(--wait); } .bad { --tone: var(--bad); } .run { --tone: var(--run); }
.word { color: var(--tone, inherit); font-weight: 600; white-space: nowrap; }
p.wrong { color: var(--tone); font-weight: 600; }
.actions { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; }
.actions form { margin: 0; }
button, .button { display: inline-block; min-height: 2.75rem; padding: .55rem 1.2rem; border: 1px solid var(--line);
  border-radius: .4rem; background: var(--card); color: var(--text); font: inherit; font-weight: 600;
  text-decoration: none; cursor: pointer; }
button:hover, .button:hover { border-color: var(--text); }
button:focus-visible, .button:focus-visible, input:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
button:disabled, .button[aria-disabled] { opacity: .45; cursor: not-allowed; }
.danger { border-color: var(--bad); color: var(--bad); }
input { width: 100%; max-width: 32rem; min-height: 2.75rem; padding: .4rem .7rem; border: 1px solid var(--dim);
  border-radius: .4rem; background: var(--ground); color: var(--text); font: 1rem ui-monospace, monospace; }
label { display: block; margin: 1rem 0 .3rem; }
fieldset { margin: 0; padding: 0; border: 0; min-width: 0; }
.knobs { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 0 1rem; align-items: end; }
.holds { color: var(--wait); overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.figures div { padding: .5rem .75rem; border-radius: .25rem; background: var(--card); }
.figures dt { color: var(--dim); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
progress { width: 100%; height: .8rem; accent-color: var(--run); }
.level { margin: .4rem 0; }
.level summary { display: grid; grid-template-columns: minmax(6rem, 12rem) 1fr; gap: 0 .75rem; align-items: center; cursor: pointer; }
.level summary .count { grid-column: 2; font-size: .85rem; color: var(--dim); font-variant-numeric: tabular-nums; }
.level summary .name::before { content: '▸ '; } .level[open] summary .name::before { content: '▾ '; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .92rem; }
th, td { padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--dim); font-weight: 500; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.time { white-space: nowrap; color: var(--dim); }
td.text { overflow-wrap: anywhere; min-width: 9rem; }
#stale { display: none; position: sticky; top: 0; padding: .6rem 1rem; background: #b91c1c; color: #fff; font-weight: 600; }
#stale.shown { display: block; }
@media (max-width: 34rem) {
  .actions form, .actions .button, .actions button { width: 100%; text-align: center; }
  .level summary { grid-template-columns: 1fr; } .level summary .count { grid-column: 1; }
  #events tr { display: block; padding: .35rem 0; border-bottom: 1px solid var(--line); }
  #events td { display: block; padding: 0; border: 0; }
}
`;

/**
 * Looks again every two seconds and puts in only the sections that changed, so that a button does
 * not go away under a finger. While there is no answer it says that the figures are old.
 */
export const LIVE_SCRIPT = `
'use strict';
const EVERY_MS = 2000;
const ANSWER_MAX_MS = 10000;
let last = new Date();

async function look() {
  if (!document.hidden) {
    try {
      const response = await fetch(location.href, { signal: AbortSignal.timeout(ANSWER_MAX_MS) });
      if (!response.ok) throw new Error(String(response.status));
      show(new DOMParser().parseFromString(await response.text(), 'text/html'));
      last = new Date();
      document.getElementById('stale').classList.remove('shown');
    } catch {
      const stale = document.getElementById('stale');
      stale.textContent = 'No answer since ' + last.toLocaleTimeString() + ': what stands below is old. The purges go on without the board.';
      stale.classList.add('shown');
    }
  }
  setTimeout(look, EVERY_MS);
}

function show(fresh) {
  document.title = fresh.title;
  for (const section of document.querySelectorAll('[data-live]')) {
    const next = fresh.getElementById(section.id);
    if (next === null) continue;
    for (const details of section.querySelectorAll('details[open]')) {
      const same = next.querySelector('#' + CSS.escape(details.id));
      if (same !== null) same.open = true;
    }
    if (next.innerHTML !== section.innerHTML) section.replaceChildren(...next.childNodes);
  }
}

setTimeout(look, EVERY_MS);
`;
