import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** What each room of `src` may import besides itself; docs/architecture.md says why. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  prevention: ['domain'],
  planner: ['domain'],
  postgres: ['domain', 'planner'],
  redis: ['domain', 'planner'],
  archive: ['domain', 'planner'],
  engine: ['domain', 'planner', 'postgres', 'redis', 'archive'],
  diagnosis: ['domain', 'planner', 'postgres', 'redis', 'archive'],
  queue: ['domain', 'planner', 'postgres', 'redis', 'archive', 'engine', 'diagnosis'],
  observability: ['domain'],
  config: ['domain'],
  runtime: [
    'domain',
    'planner',
    'postgres',
    'redis',
    'archive',
    'engine',
    'diagnosis',
    'queue',
    'config',
    'observability',
  ],
};

/** Single files that a room may import although their room is none of its layers, and why. */
const EXCEPTIONS: readonly { readonly from: string; readonly to: string; readonly why: string }[] =
  [
    {
      from: 'config',
      to: 'src/redis/key-template.ts',
      why: 'a template is checked when the configuration is read; the file is pure',
    },
    {
      from: 'config',
      to: 'src/engine/failpoints.ts',
      why: 'the names that TENANT_PURGE_FAILPOINT may have; the file is pure',
    },
  ];

/** The only room of `src` that may import the package. */
const PACKAGE_OWNERS: Readonly<Record<string, string>> = {
  pg: 'postgres',
  kysely: 'postgres',
  ioredis: 'redis',
  bullmq: 'queue',
  pino: 'observability',
};

/** Rooms without any package; the domain may have what is pure. */
const PACKAGE_FREE = ['planner', 'engine'];
const PURE_PACKAGES = ['fastest-levenshtein'];
const PURE_BUILT_INS = ['node:crypto'];

describe('The rooms of src', () => {
  const files = filesUnder('src');

  it('each stand in the table of layers', () => {
    expect([...new Set(files.map(roomOf))].filter((room) => !(room in LAYERS))).toEqual([]);
  });

  it('import only rooms to the left of them', () => {
    const wrong = importsOf(files)
      .filter(({ target }) => target.startsWith('src/'))
      .filter(({ file, target }) => {
        const from = roomOf(file);
        const to = roomOf(target);
        const isException = EXCEPTIONS.some((e) => e.from === from && e.to === target);
        return from !== to && !isException && LAYERS[from]?.includes(to) !== true;
      });
    expect(wrong.map(describeImport)).toEqual([]);
  });

  it('import nothing of workers, ops or test', () => {
    const wrong = importsOf(files).filter(({ target }) => /^(workers|ops|test)\//.test(target));
    expect(wrong.map(describeImport)).toEqual([]);
  });

  it('leave each database, queue and logging library to the one room that owns it', () => {
    const wrong = importsOf(files).filter(({ file, target }) => {
      const owner = PACKAGE_OWNERS[packageOf(target) ?? ''];
      return owner !== undefined && owner !== roomOf(file);
    });
    expect(wrong.map(describeImport)).toEqual([]);
  });

  it('keep the planner and the engine free of packages', () => {
    const wrong = importsOf(files).filter(
      ({ file, target }) => PACKAGE_FREE.includes(roomOf(file)) && packageOf(target) !== null,
    );
    expect(wrong.map(describeImport)).toEqual([]);
  });

  it('keep the domain and the planner pure: no input, no output, no clock of another library', () => {
    const wrong = importsOf(files).filter(({ file, target }) => {
      if (!['domain', 'planner'].includes(roomOf(file))) return false;
      if (target.startsWith('node:')) return !PURE_BUILT_INS.includes(target);
      const name = packageOf(target);
      return name !== null && !PURE_PACKAGES.includes(name);
    });
    expect(wrong.map(describeImport)).toEqual([]);
  });

  it('need each exception that is granted, and it leads to a pure file', () => {
    const imports = importsOf(files);
    for (const { from, to } of EXCEPTIONS) {
      expect(imports.some(({ file, target }) => roomOf(file) === from && target === to)).toBe(true);
      const beyond = importsOf([to]).filter(({ target }) => !target.startsWith('src/domain/'));
      expect(beyond.map(describeImport)).toEqual([]);
    }
  });

  it('read the environment in the configuration alone', () => {
    const readers = files.filter((file) => /\bprocess\.env\b/.test(codeOf(file)));
    expect(readers).toEqual(['src/config/load.ts']);
  });

  it('start no process, handle no signal and exit nowhere', () => {
    const forbidden =
      /\bprocess\.(exit|exitCode|on|once|addListener|kill|abort|stdin|stdout|stderr)\b/;
    const wrong = files.filter((file) => forbidden.test(codeOf(file)));
    const spawners = importsOf(files).filter(({ target }) =>
      ['node:child_process', 'node:cluster', 'node:worker_threads'].includes(target),
    );
    expect([...wrong, ...spawners.map(describeImport)]).toEqual([]);
  });
});

describe('What runs the rooms', () => {
  it('is layered too: workers import no ops and no test, ops import no test', () => {
    const wrong = [
      ...importsOf(filesUnder('workers')).filter(({ target }) => /^(ops|test)\//.test(target)),
      ...importsOf(filesUnder('ops')).filter(({ target }) => target.startsWith('test/')),
    ];
    expect(wrong.map(describeImport)).toEqual([]);
  });

  it('shares no code with the demo application, which stands for a stranger’s', () => {
    const application = [...filesUnder('ops/demo/app'), 'test/integration/demo-app.test.ts'];
    const wrong = importsOf(application).filter(({ target }) => target.startsWith('src/'));
    expect(wrong.map(describeImport)).toEqual([]);
    const users = importsOf([...filesUnder('src'), ...filesUnder('workers')]);
    expect(users.filter(({ target }) => target.startsWith('ops/demo/'))).toEqual([]);
  });
});

describe('The names of files', () => {
  it('are kebab-case and say what they hold', () => {
    const files = ['src', 'workers', 'ops', 'test'].flatMap(filesUnder);
    const wrong = files.filter((file) => {
      const name = basename(file).replace(/(\.(test|config))?\.ts$/, '');
      return !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) || /util|helper|manager|misc/.test(name);
    });
    expect(wrong).toEqual([]);
  });
});

interface Import {
  readonly file: string;
  /** Path from the root for a file of ours; else the module's name. */
  readonly target: string;
}

/** TypeScript files below a folder, by path from the root. */
function filesUnder(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .sort();
}

const STATEMENT =
  /(?:^|\n)[ \t]*(?:import|export)\s+(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/g;

function importsOf(files: readonly string[]): Import[] {
  return files.flatMap((file) =>
    [...codeOf(file).matchAll(STATEMENT)].map(([, still, moving]) => {
      const name = still ?? moving ?? '';
      return {
        file,
        target: name.startsWith('.') ? normalize(join(dirname(file), name)) : name,
      };
    }),
  );
}

/** The file without its comments, which may name what the code must not. */
const codeOf = (file: string): string =>
  readFileSync(join(ROOT, file), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '');

const roomOf = (file: string): string => file.split('/')[1] ?? '';

/** Name of the package a module belongs to; null for files of ours and for Node's own modules. */
function packageOf(target: string): string | null {
  if (target.startsWith('node:') || /^(src|workers|ops|test)\//.test(target)) return null;
  const [scope = '', name = ''] = target.split('/');
  return scope.startsWith('@') ? `${scope}/${name}` : scope;
}

const describeImport = ({ file, target }: Import): string => `${file} imports ${target}`;
