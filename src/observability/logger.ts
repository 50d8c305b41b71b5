import { pino } from 'pino';
import { errorFields } from './error-fields.ts';

/** Structured logger; `child(bindings)` adds facts (purgeId, tenantId, stage, fence) to each line. */
export type Logger = pino.Logger;

interface LoggerOptions {
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
  // Of a driver's error: a login that Redis refuses has its password among the arguments.
  'args',
];
const DEPTHS = ['', '*.', '*.*.'];
const REDACTED_PATHS = DEPTHS.flatMap((depth) => SECRETS.map((secret) => `${depth}${secret}`));

const FILE_DESCRIPTORS = { stdout: 1, stderr: 2 } as const;

/** Lines that could not be written wait for room up to this, 1 MiB; later ones are lost. */
const UNWRITTEN_MAX_BYTES = 1_048_576;

/**
 * A logger that writes one JSON line per event. Writes are synchronous: the last line before an
 * exit or a crash is the one that matters. An error belongs under `err`; what a server's error quotes
 * of rows is written at `debug` and `trace` only. A log that cannot be written
 * (its disk is full, its reader gone) loses lines, and never ends the process that writes it.
 */
export function createLogger(options: LoggerOptions): Logger {
  const fd = FILE_DESCRIPTORS[options.destination ?? 'stderr'];
  const sink = pino.destination({ fd, sync: true, maxLength: UNWRITTEN_MAX_BYTES });
  // With nobody listening the event would end the process, and every purge it holds.
  sink.on('error', () => undefined);
  const rowData = options.level === 'debug' || options.level === 'trace';
  return pino(
    {
      name: options.name,
      level: options.level,
      serializers: { err: (error: unknown) => errorFields(error, { rowData }) },
      redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    sink,
  );
}
