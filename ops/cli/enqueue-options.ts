import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text as readStream } from 'node:stream/consumers';
import { z } from 'zod';
import type { Config } from '../../src/config/config.ts';
import { PurgeError } from '../../src/domain/errors.ts';
import { HAZARD_TYPES } from '../../src/domain/hazard.ts';
import type { TargetRequest } from '../../src/engine/campaign/targets.ts';
import { parseDuration, readOptions, requireKnown, type Session } from './command.ts';
import { parseTargetList, type TargetList } from './target-list.ts';

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

/** Whom the operator names, and the report that named them where there is one. */
interface Targets {
  readonly request: TargetRequest;
  readonly report: TargetList['report'];
}

/** Reads the list where it is in a file. @throws PurgeError USAGE */
export async function readTargets(session: Session, options: EnqueueOptions): Promise<Targets> {
  const { withDescendants } = options;
  if (options.tenant !== undefined) {
    return { request: { kind: 'tenants', ids: options.tenant, withDescendants }, report: null };
  }
  if (options.from === undefined) {
    const ids = options.allExcept === true ? [] : (options.allExcept ?? []);
    return { request: { kind: 'all-except', ids }, report: null };
  }
  const { ids, report } = parseTargetList(await readList(session, options.from), options.from);
  if (ids.length === 0) {
    const whom = report === null ? 'names no tenant' : 'recommends no tenant for purge';
    throw new PurgeError('USAGE', `${options.from} ${whom}.`);
  }
  return { request: { kind: 'tenants', ids, withDescendants }, report };
}

/** Older reports say too little of who is in use today. */
const REPORT_AGE_MAX_DAYS = 7;

/** Clocks of two hosts may differ by so much; a report of later was not made yet. */
const CLOCK_SKEW_MAX_MS = 3_600_000;

/**
 * A report speaks of the tenants of one table: in another the same ids are others.
 * @throws PurgeError TARGETS_REFUSED
 */
export function checkReportTable(report: Targets['report'], tenantTable: string): void {
  if (report === null || report.tenantTable === tenantTable) return;
  throw new PurgeError(
    'TARGETS_REFUSED',
    `The report speaks of the tenants of ${report.tenantTable}, and these are of ${tenantTable}.`,
    {
      details: { report, tenantTable },
      remedy:
        'Name the configuration it was made with, or make it anew: tenant-purge diagnose --out FILE.',
    },
  );
}

/**
 * A report speaks of one database: in another the same ids are other people's. A copy by its files has the
 * identity of the original, so the environment counts too. And it speaks of one moment: a tenant may
 * have come to life since.
 * @throws PurgeError TARGETS_REFUSED
 */
export function checkReport(
  report: Targets['report'],
  { database, environment }: { readonly database: string; readonly environment: string },
  now: Date,
): void {
  if (report === null) return;
  if (report.environment !== environment) {
    throw new PurgeError(
      'TARGETS_REFUSED',
      `The report was made in ${report.environment}, and this is ${environment} (ENVIRONMENT).`,
      {
        details: { report, environment },
        remedy: 'Make a report here: tenant-purge diagnose --out FILE.',
      },
    );
  }
  if (report.database !== database) {
    throw new PurgeError(
      'TARGETS_REFUSED',
      `The report was made from database ${report.database}, and this is ${database}.`,
      {
        details: { report, database },
        remedy: 'Make a report here: tenant-purge diagnose --out FILE.',
      },
    );
  }
  if (report.asOf !== report.madeAt) {
    throw new PurgeError(
      'TARGETS_REFUSED',
      `The report speaks of ${report.asOf} (--as-of) and not of when it was made: it answers a what-if.`,
      { details: { report }, remedy: 'Make it anew: tenant-purge diagnose --out FILE.' },
    );
  }
  const ageMs = now.getTime() - Date.parse(report.madeAt);
  if (ageMs < -CLOCK_SKEW_MAX_MS) {
    throw new PurgeError(
      'TARGETS_REFUSED',
      `The report says it was made at ${report.madeAt}, which is still to come: its age cannot be told.`,
      { details: { report }, remedy: 'Make it anew: tenant-purge diagnose --out FILE.' },
    );
  }
  const ageDays = ageMs / 86_400_000;
  if (ageDays > REPORT_AGE_MAX_DAYS) {
    throw new PurgeError(
      'TARGETS_REFUSED',
      `The report was made at ${report.madeAt}, more than ${REPORT_AGE_MAX_DAYS} days ago: a tenant may be in use since.`,
      { details: { report }, remedy: 'Make it anew: tenant-purge diagnose --out FILE.' },
    );
  }
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
