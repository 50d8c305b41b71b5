import { z } from 'zod';
import { RECOMMENDATIONS } from '../../src/diagnosis/recommendation.ts';
import { REPORT_KIND, REPORT_VERSION } from '../../src/diagnosis/report-document.ts';
import { PurgeError } from '../../src/domain/errors.ts';

/** Whom a list names, and where it is a report of diagnosis what it was made from. */
export interface TargetList {
  readonly ids: readonly string[];
  readonly report: {
    readonly database: string;
    readonly tenantTable: string;
    readonly environment: string;
    readonly madeAt: string;
    readonly asOf: string;
  } | null;
}

const entry = z.union([
  z.string(),
  // What diagnosis wants looked at, or kept, is no target; whoever edits its report may say otherwise.
  z.object({ tenantId: z.string(), recommendation: z.enum(RECOMMENDATIONS).optional() }),
]);
const report = z.object({
  kind: z.literal(REPORT_KIND),
  version: z.literal(REPORT_VERSION),
  database: z.string(),
  tenantTable: z.string(),
  environment: z.string(),
  madeAt: z.iso.datetime(),
  asOf: z.iso.datetime(),
  tenants: z.array(z.object({ tenantId: z.string(), recommendation: z.enum(RECOMMENDATIONS) })),
});
const document = z.union([
  z.array(entry),
  z.object({ purges: z.array(entry) }),
  z.object({ tenants: z.array(entry) }),
]);

/**
 * Ids out of a list of tenants: one a line, `#` begins a comment, blank lines do not count; or JSON,
 * an array or `{purges|tenants: […]}` of ids or of objects with `tenantId`. Of a report of diagnosis, and
 * of any entries with a recommendation, only those recommended for purge. Ids are not checked here. Pure.
 * @param from name of the list, for errors
 * @throws PurgeError USAGE where it is neither
 */
export function parseTargetList(text: string, from: string): TargetList {
  const body = text.replace(/^\uFEFF/, '');
  if (/^\s*[[{]/.test(body)) return parseJson(body, from);
  const ids = body
    .split(/\r?\n/)
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');
  return { ids, report: null };
}

function parseJson(body: string, from: string): TargetList {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new PurgeError('USAGE', `${from} begins like JSON and is none: ${String(cause)}.`, {
      cause,
    });
  }
  if (typeof value === 'object' && value !== null && 'kind' in value) {
    return parseReport(value, from);
  }
  const parsed = document.safeParse(value);
  if (!parsed.success) {
    throw new PurgeError(
      'USAGE',
      `${from} is JSON of another form: expected an array of ids, or {"purges": [{"tenantId": "…"}]}.`,
      { remedy: 'Give one id a line, or the JSON that diagnose, enqueue or status print.' },
    );
  }
  const entries = Array.isArray(parsed.data)
    ? parsed.data
    : 'purges' in parsed.data
      ? parsed.data.purges
      : parsed.data.tenants;
  return { ids: entries.flatMap(targetOf), report: null };
}

/** It says what it is, so it is read as nothing else: an entry without a recommendation is an error. */
function parseReport(value: object, from: string): TargetList {
  const parsed = report.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new PurgeError(
      'USAGE',
      `${from} is no report that this version can read: ${issue?.path.join('.')}: ${issue?.message}.`,
      { remedy: 'Make it anew with tenant-purge diagnose --out FILE.' },
    );
  }
  const { database, tenantTable, environment, madeAt, asOf, tenants } = parsed.data;
  const found = { database, tenantTable, environment, madeAt, asOf };
  return { ids: tenants.flatMap(targetOf), report: found };
}

const targetOf = (one: z.output<typeof entry>): string[] => {
  if (typeof one === 'string') return [one];
  return one.recommendation === undefined || one.recommendation === 'purge' ? [one.tenantId] : [];
};
