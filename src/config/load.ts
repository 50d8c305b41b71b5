import { dirname, resolve } from 'node:path';
import { PurgeError } from '../domain/errors.ts';
import type { Config } from './config.ts';
import { checkEnvironment } from './environment.ts';
import { FILE_NAMES, findConfigFile, readConfigFile } from './file.ts';
import { checkFile } from './problems.ts';

interface LoadOptions {
  /** As `--config` names it, relative to `cwd`; default: the only `purge.config.*` in `cwd`. */
  readonly file?: string;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * Configuration from the file and the environment. The only reader of `process.env`.
 * @throws PurgeError CONFIG_INVALID, with every problem of both in the message and in
 *   `details.problems`; CONFIG_MISSING where there is no file. Neither shows a password.
 */
export async function loadConfig(options: LoadOptions = {}): Promise<Config> {
  const env = options.env ?? process.env;
  const found = findConfigFile(options.cwd ?? process.cwd(), options.file);
  switch (found.kind) {
    case 'none':
      throw missing(found.path, checkEnvironment(env).problems);
    case 'several':
      throw invalid(null, [
        `file: several found (${found.paths.join(', ')}); keep one, or name one with --config`,
        ...checkEnvironment(env).problems,
      ]);
    case 'one':
      break;
  }
  let input: unknown;
  try {
    input = await readConfigFile(found.path);
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const problems = [`file: cannot be read: ${message}`, ...checkEnvironment(env).problems];
    throw invalid(found.path, problems, thrown);
  }
  return parseConfig(input, env, found.path);
}

/**
 * Configuration from what a file would export; for programs and tests. Pure.
 * @param file absolute path the input came from, or null
 * @throws PurgeError CONFIG_INVALID, with every problem at once
 */
export function parseConfig(input: unknown, env: NodeJS.ProcessEnv, file: string | null): Config {
  const fromFile = checkFile(input);
  const fromEnvironment = checkEnvironment(env);
  if (fromFile.value === null || fromEnvironment.value === null) {
    throw invalid(file, [...fromFile.problems, ...fromEnvironment.problems]);
  }
  return {
    ...fromFile.value,
    ...fromEnvironment.value,
    archive: {
      ...fromFile.value.archive,
      dir: resolve(file === null ? '.' : dirname(file), fromFile.value.archive.dir),
    },
    keep: [...new Set([...fromFile.value.keep, ...fromEnvironment.value.keep])],
    file,
  };
}

function invalid(file: string | null, problems: readonly string[], cause?: unknown): PurgeError {
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  const where = file === null ? '' : ` (${file} and the environment)`;
  return new PurgeError(
    'CONFIG_INVALID',
    [`The configuration${where} has ${count}:`, ...problems.map(bullet)].join('\n'),
    { details: { file, problems }, cause },
  );
}

function missing(path: string, problems: readonly string[]): PurgeError {
  const also = problems.length === 0 ? [] : ['The environment is not complete either:'];
  return new PurgeError(
    'CONFIG_MISSING',
    [`There is no configuration file ${path}.`, ...also, ...problems.map(bullet)].join('\n'),
    { details: { path, names: FILE_NAMES, problems } },
  );
}

const bullet = (problem: string): string => `  - ${problem}`;
