import type { Command } from 'commander';
import { z } from 'zod';
import type { Config } from '../../src/config/config.ts';
import { type ExitCode, PurgeError } from '../../src/domain/errors.ts';
import { nearestMatch } from '../../src/domain/near-miss.ts';
import type { CliIo, Colors } from './io.ts';

/** What a command has to say when it is done. */
export interface Answer {
  readonly exitCode: ExitCode;
  /** The one JSON document of `--json`; undefined where it has been written already. */
  readonly document: unknown;
  /** The same for people; lines without the last newline. */
  readonly text: string;
  /** Why the exit code is what it is, where that is not in the text; to stderr. */
  readonly errors?: readonly PurgeError[];
}

/** What a command is run with. */
export interface Session {
  readonly io: CliIo;
  readonly json: boolean;
  /** For stdout. */
  readonly colors: Colors;
  readonly columns: number;
  /** Reads the configuration; the same one each time. */
  config(): Promise<Config>;
  /** A line for people while the command is under way; to stderr. */
  note(line: string): void;
}

interface CommandSpec<Options> {
  /** Name and arguments, e.g. `verify <target>`. */
  readonly usage: string;
  readonly summary: string;
  /** Shown by `--help`; the first line is run by somebody in a hurry. */
  readonly examples: readonly string[];
  /** Adds the options. */
  readonly describe: (command: Command) => Command;
  /** Raw options and arguments into checked ones. @throws PurgeError USAGE */
  readonly validate: (raw: Readonly<Record<string, unknown>>, args: readonly string[]) => Options;
  /** It looks at `io.interrupted` itself; otherwise Ctrl-C ends it wherever it is. */
  readonly handlesInterrupt?: boolean;
  readonly run: (session: Session, options: Options) => Promise<Answer>;
}

/** Runs one command, once its options are known to be right. */
export type Host = (
  command: { readonly handlesInterrupt: boolean },
  globals: { readonly config?: string | undefined },
  run: (session: Session) => Promise<Answer>,
) => Promise<void>;

export interface CliCommand {
  attach(program: Command, host: Host): void;
}

/** Ties a command's parts together; its option type stays its own. */
export function defineCommand<Options>(spec: CommandSpec<Options>): CliCommand {
  return {
    attach(program, host) {
      const command = spec.describe(program.command(spec.usage).description(spec.summary));
      const examples = spec.examples.map((line) => `  $ tenant-purge ${line}`);
      command.addHelpText(
        'after',
        `\nExample${examples.length > 1 ? 's' : ''}:\n${examples.join('\n')}`,
      );
      command.action(async () => {
        const raw: Record<string, unknown> = command.optsWithGlobals();
        const { config } = globalsSchema.parse(raw);
        await host({ handlesInterrupt: spec.handlesInterrupt === true }, { config }, (session) =>
          spec.run(session, spec.validate(raw, command.args)),
        );
      });
    },
  };
}

const globalsSchema = z.object({ config: z.string().optional() });

/** Collects what a command hears from commander; unknown keys are other commands' business. */
export function readOptions<Schema extends z.ZodType>(
  schema: Schema,
  raw: Readonly<Record<string, unknown>>,
): z.output<Schema> {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    (issue) =>
      `--${issue.path.map(String).join('.').replace(/[A-Z]/g, hyphenate)}: ${issue.message}`,
  );
  throw new PurgeError('USAGE', problems.join('\n'), { details: { problems } });
}

const hyphenate = (capital: string): string => `-${capital.toLowerCase()}`;

const DAY_MS = 86_400_000;
const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: DAY_MS,
};

/** `90s`, `30m`, `24h`, `7d` in milliseconds. @throws PurgeError USAGE */
export function parseDuration(text: string, flag: string, maxMs: number): number {
  const [, amount = '', unit = ''] = /^(\d+)(ms|s|m|h|d)$/.exec(text.trim()) ?? [];
  const durationMs = Number(amount) * (UNITS_MS[unit] ?? Number.NaN);
  if (amount === '' || !Number.isFinite(durationMs)) {
    throw new PurgeError('USAGE', `${flag}: "${text}" is no duration.`, {
      remedy: 'Write a number and a unit: 90s, 30m, 24h or 7d.',
    });
  }
  if (durationMs > maxMs) {
    throw new PurgeError('USAGE', `${flag}: ${text} is more than ${maxMs / DAY_MS} days.`);
  }
  return durationMs;
}

/** A whole number within bounds. @throws PurgeError USAGE */
export function parseCount(
  text: string,
  flag: string,
  bounds: { readonly min: number; readonly max: number },
): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= bounds.min && value <= bounds.max) return value;
  throw new PurgeError(
    'USAGE',
    `${flag}: "${text}" is no whole number from ${bounds.min} to ${bounds.max}.`,
  );
}

/** @throws PurgeError USAGE with the near miss, for words out of a closed list */
export function requireKnown(
  words: readonly string[],
  known: readonly string[],
  flag: string,
): void {
  const unknown = words.filter((word) => !known.includes(word));
  if (unknown.length === 0) return;
  const problems = unknown.map((word) => {
    const near = nearestMatch(word, known);
    return `${flag}: "${word}" is unknown${near === null ? '' : `; did you mean ${near}?`}`;
  });
  throw new PurgeError('USAGE', problems.join('\n'), {
    details: { problems, known },
    remedy: `Known are: ${known.join(', ')}.`,
  });
}
