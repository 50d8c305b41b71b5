import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { tsImport } from 'tsx/esm/api';

const BASE_NAME = 'purge.config';
const EXTENSIONS = ['.ts', '.mjs', '.js', '.json'];

/** Shown where there is no file. */
export const FILE_NAMES = `${BASE_NAME}.{${EXTENSIONS.map((ext) => ext.slice(1)).join(',')}}`;

type FoundFile =
  | { readonly kind: 'one'; readonly path: string }
  | { readonly kind: 'none'; readonly path: string }
  | { readonly kind: 'several'; readonly paths: readonly string[] };

/** The configuration file that is meant: `file` where one is named, else the only one in `cwd`. */
export function findConfigFile(cwd: string, file: string | undefined): FoundFile {
  if (file !== undefined) {
    const path = resolve(cwd, file);
    return { kind: existsSync(path) ? 'one' : 'none', path };
  }
  const paths = EXTENSIONS.map((ext) => join(cwd, BASE_NAME + ext)).filter((path) =>
    existsSync(path),
  );
  const [path] = paths;
  if (path === undefined) return { kind: 'none', path: join(cwd, FILE_NAMES) };
  return paths.length === 1 ? { kind: 'one', path } : { kind: 'several', paths };
}

/**
 * What the file exports by default, unchecked. Runs the file's own code, once per process for
 * JavaScript. Throws an Error whose message says why it cannot be read.
 */
export async function readConfigFile(path: string): Promise<unknown> {
  const extension = extname(path);
  switch (extension) {
    case '.json':
      return JSON.parse(await readFile(path, 'utf8'));
    case '.ts':
    case '.mts':
      return defaultExport(await tsImport(pathToFileURL(path).href, import.meta.url), path);
    case '.js':
    case '.mjs':
      return defaultExport(await import(pathToFileURL(path).href), path);
    default:
      throw new Error(`the file must end in ${EXTENSIONS.join(', ')}`);
  }
}

function defaultExport(namespace: unknown, path: string): unknown {
  let value = namespace;
  // A package without "type": "module" wraps the default export once more.
  for (let depth = 0; depth < 2 && hasDefault(value); depth += 1) value = value.default;
  if (value === namespace) throw new Error(`${basename(path)} has no default export`);
  return value;
}

const hasDefault = (value: unknown): value is { readonly default: unknown } =>
  typeof value === 'object' && value !== null && 'default' in value;
