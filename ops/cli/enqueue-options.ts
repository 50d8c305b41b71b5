import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text as readStream } from 'node:stream/consumers';
import { z } from 'zod';
import type { Config } from '../../src/config/config.ts';
import { PurgeError } from '../../src/domain/errors.ts';
import { HAZARD_TYPES } from '../../src/domain/hazard.ts';
import type { TargetRequest } from '../../src/engine/campaign/targets.ts';
import { parseDuration, readOptions, requireKnown, type Session } from './command.ts';
import { parseTargetList } from './target-list.ts';

const optionsSchema = z.object({
  tenant: z.array(z.string()).optional(),
  /** True where no id follows the flag. */
  allExcept: z.union([z.array(z.string()), z.literal(true)]).optional(),
  from: z.string().optional(),
  dryRun: z.boolean().default(false),
  delay: z.string().optional(),
  wait: z.boolean().default(false),
  confirm: z.string().optional(),
  allow: z.array(z.string()).default([]),
  allowProduction: z.boolean().default(false),
  archive: z.boolean().default(true),
  withDescendants: z.boolean().default(false),
  config: z.string().optional(),
});

export interface EnqueueOptions extends Omit<z.output<typeof optionsSchema>, 'delay'> {
  readonly delay: string | null;
  readonly delayMs: number;
}

/** A delay beyond half a year would look like a parked job. */
const DELAY_MAX_MS = 90 * 86_400_000;

/** Checked options. @throws PurgeError USAGE */
export function validateEnqueue(raw: Readonly<Record<string, unknown>>): EnqueueOptions {
  const options = readOptions(optionsSchema, raw);
  const named = [
    options.tenant === undefined ? [] : ['--tenant'],
    options.allExcept === undefined ? [] : ['--all-except'],
    options.from === undefined ? [] : ['--from'],
  ].flat();
  if (named.length !== 1) {
    throw new PurgeError(
      'USAGE',
      named.length === 0
        ? 'Nobody is named: use one of --tenant, --all-except and --from.'
        : `${named.join(' and ')} exclude each other: use one.`,
    );
  }
  requireKnown(options.allow, HAZARD_TYPES, '--allow');
  return {
    ...options,
    delay: options.delay ?? null,
    delayMs:
      options.delay === undefined ? 0 : parseDuration(options.delay, '--delay', DELAY_MAX_MS),
  };
}

/** Whom the operator names; reads the list where it is in a file. @throws PurgeError USAGE */
export async function readTargets(
  session: Session,
  options: EnqueueOptions,
): Promise<TargetRequest> {
  const { withDescendants } = options;
  if (options.tenant !== undefined) {
    return { kind: 'tenants', ids: options.tenant, withDescendants };
  }
  if (options.from === undefined) {
    return { kind: 'all-except', ids: options.allExcept === true ? [] : (options.allExcept ?? []) };
  }
  const ids = parseTargetList(await readList(session, options.from), options.from);
  if (ids.length === 0) throw new PurgeError('USAGE', `${options.from} names no tenant.`);
  return { kind: 'tenants', ids, withDescendants };
}

async function readList(session: Session, from: string): Promise<string> {
  if (from === '-') return readStream(session.io.stdin);
  try {
    return await readFile(resolve(session.io.cwd, from), 'utf8');
  } catch (cause) {
    throw new PurgeError('USAGE', `--from: ${String(cause)}.`, { cause });
  }
}

/** Accepted types: by flag, and by configuration. */
export const allowedBy = (options: EnqueueOptions, config: Config): string[] => [
  ...new Set([...options.allow, ...config.allow]),
];
