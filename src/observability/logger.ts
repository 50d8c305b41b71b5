import { pino } from 'pino';

/** Structured logger; `child(bindings)` adds facts (purgeId, tenantId, stage, fence) to each line. */
export type Logger = pino.Logger;

export interface LoggerOptions {
  /** One of pino's levels, `trace` to `fatal`, or `silent`. */
  readonly level: string;
  /** Who speaks: `purge-worker`, `cli`, `board`. */
  readonly name: string;
  /** Default `stderr`: stdout carries the command's answer. */
  readonly destination?: 'stderr' | 'stdout';
}

/** Facts that are never written, wherever they stand in the first three levels of a line. */
const SECRETS = [
  'password',
  'url',
  'databaseUrl',
  'redisUrl',
  'queueRedisUrl',
  'connectionString',
  'confirmation',
];
const DEPTHS = ['', '*.', '*.*.'];
const REDACTED_PATHS = DEPTHS.flatMap((depth) => SECRETS.map((secret) => `${depth}${secret}`));

const FILE_DESCRIPTORS = { stdout: 1, stderr: 2 } as const;

/**
 * A logger that writes one JSON line per event. Writes are synchronous: the last line before an
 * exit or a crash is the one that matters. An error belongs under `err`.
 */
export function createLogger(options: LoggerOptions): Logger {
  const fd = FILE_DESCRIPTORS[options.destination ?? 'stderr'];
  return pino(
    {
      name: options.name,
      level: options.level,
      redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ fd, sync: true }),
  );
}
