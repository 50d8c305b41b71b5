import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { ERROR_CODES, EXIT } from '../../src/domain/errors.ts';
import { LIVE_STATUSES, PURGE_STATUSES, STAGES, TRANSITIONS } from '../../src/domain/purge.ts';
import { MIGRATIONS } from '../../src/postgres/migrate.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DOCUMENTS = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`),
];

describe('The state machine in docs', () => {
  const document = read('docs/state-machine.md');

  it('has exactly the transitions of the code, with their causes', () => {
    expect(tableUnder(document, '## Transitions')).toEqual(
      TRANSITIONS.map(({ from, to, cause }) => [from, to, cause]),
    );
  });

  it('draws exactly these', () => {
    const drawn = [...document.matchAll(/^ {4}(\w+) --> (\w+)$/gm)].map(([, from, to]) => [
      from,
      to,
    ]);
    expect(drawn).toEqual(TRANSITIONS.map(({ from, to }) => [from, to]));
  });

  it('says of every status whether it is live', () => {
    const rows = tableUnder(document, '## Statuses');
    expect(rows.map(([status]) => status).sort()).toEqual([...PURGE_STATUSES].sort());
    const live = rows.filter(([, , answer]) => answer === 'yes').map(([status]) => status ?? '');
    expect(live.sort()).toEqual([...LIVE_STATUSES].sort());
  });
});

describe('The README', () => {
  const readme = read('README.md');

  it('has every key of the configuration with its default', () => {
    const defaults = flatten(configSchema.parse({ tenant: { table: 'public.tenants' } }));
    const documented = new Map(
      tableUnder(readme, '## Configuration').map(([key = '', value = '']) => [
        unquoted(key),
        unquoted(value),
      ]),
    );
    const withoutDefault = Object.keys(configSchema.shape.tenant.shape)
      .map((name) => `tenant.${name}`)
      .filter((name) => name === 'tenant.table' || !defaults.has(name));
    expect([...documented.keys()].sort()).toEqual(
      [...new Set([...defaults.keys(), ...withoutDefault])].sort(),
    );
    for (const [name, value] of defaults) {
      if (!withoutDefault.includes(name))
        expect([name, documented.get(name)]).toEqual([name, value]);
    }
  });

  it('has every variable that the program reads', () => {
    const source = ['src/config/environment.ts', 'src/config/load.ts'].map(read).join('\n');
    const names = [...source.matchAll(/(?:read|readUrl)\('([A-Z_]+)'|env\['([A-Z_]+)'\]/g)]
      .map(([, left, right]) => left ?? right ?? '')
      // For tests of crashes only.
      .filter((name) => name !== 'TENANT_PURGE_FAILPOINT');
    const documented = tableUnder(readme, '## Environment').map(([name = '']) => unquoted(name));
    expect(documented.sort()).toEqual([...new Set(names)].sort());
  });

  it('has the exit codes', () => {
    const codes = tableUnder(readme, '## Exit codes').map(([code]) => Number(code));
    expect(codes).toEqual(Object.values(EXIT));
  });
});

describe('The runbook', () => {
  it('explains error codes that exist', () => {
    const codes = tableUnder(read('docs/operations.md'), '## A purge failed').map(([code = '']) =>
      unquoted(code),
    );
    expect(codes.length).toBeGreaterThan(5);
    const known = new Set<string>(ERROR_CODES);
    expect(codes.filter((code) => !known.has(code))).toEqual([]);
  });
});

describe('The architecture', () => {
  it('lists every table of the ledger', () => {
    const created = MIGRATIONS.flatMap(({ sql }) =>
      [...sql.matchAll(/CREATE TABLE tenant_purge\.(\w+)/gi)].map(([, table]) => table),
    );
    const listed = tableUnder(read('docs/architecture.md'), '## The ledger').map(([name = '']) =>
      unquoted(name),
    );
    expect(listed.sort()).toEqual(['migration', ...created].sort());
  });
});

describe('The glossary', () => {
  it('names the stages as the code does', () => {
    const [, , stages = ''] = /\*\*(stage)\*\* \| where a purge is: ([^|]+) \|/.exec(
      read('docs/glossary.md'),
    ) ?? ['', '', ''];
    expect(stages.trim().split(', ')).toEqual(STAGES);
  });
});

describe('Documents', () => {
  it('name files that are there', () => {
    const missing = DOCUMENTS.flatMap((document) => {
      const text = read(document);
      const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)].map(
        ([, path = '']) => join(dirname(document), path),
      );
      const paths = [...text.matchAll(/`((?:src|workers|ops|test|docs)\/[\w./-]+)`/g)].map(
        ([, path = '']) => path,
      );
      return [...links, ...paths]
        .filter((path) => !existsSync(join(ROOT, path)))
        .map((path) => `${document} names ${path}`);
    });
    expect(missing).toEqual([]);
  });

  it('name scripts that package.json has', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = DOCUMENTS.flatMap((document) =>
      [...read(document).matchAll(/npm run (?:-s )?([\w:]+)/g)].map(([, name = '']) => name),
    );
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  it('give a reason for each dependency', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json')) as Record<
      string,
      Record<string, string>
    >;
    const names = [...Object.keys(dependencies ?? {}), ...Object.keys(devDependencies ?? {})];
    const listed = read('CHANGELOG.md')
      .split('\n')
      .filter((line) => line.startsWith('| '))
      .flatMap((line) => (cells(line)[0] ?? '').split(', '));
    expect(names.filter((name) => !listed.includes(name))).toEqual([]);
  });
});

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Rows of the first table below a heading, without the head. */
function tableUnder(document: string, heading: string): string[][] {
  const start = document.indexOf(`\n${heading}\n`);
  if (start === -1) throw new Error(`there is no heading ${heading}`);
  const lines = document.slice(start).split('\n');
  const first = lines.findIndex((line) => line.startsWith('|'));
  const length = lines.slice(first).findIndex((line) => !line.startsWith('|'));
  return lines.slice(first + 2, first + length).map(cells);
}

const cells = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

const unquoted = (text: string): string => text.replaceAll('`', '');

/** `batch.targetMs` → `250`, with empty objects as values. */
function flatten(value: object, path = ''): Map<string, string> {
  const flat = new Map<string, string>();
  for (const [key, inner] of Object.entries(value)) {
    const place = path === '' ? key : `${path}.${key}`;
    const isBranch =
      typeof inner === 'object' &&
      inner !== null &&
      !Array.isArray(inner) &&
      Object.keys(inner).length > 0;
    if (isBranch) for (const [name, text] of flatten(inner, place)) flat.set(name, text);
    else flat.set(place, JSON.stringify(inner));
  }
  return flat;
}
