import type { Readable, Writable } from 'node:stream';
import { createColors } from 'picocolors';

export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };
export type InputStream = Readable & { readonly isTTY?: boolean };

/** Everything a command touches of its process, so that tests and other programs can run commands. */
export interface CliIo {
  readonly stdin: InputStream;
  /** The answer. */
  readonly stdout: OutputStream;
  /** The log, the prompt and the progress bar. */
  readonly stderr: OutputStream;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Aborted by Ctrl-C or SIGTERM. */
  readonly interrupted: AbortSignal;
}

export type Colors = ReturnType<typeof createColors>;

const COLUMNS_DEFAULT = 80;
const COLUMNS_MIN = 40;

/** Width of a line; 80 where there is no terminal, or one that does not know its size. */
export const columnsOf = (stream: OutputStream): number =>
  Math.max(COLUMNS_MIN, stream.columns || COLUMNS_DEFAULT);

/** Colours where a person looks and has not switched them off. */
export const colorsOf = (stream: OutputStream, env: NodeJS.ProcessEnv): Colors =>
  createColors(stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb');

export const writeLine = (stream: OutputStream, line: string): void => {
  stream.write(`${line}\n`);
};
