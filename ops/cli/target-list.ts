import { z } from 'zod';
import { PurgeError } from '../../src/domain/errors.ts';

const entry = z.union([z.string(), z.object({ tenantId: z.string() })]);
const document = z.union([
  z.array(entry),
  z.object({ purges: z.array(entry) }),
  z.object({ tenants: z.array(entry) }),
]);

/**
 * Ids out of a list of tenants: one a line, `#` begins a comment, blank lines do not count; or JSON,
 * an array or `{purges|tenants: […]}` of ids or of objects with `tenantId`. Ids are not checked here. Pure.
 * @param from name of the list, for errors
 * @throws PurgeError USAGE where it is neither
 */
export function parseTargetList(text: string, from: string): string[] {
  const body = text.replace(/^\uFEFF/, '');
  if (/^\s*[[{]/.test(body)) return parseJson(body, from);
  return body
    .split(/\r?\n/)
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');
}

function parseJson(body: string, from: string): string[] {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new PurgeError('USAGE', `${from} begins like JSON and is none: ${String(cause)}.`, {
      cause,
    });
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
  return entries.map((one) => (typeof one === 'string' ? one : one.tenantId));
}
