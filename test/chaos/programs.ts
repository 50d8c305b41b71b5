import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

/** Files of the programs that a round starts. */
export interface Programs {
  readonly worker: string;
  readonly reconciler: string;
  readonly cli: string;
  readonly preload: string;
}

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
const WORKERS = /[\\/]workers[\\/][^\\/]+\.ts$/;

/**
 * The product's own entry points, bundled once: a start then costs 0.3 s of one core, under tsx 2 s.
 * `folder` lies inside the project, so that packages that are not bundled are found.
 */
export async function bundlePrograms(folder: string): Promise<Programs> {
  mkdirSync(folder, { recursive: true });
  const [worker, reconciler, cli, preload] = await Promise.all([
    bundle(folder, 'worker', 'workers/purge-worker.ts'),
    bundle(folder, 'reconciler', 'workers/reconciler.ts'),
    bundle(folder, 'cli', 'ops/cli/main.ts'),
    bundle(folder, 'preload', 'test/chaos/preload.ts'),
  ]);
  return { worker, reconciler, cli, preload };
}

async function bundle(folder: string, name: string, entry: string): Promise<string> {
  const entryPoint = join(PROJECT, entry);
  await build({
    entryPoints: [{ in: entryPoint, out: name }],
    outdir: join(folder, name),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    sourcemap: 'inline',
    logLevel: 'silent',
    plugins: [onlyTheEntryRuns(entryPoint)],
    // Large, and needed by the board alone, which no round starts.
    external: ['express', '@bull-board/*'],
    banner: {
      js: [
        // Packages of the older module system ask for built-in modules by `require`.
        "import { createRequire as createRequireOfBundle } from 'node:module'; const require = createRequireOfBundle(import.meta.url);",
      ].join('\n'),
    },
  });
  return join(folder, name, `${name}.mjs`);
}

/** A worker's file starts a worker where it is the program; in a bundle every file would be that. */
const onlyTheEntryRuns = (entryPoint: string): Plugin => ({
  name: 'only the entry runs',
  setup(host) {
    host.onLoad({ filter: WORKERS }, ({ path }) => {
      const contents = readFileSync(path, 'utf8');
      if (path === entryPoint) return { contents, loader: 'ts' };
      return { contents: contents.replaceAll('import.meta.url', "'file:///'"), loader: 'ts' };
    });
  },
});
